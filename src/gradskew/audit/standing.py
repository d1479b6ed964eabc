"""How a user's rules and attacks stand beside ours on one federation. Reads records and findings only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from statistics import fmean
from typing import Any

from ..aggregators import least_kappa
from ..report.lens import Lens
from ..report.table import Cell, Table, count, never_moved
from .inspector import Inspection

RULE_HEAD = (
    "rule",
    "without attack %",
    "worst attack",
    "keeps %",
    "points lost",
    "on average",
    "largest kappa",
    "under",
    "Byzantine weight %",
    "honest shut out",
    "time / mean's",
)
ATTACK_HEAD = ("attack", "points, on average", "at most", "of")


@dataclass(frozen=True)
class Defence:
    """A rule under all attacks; accuracies in %, damage in points against the same rule without an attack.

    attack: the one that leaves it least. kappa: the largest over attacks of the mean over rounds, under kappa_attack.
    share, shut_out: under its worst attack, the Byzantine share of the weight and the honest rows shut out in a round;
    None for a rule without weights. cost: as a multiple of our mean's time.
    """

    rule: str
    audited: bool
    usual: float
    attack: str
    left: float
    damage: float
    average_damage: float
    kappa: float | None
    kappa_attack: str
    share: float | None
    shut_out: float | None
    cost: float | None


@dataclass(frozen=True)
class Offence:
    """An attack on our rules: the points that it costs on average, and most, with that rule."""

    attack: str
    audited: bool
    average_damage: float
    damage: float
    rule: str


@dataclass(frozen=True)
class AuditSheet:
    """A table of texts; of each line it is said whether it is audited."""

    title: str
    head: Sequence[str]
    lines: Sequence[tuple[bool, Sequence[str]]]


@dataclass(frozen=True)
class Audit:
    """A table with what was found on the rules and attacks in it that are audited.

    inspections: of those, by the names under which the table has them; also of those that could not be played. costs:
    of all rules.
    """

    table: Table
    inspections: Mapping[str, Inspection]
    costs: Mapping[str, float | None] = field(default_factory=dict)

    def _audits(self, kind: str, name: str) -> bool:
        return name in self.inspections and self.inspections[name].kind == kind

    @cached_property
    def defences(self) -> list[Defence]:
        """The rules, the one that keeps most accuracy in its worst case first."""
        made = [found for rule in self.table.rules if (found := self._defence(rule)) is not None]
        return sorted(made, key=lambda defence: -defence.left)

    def _defence(self, rule: str) -> Defence | None:
        cells = self.table.column(rule)
        usual = cells.pop("none", None)
        if usual is None or not cells:
            return None
        attack, worst = min(cells.items(), key=lambda item: item[1].mean)
        kappas = {name: kappa for name, cell in cells.items() if (kappa := _seen(cell, "kappa")) is not None}
        strongest = max(kappas, key=lambda name: kappas[name], default="")
        return Defence(
            rule,
            self._audits("rule", rule),
            usual.mean,
            attack,
            worst.mean,
            usual.mean - worst.mean,
            fmean(usual.mean - cell.mean for cell in cells.values()),
            kappas.get(strongest),
            strongest,
            worst.average("byzantine_share"),
            _seen(worst, "shut_out"),
            self.costs.get(rule),
        )

    @cached_property
    def offences(self) -> list[Offence]:
        """The attacks, the one that costs our rules most on average first; empty if no rule is ours."""
        made = []
        for attack in self.table.attacks:
            damages = {rule: lost for rule in self.table.rules if (lost := self._damage(attack, rule)) is not None}
            if damages:
                rule = max(damages, key=lambda name: damages[name])
                average = fmean(damages.values())
                made.append(Offence(attack, self._audits("attack", attack), average, damages[rule], rule))
        return sorted(made, key=lambda offence: -offence.average_damage)

    def _damage(self, attack: str, rule: str) -> float | None:
        """Points that an attack costs one of our rules."""
        cells = self.table.column(rule)
        if attack == "none" or self._audits("rule", rule) or not {"none", attack} <= cells.keys():
            return None
        return cells["none"].mean - cells[attack].mean

    @property
    def least_kappa(self) -> float | None:
        """The kappa below which no rule can be robust here; None where a majority may be Byzantine."""
        spec = self.table.records[0].spec
        n, f = spec["sampled"], math.ceil(spec["byzantine"] * spec["sampled"] / spec["clients"])
        return least_kappa(n, f) if n > 2 * f else None

    @property
    def verdict(self) -> list[str]:
        """Where each audited rule and attack stands, in plain sentences."""
        return [*self._on_rules(), *self._on_unranked(), *self._on_attacks()]

    def _on_rules(self) -> list[str]:
        """Ranked among the rules that a verdict may judge; the mean is no defence, but what one has to beat."""
        ranked = [rule for rule in self.table.defences if not self._failed(rule)]
        judged = [defence for defence in self.defences if defence.rule in ranked]
        ours = [defence for defence in judged if not defence.audited]
        mean = next((defence for defence in self.defences if defence.rule == "mean"), None)
        said = []
        for defence in judged:
            if defence.audited:
                worst = f"{defence.left:.1f} % under {defence.attack}, {defence.damage:.1f} points below its own"
                text = f"{defence.rule} keeps {worst} {defence.usual:.1f} % without an attack"
                text += f"; over all attacks it loses {defence.average_damage:.1f} points on average."
                if ours:
                    place = 1 + sum(other.left > defence.left for other in judged)
                    text += f" By the worst case it takes place {place} of {len(judged)}"
                    text += f"; the best of ours is {ours[0].rule} with {ours[0].left:.1f} %."
                if mean is not None:
                    text += f" The plain mean keeps {mean.left:.1f} %."
                said.append(text)
        return said

    def _failed(self, name: str) -> bool:
        """Whether runs of an audited rule or attack failed: what is left is neither a worst case nor an average."""
        return name in self.inspections and self.inspections[name].failed_in_play is not None

    def _on_unranked(self) -> list[str]:
        """Why what was played has no place."""
        said = []
        for name, inspection in self.inspections.items():
            cells = self.table.column(name).values() if inspection.kind == "rule" else []
            if self._failed(name):
                said.append(f"{name} is not ranked: runs of it failed. {inspection.trouble}")
            elif cells and never_moved(cells):
                said.append(f"{name} is not ranked: in no round did it give a finite aggregate, so no model moved.")
        return said

    def _on_attacks(self) -> list[str]:
        ranked = [offence for offence in self.offences if not self._failed(offence.attack)]
        said = []
        for offence in ranked:
            if offence.audited:
                place = 1 + sum(other.average_damage > offence.average_damage for other in ranked)
                text = f"{offence.attack} costs our rules {offence.average_damage:.1f} points on average"
                text += f", {offence.rule} most ({offence.damage:.1f})."
                ours = [other for other in ranked if not other.audited]
                if ours:
                    rank = f" It takes place {place} of {count(len(ranked), 'attack')}"
                    text += f"{rank}; the worst of ours is {ours[0].attack} with {ours[0].average_damage:.1f} points."
                said.append(text)
        return said

    @property
    def sheets(self) -> list[AuditSheet]:
        """The rules, and the attacks where one is audited, as texts."""
        least = "" if self.least_kappa is None else f" (no rule can guarantee a kappa below {self.least_kappa:.2f})"
        rules = [(each.audited, _texts(each)) for each in self.defences]
        made = [AuditSheet(f"Rules, best worst case first{least}", RULE_HEAD, rules)]
        if any(each.audited for each in self.offences):
            attacks = [
                (each.audited, [each.attack, _one(each.average_damage), _one(each.damage), each.rule])
                for each in self.offences
            ]
            made.append(AuditSheet("Attacks, the most harmful to our rules first", ATTACK_HEAD, attacks))
        return made

    def to_json(self) -> dict[str, Any]:
        """All of it, for other programs."""
        return {
            "federation": self.table.federation,
            "findings": {
                name: {**asdict(one), "failure": one.trouble or None} for name, one in self.inspections.items()
            },
            "rules": [asdict(defence) for defence in self.defences],
            "attacks": [asdict(offence) for offence in self.offences],
            "least_kappa": self.least_kappa,
            "verdict": self.verdict,
        }


def _texts(defence: Defence) -> list[str]:
    """A line of the table of rules."""
    share = None if defence.share is None else 100 * defence.share
    numbers = (defence.left, defence.damage, defence.average_damage)
    return [
        defence.rule,
        f"{defence.usual:.1f}",
        defence.attack,
        *map(_one, numbers),
        "–" if defence.kappa is None else f"{defence.kappa:.2f}",
        defence.kappa_attack,
        *("–" if value is None else f"{value:.1f}" for value in (share, defence.shut_out, defence.cost)),
    ]


def _one(value: float) -> str:
    """One decimal, and no minus before 0.0."""
    return f"{round(value, 1) + 0.0:.1f}"


def _seen(cell: Cell, name: str) -> float | None:
    """The mean of what the lens saw, over rounds and seeds."""
    values = [value for record in cell.records for value in Lens(record).series(name) if value is not None]
    finite = [value for value in values if math.isfinite(value)]
    return fmean(finite) if finite else None
