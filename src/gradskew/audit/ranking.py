"""Rank a user's rules and attacks among the built-in ones in one federation, from records and findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import fmean

from ..report.comparison import Column
from ..report.standing import Standing
from ..report.table import Table
from .inspector import Inspection


@dataclass(frozen=True)
class AttackStanding:
    """An attack on the built-in rules: its damage in points, on average and at most, and the rule of the latter."""

    attack: str
    audited: bool
    average_damage: float
    damage: float
    rule: str


@dataclass(frozen=True)
class Ranking:
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

    def has_failed(self, name: str) -> bool:
        """Return whether runs of an audited rule or attack failed: the others give no worst case and no average."""
        return name in self.inspections and self.inspections[name].run_failure is not None

    @cached_property
    def unranked(self) -> dict[str, str]:
        """Return in a few words why a rule has no rank, for each rule that has none."""
        means = [name for name, each in self.inspections.items() if each.kind == "rule" and each.is_the_mean]
        constant = [name for name, each in self.inspections.items() if each.kind == "rule" and each.ignores_its_rows]
        failed = [name for name in self.inspections if self.has_failed(name)]
        why = dict.fromkeys(self.table.unasked, "failed on most tries")
        why |= dict.fromkeys(means, "is the mean") | dict.fromkeys(self.table.idle, "is the mean here")
        why |= dict.fromkeys(constant, "ignores its rows")
        why |= dict.fromkeys(self.table.unmoved, "never moved") | dict.fromkeys(failed, "failed in runs")
        return why | ({self.table.baseline: "no defence"} if self.table.baseline else {})

    @cached_property
    def standings(self) -> list[Standing]:
        """Return the rules also run without an attack, highest worst found first, those without a rank last."""
        known = [each for each in self.table.standings.values() if each.usual is not None]
        with_costs = [replace(each, cost=self.costs.get(each.rule)) for each in known]
        worst = {each.rule: each.worst.mean if self.table.comparable else 0.0 for each in known}
        return sorted(with_costs, key=lambda each: (each.rule in self.unranked, -worst[each.rule]))

    @cached_property
    def judges(self) -> list[Standing]:
        """Return the built-in rules for which the cost of every attack is known: attacks are compared on these."""
        builtin = [each for each in self.table.standings.values() if not self.is_audited("rule", each.rule)]
        return [each for each in builtin if all(each.damage_by(attack) is not None for attack in self._attacks)]

    @property
    def _attacks(self) -> list[str]:
        return [attack for attack in self.table.attacks if attack != "none" and not self.has_failed(attack)]

    @cached_property
    def attack_standings(self) -> list[AttackStanding]:
        """Return the attacks by falling average damage to the judges; empty without one, or without a common seed."""
        standings = []
        for attack in self._attacks if self.judges and self.table.common_seeds else ():
            damages = {each.rule: each.damage_by(attack) or 0.0 for each in self.judges}
            rule, average = max(damages, key=lambda name: damages[name]), fmean(damages.values())
            standings.append(AttackStanding(attack, self.is_audited("attack", attack), average, damages[rule], rule))
        return sorted(standings, key=lambda each: -each.average_damage)

    def left_by(self, attack: str) -> Column:
        """Return the accuracy that an attack leaves, the mean over the judges, by seed."""
        seeds = self.table.common_seeds
        return {seed: fmean(each.attacked[attack].by_seed[seed] for each in self.judges) for seed in sorted(seeds)}
