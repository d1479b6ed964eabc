"""The measures of skew, and what they are on even and on very uneven data: benchmarks/references.py measured that."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

from .statistics import Estimate

PARTITIONS = ("iid", "dirichlet(beta=0.1)")


@dataclass(frozen=True)
class Reference:
    """The lowest and the highest value of a measure, over data sets and seeds, under one partition."""

    low: float
    high: float

    @property
    def text(self) -> str:
        return f"{self.low:.2f} to {self.high:.2f}"


@dataclass(frozen=True)
class Measure:
    """A number on the honest updates: its key in `Skew`, its name, and how to read it."""

    key: str
    name: str
    meaning: str

    @property
    def references(self) -> list[Reference]:
        """On IID data, and on Dirichlet(0.1)."""
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


def references(key: str) -> list[Reference]:
    """The references of a measure: on IID data, and on Dirichlet(0.1)."""
    return [_all()[key, partition] for partition in PARTITIONS]


def reading(values: Iterable[tuple[Measure, Estimate]]) -> str:
    """One sentence: how many of the measures are beyond what even data give, and how many as far as very uneven."""
    beyond = far = total = 0
    for measure, estimate in values:
        even, uneven = measure.references
        sign = 1 if uneven.high > even.high else -1
        total += 1
        beyond += sign * estimate.value > sign * (even.high if sign > 0 else even.low)
        far += sign * estimate.value >= sign * (uneven.low if sign > 0 else uneven.high)
    said = f"{beyond} of {total} measures are beyond what even (IID) data gave"
    return f"{said}, {far} as far as very uneven data (Dirichlet 0.1)."


@cache
def _all() -> dict[tuple[str, str], Reference]:
    text = resources.files(__package__).joinpath("references.csv").read_text(encoding="utf-8")
    found: dict[tuple[str, str], Reference] = {}
    for line in csv.DictReader(text.splitlines()):
        key, low, high = (line["measure"], line["partition"]), float(line["low"]), float(line["high"])
        known = found.get(key, Reference(low, high))
        found[key] = Reference(min(low, known.low), max(high, known.high))
    return found
