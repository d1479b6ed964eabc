"""How a user's rules and attacks stand beside ours in one federation. Reads records and findings only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from statistics import fmean
from typing import Any

from ..aggregators import least_kappa
from ..report.standing import Standing
from ..report.table import Table, count
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
class Offence:
    """An attack on our rules: the points that it costs on average, and most, with that rule."""

    attack: str
    audited: bool
    average_damage: float
    damage: float
    rule: str


@dataclass(frozen=True)
class AuditSheet:
    """A table of texts, with a flag for each line: whether it is of an audited rule or attack."""

    title: str
    head: Sequence[str]
    lines: Sequence[tuple[bool, Sequence[str]]]


@dataclass(frozen=True)
class Audit:
    """A table, and the inspections of the rules and attacks in it that are audited.

    inspections: by the names that the table has; also of those that could not be run. costs: of all rules.
    """

    table: Table
    inspections: Mapping[str, Inspection]
    costs: Mapping[str, float | None] = field(default_factory=dict)

    def audits(self, kind: str, name: str) -> bool:
        """Whether this rule or attack is the audited one, or one of them."""
        return name in self.inspections and self.inspections[name].kind == kind

    @cached_property
    def standings(self) -> list[Standing]:
        """The rules that were run without an attack too, the one that keeps most accuracy in its worst case first."""
        known = [each for each in self.table.standings.values() if each.usual is not None]
        made = [replace(each, cost=self.costs.get(each.rule)) for each in known]
        return sorted(made, key=lambda each: -each.worst.mean)

    @cached_property
    def offences(self) -> list[Offence]:
        """The attacks, the one that costs our rules most on average first; empty if no rule is ours."""
        ours = [each for each in self.table.standings.values() if not self.audits("rule", each.rule)]
        made = []
        for attack in self.table.attacks:
            damages = {each.rule: lost for each in ours if (lost := each.damage_by(attack)) is not None}
            if damages:
                rule = max(damages, key=lambda name: damages[name])
                average = fmean(damages.values())
                made.append(Offence(attack, self.audits("attack", attack), average, damages[rule], rule))
        return sorted(made, key=lambda offence: -offence.average_damage)

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
        judged = [each for each in self.standings if each.rule in self.table.defences and not self._failed(each.rule)]
        ours = [each for each in judged if not self.audits("rule", each.rule)]
        mean = next((each for each in self.standings if each.rule == "mean"), None)
        sentences = []
        for each in judged:
            if self.audits("rule", each.rule):
                numbers = _numbers(each)
                worst = f"{numbers['left']:.1f} % under {each.attack}, {numbers['damage']:.1f} points below its own"
                text = f"{each.rule} keeps {worst} {numbers['usual']:.1f} % without an attack"
                text += f"; over all attacks it loses {numbers['average_damage']:.1f} points on average."
                if ours:
                    place = 1 + sum(other.worst.mean > each.worst.mean for other in judged)
                    text += f" By the worst case it takes place {place} of {len(judged)}"
                    text += f"; the best of ours is {ours[0].rule} with {ours[0].worst.mean:.1f} %."
                if mean is not None:
                    text += f" The plain mean keeps {mean.worst.mean:.1f} %."
                sentences.append(text)
        return sentences

    def _failed(self, name: str) -> bool:
        """Whether runs of an audited rule or attack failed: what is left is neither a worst case nor an average."""
        return name in self.inspections and self.inspections[name].failed_in_play is not None

    def _on_unranked(self) -> list[str]:
        """Say of each audited rule or attack that has no place why it has none."""
        sentences = []
        for name, inspection in self.inspections.items():
            if self._failed(name):
                sentences.append(f"{name} is not ranked: runs of it failed. {inspection.trouble}")
            elif inspection.kind == "rule" and name in self.table.unmoved:
                sentences.append(
                    f"{name} is not ranked: in no round did it give a finite aggregate, so no model moved."
                )
        return sentences

    def _on_attacks(self) -> list[str]:
        ranked = [offence for offence in self.offences if not self._failed(offence.attack)]
        sentences = []
        for offence in ranked:
            if offence.audited:
                place = 1 + sum(other.average_damage > offence.average_damage for other in ranked)
                text = f"{offence.attack} costs our rules {offence.average_damage:.1f} points on average"
                text += f", {offence.rule} most ({offence.damage:.1f})."
                ours = [other for other in ranked if not other.audited]
                if ours:
                    rank = f" It takes place {place} of {count(len(ranked), 'attack')}"
                    text += f"{rank}; the worst of ours is {ours[0].attack} with {ours[0].average_damage:.1f} points."
                sentences.append(text)
        return sentences

    @property
    def sheets(self) -> list[AuditSheet]:
        """The rules, and the attacks where one is audited, as texts."""
        least = "" if self.least_kappa is None else f" (no rule can guarantee a kappa below {self.least_kappa:.2f})"
        rules = [(self.audits("rule", each.rule), _texts(each)) for each in self.standings]
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
            "rules": [{"audited": self.audits("rule", each.rule), **_numbers(each)} for each in self.standings],
            "attacks": [asdict(offence) for offence in self.offences],
            "least_kappa": self.least_kappa,
            "verdict": self.verdict,
        }


def _numbers(standing: Standing) -> dict[str, Any]:
    """Return a rule's line of audit.json; kappa is the largest over attacks, under kappa_attack."""
    usual = standing.usual
    return {
        "rule": standing.rule,
        "usual": usual.mean if usual else None,
        "attack": standing.attack,
        "left": standing.worst.mean,
        "damage": standing.damage,
        "average_damage": standing.average_damage,
        "kappa": next(iter(standing.kappas.values()), None),
        "kappa_attack": next(iter(standing.kappas), ""),
        "share": standing.share,
        "shut_out": standing.shut_out,
        "cost": standing.cost,
    }


def _texts(standing: Standing) -> list[str]:
    """Return a rule's line of the table: what `RULE_HEAD` names, as text."""
    line = _numbers(standing)
    share = None if line["share"] is None else 100 * line["share"]
    return [
        line["rule"],
        f"{line['usual']:.1f}",
        line["attack"],
        *(_one(line[key]) for key in ("left", "damage", "average_damage")),
        "–" if line["kappa"] is None else f"{line['kappa']:.2f}",
        line["kappa_attack"],
        *("–" if value is None else f"{value:.1f}" for value in (share, line["shut_out"], line["cost"])),
    ]


def _one(value: float) -> str:
    """One decimal, and no minus before 0.0."""
    return f"{round(value, 1) + 0.0:.1f}"
