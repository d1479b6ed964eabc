"""The measures of skew, with their values on IID and on very uneven data, measured by benchmarks/references.py."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

from .statistics import Estimate

PARTITIONS = ("iid", "dirichlet(beta=0.1)")
HONEST, F = 40, 10  # honest updates a round, and f, of the runs that were measured


@dataclass(frozen=True)
class Reference:
    """The lowest and the highest value of a measure over data sets and seeds, for one partition."""

    low: float
    high: float

    @property
    def text(self) -> str:
        return f"{self.low:.2f} to {self.high:.2f}"


@dataclass(frozen=True)
class Measure:
    """A measure of the honest clients: its key in `Skew` or `Lens`, its name in tables, and its meaning."""

    key: str
    name: str
    meaning: str

    @property
    def references(self) -> list[Reference]:
        """Its references on IID data and on Dirichlet(0.1)."""
        return references(self.key)


MEASURES = (
    Measure("above", "Updates above the mean", "part of the updates on the median's side of their mean; 0.5 is even"),
    Measure("skewness", "Skewness", "third moment along the way from mean to median; below 0: a crowd, and a tail"),
    Measure("pearson", "Pearson's skewness", "3 (mean - median) / deviation along the same way; below 0 as above"),
    Measure("principal_skewness", "Skewness, main direction", "third moment along where the updates differ most"),
    Measure("principal_pearson", "Pearson's, main direction", "3 (mean - median) / deviation along that direction"),
    Measure("shift", "Shift of the crowd", "from the mean of all updates to that of the skewed ones, in spreads"),
    Measure("density", "Density of the crowd", "how much nearer its neighbours are than those of the rest; 1 is even"),
)

# How much the honest clients differ, without references: their updates, and their labels.
OF_UPDATES = (
    Measure("spread", "Gradient divergence", "typical distance of an update from the mean (root mean square)"),
    Measure("relative_divergence", "Gradient divergence, relative", "the same over the length of the mean"),
    Measure("dissimilarity", "B-dissimilarity", "typical length of an update over that of the mean; 1: all are alike"),
    Measure("cosine", "Mean cosine of two updates", "1: all point the same way; 0: at right angles"),
    Measure(
        "unit_mean",
        "Length of the mean direction",
        "of the updates, each scaled to length 1; clipped updates need more than f / (n - f)",
    ),
)
OF_LABELS = (
    Measure(
        "label_distance",
        "Mean total variation of labels",
        "distance of a client's mix of classes from that of all; 0 is even",
    ),
    Measure(
        "effective_classes", "Effective classes of a client", "exp of the entropy of its labels; k for k equal parts"
    ),
)
OF_GRADIENTS = (
    Measure(
        "gradient_spread",
        "Divergence of full-batch gradients",
        "typical distance of a gradient on all inputs of a client from the mean (root mean square)",
    ),
    Measure(
        "gradient_relative_divergence",
        "Divergence of full-batch gradients, relative",
        "the same over the length of the mean",
    ),
    Measure(
        "gradient_dissimilarity",
        "B-dissimilarity of full-batch gradients",
        "typical length of a gradient over that of the mean; 1: all are alike",
    ),
    Measure(
        "gradient_cosine",
        "Mean cosine of two full-batch gradients",
        "1: all point the same way; 0: at right angles",
    ),
    Measure(
        "gradient_unit_mean",
        "Length of the mean direction of full-batch gradients",
        "of the gradients, each scaled to length 1",
    ),
)
HETEROGENEITY = (*OF_UPDATES, *OF_GRADIENTS, *OF_LABELS)


def references(key: str) -> list[Reference]:
    """Return the references of a measure of `MEASURES` on IID data and on Dirichlet(0.1)."""
    return [_read()[key, partition] for partition in PARTITIONS]


def reading(values: Iterable[tuple[Measure, Estimate]], sizes: Collection[tuple[int, int]]) -> str:
    """Return a sentence: how many values are beyond those on IID data, and how many reach those on Dirichlet(0.1).

    A value counts if its whole interval does; one without an interval is left out. sizes: the number of honest updates
    and f of each round; the measures depend on both, so that rounds of other sizes are not compared.
    """
    if set(sizes) != {(HONEST, F)}:
        here = f"The references are of {HONEST} honest updates a round and f = {F}"
        return f"{here}: these have other numbers, and are not compared with them."
    beyond = far = total = 0
    for measure, estimate in values:
        if estimate.low is None or estimate.high is None:
            continue
        even, uneven = measure.references
        total += 1
        if uneven.high > even.high:
            beyond, far = beyond + (estimate.low > even.high), far + (estimate.low >= uneven.low)
        else:
            beyond, far = beyond + (estimate.high < even.low), far + (estimate.high <= uneven.high)
    sentence = f"Beyond even (IID) data with their whole interval: {beyond} of {total} measures"
    return f"{sentence}; as far as very uneven data (Dirichlet 0.1): {far}."


@cache
def _read() -> dict[tuple[str, str], Reference]:
    """Read the references by measure and partition from references.csv."""
    text = resources.files(__package__).joinpath("references.csv").read_text(encoding="utf-8")
    ranges: dict[tuple[str, str], Reference] = {}
    for line in csv.DictReader(text.splitlines()):
        key, low, high = (line["measure"], line["partition"]), float(line["low"]), float(line["high"])
        known = ranges.get(key, Reference(low, high))
        ranges[key] = Reference(min(low, known.low), max(high, known.high))
    return ranges
