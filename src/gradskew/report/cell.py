"""One attack against one rule, over seeds, and its figures as text."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean, stdev

from ..federation.curve import RISING, has_ended, still_rises
from ..federation.metrics import TESTED
from ..runs.record import Record
from .comparison import half_width
from .lens import Lens


@dataclass(frozen=True)
class Cell:
    """The records of one attack against one rule, over seeds: accuracies in %."""

    records: Sequence[Record]

    @cached_property
    def mean(self) -> float:
        return fmean(self.by_seed.values())

    @cached_property
    def std(self) -> float:
        """Return the sample standard deviation over seeds (n - 1); 0 with one."""
        return spread(list(self.by_seed.values()))

    @property
    def seeds(self) -> frozenset[int]:
        return frozenset(record.spec["seed"] for record in self.records)

    @cached_property
    def by_seed(self) -> dict[int, float]:
        """Return the accuracy of each seed."""
        seeds = dict.fromkeys(record.spec["seed"] for record in self.records)
        return {seed: fmean(r.accuracy for r in self.records if r.spec["seed"] == seed) for seed in seeds}

    def of_seeds(self, seeds: Collection[int]) -> Cell:
        """Return the cell with the records of these seeds only."""
        return replace(self, records=[record for record in self.records if record.spec["seed"] in seeds])

    @property
    def test_size(self) -> int | None:
        """Return the number of test inputs; None if no record says it, and for R², which is no share of them."""
        if self.records[0].spec.get("loss") == "squared":
            return None
        return next((record.test_size for record in self.records if record.test_size is not None), None)

    @cached_property
    def half_width(self) -> float | None:
        """Return half the width of the 95 % interval of the mean, in points: see `comparison.half_width`."""
        return half_width(self.by_seed, self.test_size)

    @cached_property
    def rises(self) -> bool:
        """Return whether the curve, the mean over seeds, still rises at its end: see `runs.curve.still_rises`."""
        return still_rises(self.records[0].tested, self._curve)

    @cached_property
    def has_ended(self) -> bool:
        """Return whether the curve is known to have ended, so that a cost can be given: see `runs.curve.has_ended`."""
        return has_ended(self.records[0].tested, self._curve)

    @property
    def _curve(self) -> list[float]:
        return [fmean(values) for values in zip(*(record.accuracies for record in self.records), strict=True)]

    @property
    def text(self) -> str:
        """Return the mean, the standard deviation over several seeds, and a mark if the curve still rises, as text."""
        return accuracy_text(list(self.by_seed.values())) + RISING * self.rises

    @property
    def mean_text(self) -> str:
        """Return the mean, and a mark if the curve still rises, as text."""
        return f"{self.mean:.1f}" + RISING * self.rises

    @property
    def moved(self) -> bool:
        """Return whether the model moved, since an aggregate was finite, in any round."""
        return any(any(record.columns["stepped"]) for record in self.records)

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


def number_text(value: float) -> str:
    """Return a number with two decimals, from 1,000 on with two digits.

    >>> number_text(-0.125), number_text(123456.0)
    ('-0.12', '1.2e+05')
    """
    return f"{round(value, 2) + 0.0:.2f}" if abs(value) < 1000 else f"{value:.2g}"  # no -0.00


def spread(values: Sequence[float]) -> float:
    """Return the sample standard deviation (n - 1); 0 for one value."""
    return stdev(values) if len(values) > 1 else 0.0


def measure_of(records: Iterable[Record]) -> str:
    """Return what the accuracies in % of runs are, by their loss; `accuracy` for runs of several losses."""
    losses = {record.spec.get("loss", "cross_entropy") for record in records}
    return TESTED[losses.pop()] if len(losses) == 1 else "accuracy"


def accuracy_text(values: Sequence[float]) -> str:
    """Return the mean with one decimal, and the sample standard deviation of several values.

    >>> accuracy_text([40.0, 42.0, 47.0]), accuracy_text([43.24])
    ('43.0 ±3.6', '43.2')
    """
    return f"{fmean(values):.1f}" + (f" ±{spread(values):.1f}" if len(values) > 1 else "")
