"""Summarize the cells of each rule, for table, verdict, audit and page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from .cell import Cell, accuracy_text
from .comparison import Column, better_than, level_with


@dataclass(frozen=True)
class Standing:
    """A rule without an attack and under attacks: accuracies in %, damage in points below the accuracy without one.

    Its number is the worst found: the least accuracy over the attacks of each seed, then the mean over seeds.

    usual: the cell without an attack, if it was run. attacked: the other cells by attack, at least one. cost: the time
    as a multiple of the mean's, if measured. Damage is known only of curves that have ended.
    """

    rule: str
    usual: Cell | None
    attacked: Mapping[str, Cell]
    cost: float | None = None

    @cached_property
    def attack(self) -> str:
        """Return the attack of lowest mean accuracy."""
        return min(self.attacked, key=lambda attack: self.attacked[attack].mean)

    @cached_property
    def found_by(self) -> dict[int, str]:
        """Return for each seed the attack that leaves the lowest accuracy."""
        seeds = sorted({seed for cell in self.attacked.values() for seed in cell.by_seed})
        left = {attack: cell.by_seed for attack, cell in self.attacked.items()}
        return {seed: min(left, key=lambda attack: left[attack].get(seed, math.inf)) for seed in seeds}

    @property
    def finders(self) -> list[str]:
        """Return the attacks that leave the lowest accuracy on some seed, those of most seeds first."""
        return [attack for attack, _ in Counter(self.found_by.values()).most_common()]

    @cached_property
    def worst(self) -> Cell:
        """Return the worst found: the runs of `found_by`, for each seed."""
        cells = [self.attacked[attack].of_seeds({seed}) for seed, attack in self.found_by.items()]
        return Cell([record for cell in cells for record in cell.records])

    @property
    def federations(self) -> int:
        """Return how many attacked federations were played."""
        return sum(len(cell.records) for cell in self.attacked.values())

    def damage_by(self, attack: str) -> float | None:
        """Return the points that an attack costs, on the seeds of both cells; None where a curve has not ended."""
        return self._points_below_usual(self.attacked.get(attack))

    @property
    def damage(self) -> float | None:
        """Return the points from the accuracy without an attack to the worst found; None as in `damage_by`."""
        return self._points_below_usual(self.worst)

    def _points_below_usual(self, cell: Cell | None) -> float | None:
        usual = self.usual
        if usual is None or cell is None or not (usual.has_ended and cell.has_ended):
            return None
        lost = [usual.by_seed[seed] - cell.by_seed[seed] for seed in usual.by_seed if seed in cell.by_seed]
        return fmean(lost) if lost else None

    @property
    def is_hurt(self) -> bool:
        """Return whether the worst found is below the accuracy without an attack; True if that is unknown."""
        return self.usual is None or self.worst.mean < self.usual.mean

    @property
    def half_width(self) -> float | None:
        """Return half the width of the 95 % interval of the worst found, in points; None if nothing is known of it."""
        return self.worst.half_width

    @property
    def columns(self) -> list[Column]:
        """Return the accuracies under each attack, by seed."""
        return [cell.by_seed for cell in self.attacked.values()]

    @property
    def test_size(self) -> int | None:
        """Return the number of test inputs; None if no record says it."""
        return next((size for cell in self.attacked.values() if (size := cell.test_size) is not None), None)

    @property
    def average(self) -> float:
        return fmean(cell.mean for cell in self.attacked.values())

    @cached_property
    def average_by_seed(self) -> dict[int, float]:
        """Return the average over attacks for each seed that has all of them."""
        seeds = [seed for seed in self.columns[0] if all(seed in column for column in self.columns)]
        return {seed: fmean(column[seed] for column in self.columns) for seed in seeds}

    @property
    def average_text(self) -> str:
        """Return the average as text: `43.2`, or `43.2 ±1.5` with the standard deviation over several seeds."""
        return accuracy_text(list(self.average_by_seed.values()) or [self.average])

    @property
    def average_damage(self) -> float | None:
        """Return the points that the attacks cost on average; None if the points of one of them are unknown."""
        damages = [damage for attack in self.attacked if (damage := self.damage_by(attack)) is not None]
        return fmean(damages) if len(damages) == len(self.attacked) else None

    @cached_property
    def kappas(self) -> dict[str, float]:
        """Return the mean empirical kappa under each attack, largest first."""
        known = {
            attack: kappa for attack, cell in self.attacked.items() if (kappa := cell.lens_average("kappa")) is not None
        }
        return dict(sorted(known.items(), key=lambda item: -item[1]))

    @property
    def share(self) -> float | None:
        """Return the Byzantine rows' share of the weight in the worst found; None without weights."""
        return self.worst.average("byzantine_share")

    @property
    def shut_out(self) -> float | None:
        """Return the mean number of honest rows shut out per round in the worst found; None without weights."""
        return self.worst.lens_average("shut_out")


def level_rules(ranked: Sequence[Standing]) -> list[str]:
    """Return the rules whose worst case cannot be told from that of the first: see `comparison.level_with`."""
    columns = {standing.rule: standing.columns for standing in ranked}
    return level_with(ranked[0].rule, columns, ranked[0].test_size)


def better_rules(mean: Standing, others: Sequence[Standing]) -> list[str]:
    """Return the rules whose worst case can be told from the plain mean's as better: see `comparison.better_than`."""
    columns = {standing.rule: standing.columns for standing in (mean, *others)}
    return better_than(mean.rule, columns, mean.test_size)
