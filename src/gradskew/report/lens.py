"""What the lens measured in a run, as series over its rounds and as averages with an interval. Reads a record only."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np

from ..federation.metrics import Metrics
from ..runs.record import Record
from ..skew.measures import PROJECTED
from ..skew.references import MEASURES, Measure
from ..skew.statistics import Estimate, Floats, interval, mean_estimate, resampled

RESAMPLED = 200  # for a band over rounds


class Lens:
    """What the lens measured in the run of a record.

    rounds: those in which a row was honest; empty without the lens.
    """

    def __init__(self, record: Record):
        self.record = record

    @property
    def seen(self) -> list[Metrics]:
        """What the lens measured in each of the rounds."""
        return [metrics["lens"] for metrics in self.record.rounds if metrics.get("lens")]

    @property
    def rounds(self) -> list[int]:
        return [metrics["round"] for metrics in self.record.rounds if metrics.get("lens")]

    def series(self, name: str) -> list[float | None]:
        """Return a number for each of the rounds, or None.

        `above`, `skewness`, `pearson`, `principal_skewness`, `principal_pearson`, `f`, `skewed`, `principal_share`,
        `shift`, `density`, `spread`: of the honest rows, see `gradskew.skew.Skew`. `kappa`, `kappa_max` (so far),
        `kappa_bound` (infinite where none is finite), `selected`, `shut_out` (how many honest rows): of the rule.
        """
        if name in PROJECTED:
            kind, statistic = PROJECTED[name]
            values = [float(statistic(np.array(seen[kind]))) for seen in self.seen]
            return [value if math.isfinite(value) else None for value in values]
        if name == "kappa_max":
            return list(accumulate(self.series("kappa"), _larger))
        number = len if name == "shut_out" else float
        return [None if seen[name] is None else number(seen[name]) for seen in self.seen]

    def estimate(self, name: str) -> Estimate | None:
        """Return the mean of a series over its rounds; None if it is empty.

        The interval of a statistic of the clients' projections: clients are drawn with replacement, the same in each
        round with equally many of them, and the directions are taken as they are.
        """
        values = [value for value in self.series(name) if value is not None]
        if not values:
            return None
        mean = sum(values) / len(values)
        if name not in PROJECTED:
            return Estimate(mean)
        kind, statistic = PROJECTED[name]
        of_rounds = np.array([resampled(statistic, seen[kind], RESAMPLED) for seen in self.seen])
        return Estimate(mean, *(interval(_mean_of_finite(of_rounds)) or ()))

    def band(self, name: str) -> list[tuple[float, float] | None]:
        """Return the 95 % bootstrap interval of a statistic of the clients' projections, round by round."""
        kind, statistic = PROJECTED[name]
        return [interval(resampled(statistic, seen[kind], RESAMPLED)) for seen in self.seen]

    @cached_property
    def shut_out_rates(self) -> dict[int, float]:
        """For each honest client that took part, the share of its rounds in which it got less than half an even weight.

        Empty for a rule that weighs no rows.
        """
        present: Counter[int] = Counter()
        lost: Counter[int] = Counter()
        every = range(self.record.spec["byzantine"], self.record.spec["clients"])
        for seen in self.seen:
            if seen["shut_out"] is not None:
                present.update(every if seen["clients"] is None else seen["clients"])
                lost.update(seen["shut_out"])
        return {client: lost[client] / times for client, times in sorted(present.items())}

    def classes_shut_out(self) -> list[float] | None:
        """Return for each class the share of the honest clients' images that were shut out, averaged over rounds.

        None without class counts, or for a rule that weighs no rows; a class that no honest client holds counts 0.
        """
        counts = self.record.class_counts
        if counts is None or not self.shut_out_rates:
            return None
        images = np.array([counts[client] for client in self.shut_out_rates], dtype=np.float64)
        lost = np.array(list(self.shut_out_rates.values())) @ images
        return [float(value) for value in lost / images.sum(0).clip(min=1)]

    def class_accuracies(self) -> list[float | None] | None:
        """Return the test accuracy on each class in the last round, in percent."""
        tested = [seen["classes"] for seen in self.seen if seen["classes"] is not None]
        return tested[-1] if tested else None


@dataclass(frozen=True)
class Overview:
    """The skew of the honest rows over several runs: the means over rounds, averaged over runs."""

    lenses: Sequence[Lens]

    @property
    def values(self) -> list[tuple[Measure, Estimate]]:
        """The measures that the runs have, with their values."""
        made = [(measure, mean_estimate(lens.estimate(measure.key) for lens in self.lenses)) for measure in MEASURES]
        return [(measure, value) for measure, value in made if value is not None]

    @property
    def supposed(self) -> str:
        """The f that S is made for, and the size of S."""
        f, size = (self._range(name) for name in ("f", "skewed"))
        return f"f = {f}, S is {size} of the honest updates"

    def _range(self, name: str) -> str:
        numbers = sorted({int(value) for lens in self.lenses for value in lens.series(name) if value is not None})
        few = "unknown" if not numbers else str(numbers[0])
        return few if len(numbers) < 2 else f"{numbers[0]} to {numbers[-1]}"


def _larger(a: float | None, b: float | None) -> float | None:
    return b if a is None else a if b is None else max(a, b)


def _mean_of_finite(values: Floats) -> Floats:
    """The mean over rounds (first axis) of what is finite, NaN where nothing is."""
    good = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(good, values, 0).sum(0) / good.sum(0))
