"""Read the lens's measurements of a run, as series over rounds and as means with intervals, from a record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np

from ..runs.columns import HONEST, LENS
from ..runs.record import Record
from ..skew.heterogeneity import (
    Pairs,
    dissimilarity,
    effective_classes,
    label_distance,
    pairs,
    relative_divergence,
    unit_mean,
)
from ..skew.references import HETEROGENEITY, MEASURES, Measure
from ..skew.statistics import PROJECTED, Estimate, Floats, interval, intervals, mean_estimate, resampled

RESAMPLED = 200  # bootstrap samples of an interval
AT_ONCE = 2**15  # resampled projections that are in memory at the same time, about
OF_LENGTHS = {"relative_divergence": relative_divergence, "dissimilarity": dissimilarity}
GRADIENT = "gradient_"  # before the name of a measure of the full-batch gradients
OF_LABELS = {"label_distance": label_distance, "effective_classes": effective_classes}


class Lens:
    """The lens's measurements in the run of a record.

    rounds: the rounds with an honest row; empty without the lens.
    """

    def __init__(self, record: Record):
        self.record = record

    @property
    def rounds(self) -> list[int]:
        return self.column("round")

    def column(self, name: str) -> list[Any]:
        """Return what the record has of a measure for each of the rounds, None where it is undefined or missing."""
        return self.record.columns[LENS + name]

    @property
    def honest(self) -> list[int]:
        """Return the number of honest rows for each of the rounds."""
        return self.column(HONEST)

    def series(self, name: str) -> list[float | None]:
        """Return a measure for each of the rounds, None where it is undefined or not in the record.

        `above`, `skewness`, `pearson`, `principal_skewness`, `principal_pearson`, `f`, `skewed`, `principal_share`,
        `shift`, `density`, `spread`, `farthest`, `mean_norm`, `cosine`, `relative_divergence`, `dissimilarity`,
        `unit_mean`: of the honest rows, see `gradskew.skew.Skew`. `label_distance`, `effective_classes`: of the labels
        of their clients, see `gradskew.skew.heterogeneity`. `gradient_` and `spread`, `mean_norm`, `cosine`,
        `relative_divergence`, `dissimilarity`, `unit_mean`: of the clients' full-batch gradients. `kappa`, `kappa_max`
        (so far), `kappa_bound` (infinite where none is finite), `progress`, `selected`, `shut_out` (number of honest
        rows): of the rule.
        """
        if name in OF_LABELS:
            return [OF_LABELS[name](counts) if counts else None for counts in self._counts_by_round]
        kind = GRADIENT if name.startswith(GRADIENT) else ""
        if name == kind + "unit_mean":
            cosines = zip(self.series(kind + "cosine"), self.honest, strict=True)
            return [None if value is None else unit_mean(value, honest) for value, honest in cosines]
        if name == "kappa_max":
            return list(accumulate(self.series("kappa"), _larger))
        if (of_lengths := OF_LENGTHS.get(name.removeprefix(kind))) is not None:
            lengths = zip(self.series(kind + "spread"), self.series(kind + "mean_norm"), strict=True)
            return [None if a is None or b is None else of_lengths(a, b) for a, b in lengths]
        number = len if name == "shut_out" else float
        return [None if value is None else number(value) for value in self.column(name)]

    def estimate(self, name: str) -> Estimate | None:
        """Return the mean of a series over its rounds, with an interval for the projections; None if it is empty.

        `label_distance` and `effective_classes` are those of all honest clients. The interval is a bootstrap over
        clients: the same draw in every round of equally many clients, with the directions fixed.
        """
        if name in OF_LABELS:
            of_labels = OF_LABELS[name](self._counts)
            return None if of_labels is None else Estimate(of_labels)
        values = [value for value in self.series(name) if value is not None]
        if not values:
            return None
        mean = sum(values) / len(values)
        if name not in PROJECTED:
            return Estimate(mean)
        return Estimate(mean, *(interval(_mean_of_finite(self._resampled(name))) or ()))

    @property
    def _counts(self) -> Sequence[Sequence[int]]:
        """The class counts of the honest clients; empty if the record has none."""
        return (self.record.class_counts or [])[self.record.spec.get("byzantine", 0) :]

    @property
    def _counts_by_round(self) -> Iterable[Sequence[Sequence[int]]]:
        """Yield for each of the rounds the class counts of its honest clients; empty ones if the record has none."""
        counts = self.record.class_counts
        for present in self.column("clients"):
            yield self._counts if present is None or not counts else [counts[client] for client in present]

    @cached_property
    def byzantine_ratio(self) -> float | None:
        """f / (n - f), with the f that the measures suppose; None if it is not the same in all rounds, or 0."""
        byzantine = self.record.columns["byzantine_rows"]
        of_rounds = zip(self.column("f"), self.honest, [byzantine[round] for round in self.rounds], strict=True)
        ratios = {f / honest if rows else f / (honest - f) for f, honest, rows in of_rounds}
        ratio = ratios.pop() if len(ratios) == 1 else 0.0
        return ratio or None

    def band(self, name: str) -> list[tuple[float, float] | None]:
        """Return the 95 % bootstrap interval of a statistic of the clients' projections for each round."""
        return intervals(self._resampled(name))

    def _resampled(self, name: str) -> Floats:
        """Return bootstrap resamples of a statistic of the clients' projections: (rounds, RESAMPLED)."""
        kind, statistic = PROJECTED[name]
        projections = self.column(kind)
        if len({*map(len, projections)}) != 1:
            return np.array([resampled(statistic, each, RESAMPLED) for each in projections])
        rounds = np.array(projections)
        parts = np.array_split(rounds, min(len(rounds), 1 + rounds.size * RESAMPLED // AT_ONCE))
        return np.concatenate([resampled(statistic, part, RESAMPLED) for part in parts])

    @cached_property
    def shut_out_rates(self) -> dict[int, float]:
        """Return by honest client the share of its rounds in which its weight was below half of 1/n.

        Empty for a rule without weights.
        """
        present: Counter[int] = Counter()
        lost: Counter[int] = Counter()
        every = range(self.record.spec["byzantine"], self.record.spec["clients"])
        for shut_out, clients in zip(self.column("shut_out"), self.column("clients"), strict=True):
            if shut_out is not None:
                present.update(every if clients is None else clients)
                lost.update(shut_out)
        return {client: lost[client] / times for client, times in sorted(present.items())}

    def classes_shut_out(self) -> list[float] | None:
        """Return by class the share of the honest clients' inputs that were shut out, averaged over rounds.

        None without class counts, or for a rule without weights; 0 for a class that no honest client has.
        """
        counts = self.record.class_counts
        if counts is None or not self.shut_out_rates:
            return None
        inputs = np.array([counts[client] for client in self.shut_out_rates], dtype=np.float64)
        lost = np.array(list(self.shut_out_rates.values())) @ inputs
        return [float(value) for value in lost / inputs.sum(0).clip(min=1)]

    def class_accuracies(self) -> list[float | None] | None:
        """Return the test accuracy on each class in the last round, in percent."""
        tested = [classes for classes in self.column("classes") if classes is not None]
        return tested[-1] if tested else None


@dataclass(frozen=True)
class Overview:
    """The honest clients over several runs, their skew and their differences: means over rounds, averaged over runs."""

    lenses: Sequence[Lens]

    @property
    def values(self) -> list[tuple[Measure, Estimate]]:
        """Return the measures of the runs with their values."""
        return self._values(MEASURES)

    @property
    def heterogeneity(self) -> list[tuple[Measure, Estimate]]:
        """Return the measures of how much the clients of the runs differ, with their values."""
        return self._values(HETEROGENEITY)

    def pairs(self, kind: str = "") -> Pairs | None:
        """Return the pairs (G, B) that hold in all rounds of all runs; None if no round has the lengths.

        kind: of the updates; with GRADIENT of the full-batch gradients.
        """
        lengths = [
            (norm, spread)
            for lens in self.lenses
            for norm, spread in zip(lens.series(kind + "mean_norm"), lens.series(kind + "spread"), strict=True)
            if norm is not None and spread is not None
        ]
        return pairs([norm for norm, _ in lengths], [spread for _, spread in lengths])

    @property
    def pairs_text(self) -> str:
        """Return a sentence on the pairs (G, B), and one on those of full-batch gradients; "" without them."""
        updates, gradients = self.pairs(), self.pairs(GRADIENT)
        text = "" if updates is None else f"In every round mean |g|² ≤ G² + B² |mean|²: {_listed(updates)}."
        return text if gradients is None else f"{text} Of the full-batch gradients: {_listed(gradients)}."

    @property
    def sizes(self) -> set[tuple[int, int]]:
        """Return the numbers of honest rows and f that the rounds have."""
        return {pair for lens in self.lenses for pair in zip(lens.honest, map(int, lens.column("f")), strict=True)}

    @property
    def supposed(self) -> str:
        """Return a text on the assumed f and the size of S."""
        f, size = (self._range(name) for name in ("f", "skewed"))
        return f"f = {f}, S is {size} of the honest updates"

    def _values(self, measures: Iterable[Measure]) -> list[tuple[Measure, Estimate]]:
        values = [(measure, mean_estimate(lens.estimate(measure.key) for lens in self.lenses)) for measure in measures]
        return [(measure, value) for measure, value in values if value is not None]

    def _range(self, name: str) -> str:
        numbers = sorted({int(value) for lens in self.lenses for value in lens.series(name) if value is not None})
        if not numbers:
            return "unknown"
        return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def _listed(found: Pairs) -> str:
    """Return the pairs (G, B) as text."""
    parts = [] if found.without_g is None else [f"B = {found.without_g.factor:.3g} at G = 0"]
    parts.append(f"G = {found.with_b_one.constant:.3g} at B = 1")
    if found.between is not None:
        parts.append(f"G = {found.between.constant:.3g} with B = {found.between.factor:.3g} between them")
    return ", ".join(parts)


def _larger(a: float | None, b: float | None) -> float | None:
    return b if a is None else a if b is None else max(a, b)


def _mean_of_finite(values: Floats) -> Floats:
    """Return the mean over rounds (first axis) of the finite values, NaN where none is finite."""
    good = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(good, values, 0).sum(0) / good.sum(0))
