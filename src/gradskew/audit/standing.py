"""Rank a user's rules and attacks among the built-in ones in one federation, from records and findings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from statistics import fmean
from typing import Any

from ..aggregators import least_kappa
from ..report.standing import Standing, level_rules
from ..report.table import Table, count
from ..runs.curve import RISING
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
class AttackStanding:
    """An attack on the built-in rules: its damage in points, on average and at most, and the rule of the latter."""

    attack: str
    audited: bool
    average_damage: float
    damage: float
    rule: str


@dataclass(frozen=True)
class AuditSheet:
    """A table of texts, with a flag for each line: whether its rule or attack is an audited one."""

    title: str
    head: Sequence[str]
    lines: Sequence[tuple[bool, Sequence[str]]]


@dataclass(frozen=True)
class Audit:
    """A table of runs, and the inspections of the audited rules and attacks.

    inspections: by name in the table, also of those that could not be run. costs: of all rules, as multiples of the
    mean's time.
    """

    table: Table
    inspections: Mapping[str, Inspection]
    costs: Mapping[str, float | None] = field(default_factory=dict)

    def is_audited(self, kind: str, name: str) -> bool:
        """Return whether this rule or attack is an audited one."""
        return name in self.inspections and self.inspections[name].kind == kind

    @cached_property
    def standings(self) -> list[Standing]:
        """Return the rules that were also run without an attack, best worst case first."""
        known = [each for each in self.table.standings.values() if each.usual is not None]
        with_costs = [replace(each, cost=self.costs.get(each.rule)) for each in known]
        return sorted(with_costs, key=lambda each: -each.worst.mean)

    @cached_property
    def attack_standings(self) -> list[AttackStanding]:
        """Return the attacks by falling average damage to the built-in rules; empty without such rules."""
        builtin = [each for each in self.table.standings.values() if not self.is_audited("rule", each.rule)]
        standings = []
        for attack in self.table.attacks:
            damages = {each.rule: lost for each in builtin if (lost := each.damage_by(attack)) is not None}
            if damages:
                rule = max(damages, key=lambda name: damages[name])
                average = fmean(damages.values())
                standings.append(
                    AttackStanding(attack, self.is_audited("attack", attack), average, damages[rule], rule)
                )
        return sorted(standings, key=lambda each: -each.average_damage)

    @property
    def least_kappa(self) -> float | None:
        """Return the least kappa that a rule can guarantee; None where half of the rows or more are Byzantine."""
        spec = self.table.records[0].spec
        n, f = spec["sampled"], math.ceil(spec["byzantine"] * spec["sampled"] / spec["clients"])
        return least_kappa(n, f) if n > 2 * f else None

    @property
    def verdict(self) -> list[str]:
        """Return the ranks of the audited rules and attacks, in sentences."""
        return [*self._rule_sentences(), *self._unranked_sentences(), *self._attack_sentences()]

    def _rule_sentences(self) -> list[str]:
        """Return a sentence on each ranked rule, with the plain mean as its baseline."""
        judged = [each for each in self.standings if each.rule in self.table.defences and not self._failed(each.rule)]
        builtin = [each for each in judged if not self.is_audited("rule", each.rule)]
        mean = next((each for each in self.standings if each.rule == self.table.baseline), None)
        sentences = []
        for each in judged:
            if self.is_audited("rule", each.rule):
                text = f"{each.rule} keeps {each.worst.mean:.1f} % under {each.attack}{_lost(each)}."
                if builtin:
                    rank = 1 + sum(other.worst.mean > each.worst.mean for other in judged)
                    text += f" By its worst case it ranks {rank} of {len(judged)}{_level(each, judged)}"
                    text += f"; the best built-in rule is {builtin[0].rule} with {builtin[0].worst.mean:.1f} %."
                if mean is not None:
                    text += f" The plain mean keeps {mean.worst.mean:.1f} %."
                sentences.append(text)
        return sentences

    def _failed(self, name: str) -> bool:
        """Return whether runs of an audited rule or attack failed: the others give no worst case and no average."""
        return name in self.inspections and self.inspections[name].run_failure is not None

    def _unranked_sentences(self) -> list[str]:
        """Return the reason for each audited rule or attack that has no rank."""
        sentences = []
        for name, inspection in self.inspections.items():
            if self._failed(name):
                sentences.append(f"{name} is not ranked: runs of it failed. {inspection.reason}")
            elif inspection.kind == "rule" and name in self.table.unmoved:
                sentences.append(f"{name} is not ranked: it gave a finite aggregate in no round, so no model moved.")
            elif inspection.kind == "rule" and name in self.table.idle:
                sentences.append(f"{name} is not ranked: it was the mean in all of its runs.")
        ranked = [each.attack for each in self.attack_standings]
        for name, inspection in self.inspections.items():
            if inspection.kind == "attack" and name in self.table.attacks and name not in ranked:
                why = "no built-in rule was also run without an attack to the end of its learning curve"
                sentences.append(f"{name} is not ranked: {why}.")
        return sentences

    def _attack_sentences(self) -> list[str]:
        """Return a sentence on each ranked attack."""
        ranked = [each for each in self.attack_standings if not self._failed(each.attack)]
        sentences = []
        for each in ranked:
            if each.audited:
                text = f"{each.attack} costs the built-in rules {each.average_damage:.1f} points on average"
                text += f", {each.rule} most ({each.damage:.1f})."
                builtin = [other for other in ranked if not other.audited]
                if builtin:
                    rank = 1 + sum(other.average_damage > each.average_damage for other in ranked)
                    text += f" It ranks {rank} of {count(len(ranked), 'attack')}; the most harmful built-in attack is "
                    text += f"{builtin[0].attack} with {builtin[0].average_damage:.1f} points."
                sentences.append(text)
        return sentences

    @property
    def sheets(self) -> list[AuditSheet]:
        """Return the tables of the rules and, if an attack is audited, of the attacks."""
        least = "" if self.least_kappa is None else f" (no rule can guarantee a kappa below {self.least_kappa:.2f})"
        rules = [(self.is_audited("rule", each.rule), _texts(each)) for each in self.standings]
        sheets = [AuditSheet(f"Rules, best worst case first{least}", RULE_HEAD, rules)]
        if any(each.audited for each in self.attack_standings):
            attacks = [
                (each.audited, [each.attack, _one_decimal(each.average_damage), _one_decimal(each.damage), each.rule])
                for each in self.attack_standings
            ]
            sheets.append(AuditSheet("Attacks, the most harmful to the built-in rules first", ATTACK_HEAD, attacks))
        return sheets

    def to_json(self) -> dict[str, Any]:
        """Return the content of audit.json."""
        return {
            "federation": self.table.federation,
            "findings": {
                name: {**asdict(each), "failure": each.reason or None} for name, each in self.inspections.items()
            },
            "rules": [{"audited": self.is_audited("rule", each.rule), **_numbers(each)} for each in self.standings],
            "attacks": [asdict(each) for each in self.attack_standings],
            "least_kappa": self.least_kappa,
            "verdict": self.verdict,
        }


def _lost(standing: Standing) -> str:
    """Return the points that a rule loses, as the end of a sentence; why they are unknown, if they are."""
    if standing.damage is None or standing.usual is None:
        return f"; no cost is given, since accuracy still rises at the end ({RISING})"
    text = f", {standing.damage:.1f} points below its own {standing.usual.mean:.1f} % without an attack"
    average = standing.average_damage
    return text if average is None else f"{text}; over all attacks it loses {average:.1f} points on average"


def _level(standing: Standing, judged: Sequence[Standing]) -> str:
    """Return the rules level with one, in brackets; "" with one seed, which tells no two apart."""
    first = [standing, *(other for other in judged if other is not standing)]
    names = level_rules(first) if len(standing.worst.by_seed) > 1 else []
    return f" (level with {', '.join(names)})" if names else ""


def _numbers(standing: Standing) -> dict[str, Any]:
    """Return a rule's entry in audit.json; kappa is the largest over attacks, under kappa_attack."""
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
    """Return a rule's line of the table, a text for each entry of `RULE_HEAD`."""
    line = _numbers(standing)
    share = None if line["share"] is None else 100 * line["share"]
    return [
        line["rule"],
        f"{line['usual']:.1f}",
        line["attack"],
        *(_one_decimal(line[key]) for key in ("left", "damage", "average_damage")),
        "–" if line["kappa"] is None else f"{line['kappa']:.2f}",
        line["kappa_attack"],
        *("–" if value is None else f"{value:.1f}" for value in (share, line["shut_out"], line["cost"])),
    ]


def _one_decimal(value: float | None) -> str:
    """Return a number with one decimal, a dash for None; zero has no minus."""
    return "–" if value is None else f"{round(value, 1) + 0.0:.1f}"
