"""Summarize the cells of a table and of each rule, for table, verdict, audit, page and exports."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, pstdev

from ..runs.record import Record
from .lens import Lens


@dataclass(frozen=True)
class Cell:
    """The records of one attack against one rule, over seeds. Standard deviations divide by the count."""

    records: Sequence[Record]

    @cached_property
    def mean(self) -> float:
        return fmean(record.accuracy for record in self.records)

    @cached_property
    def std(self) -> float:
        return pstdev(record.accuracy for record in self.records)

    @property
    def text(self) -> str:
        return f"{self.mean:.1f}" if len(self.records) == 1 else f"{self.mean:.1f} ±{self.std:.1f}"

    @property
    def moved(self) -> bool:
        """Return whether the model moved, since an aggregate was finite, in any round."""
        return any(metrics["stepped"] for record in self.records for metrics in record.rounds)

    @cached_property
    def lenses(self) -> list[Lens]:
        return [Lens(record) for record in self.records]

    def average(self, metric: str) -> float | None:
        """Return the mean of a metric over rounds and seeds; None where no round has it."""
        values = [value for record in self.records if (value := record.average(metric)) is not None]
        return fmean(values) if values else None

    def series(self, name: str) -> list[float]:
        """Return the finite values of a series of the lens, over rounds and seeds."""
        values = [value for lens in self.lenses for value in lens.series(name)]
        return [value for value in values if value is not None and math.isfinite(value)]

    def lens_average(self, name: str) -> float | None:
        """Return the mean of a series of the lens over rounds and seeds; None where no round has it."""
        values = self.series(name)
        return fmean(values) if values else None


@dataclass(frozen=True)
class Standing:
    """A rule without an attack and under attacks: accuracies in %, damage in points below the accuracy without one.

    usual: the cell without an attack, if it was run. attacked: the other cells by attack, at least one. cost: the time
    as a multiple of the mean's, if measured.
    """

    rule: str
    usual: Cell | None
    attacked: Mapping[str, Cell]
    cost: float | None = None

    @cached_property
    def attack(self) -> str:
        """Return the attack of lowest accuracy."""
        return min(self.attacked, key=lambda attack: self.attacked[attack].mean)

    @property
    def worst(self) -> Cell:
        return self.attacked[self.attack]

    def damage_by(self, attack: str) -> float | None:
        """Return the points that an attack costs; None where one of the two cells is missing."""
        cell = self.attacked.get(attack)
        return None if self.usual is None or cell is None else self.usual.mean - cell.mean

    @property
    def damage(self) -> float | None:
        return self.damage_by(self.attack)

    @property
    def is_hurt(self) -> bool:
        """Return whether the worst attack lowers the accuracy; True if the accuracy without an attack is unknown."""
        return self.damage is None or self.damage > 0

    @property
    def average(self) -> float:
        return fmean(cell.mean for cell in self.attacked.values())

    @property
    def average_std(self) -> float:
        """Return the standard deviation over seeds of the average over attacks."""
        by_seed: dict[int, list[float]] = {}
        for cell in self.attacked.values():
            for record in cell.records:
                by_seed.setdefault(record.spec["seed"], []).append(record.accuracy)
        return pstdev(fmean(accuracies) for accuracies in by_seed.values())

    @property
    def average_text(self) -> str:
        """Return the average as text: `43.2`, or `43.2 ±1.5` for several seeds."""
        many = len(self.worst.records) > 1
        return f"{self.average:.1f} ±{self.average_std:.1f}" if many else f"{self.average:.1f}"

    @property
    def average_damage(self) -> float | None:
        return None if self.usual is None else fmean(self.usual.mean - cell.mean for cell in self.attacked.values())

    @cached_property
    def kappas(self) -> dict[str, float]:
        """Return the mean empirical kappa under each attack, largest first."""
        known = {
            attack: kappa for attack, cell in self.attacked.items() if (kappa := cell.lens_average("kappa")) is not None
        }
        return dict(sorted(known.items(), key=lambda item: -item[1]))

    @property
    def share(self) -> float | None:
        """Return the Byzantine rows' share of the weight under the worst attack; None without weights."""
        return self.worst.average("byzantine_share")

    @property
    def shut_out(self) -> float | None:
        """Return the mean number of honest rows shut out per round under the worst attack; None without weights."""
        return self.worst.lens_average("shut_out")
