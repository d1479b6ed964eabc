"""What skew is on even and on very uneven data: references that benchmarks/references.py measured."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

PARTITIONS = ("iid", "dirichlet(beta=0.1)")


@dataclass(frozen=True)
class Reference:
    """The lowest and the highest value of a measure, over data sets and seeds, under one partition."""

    low: float
    high: float

    @property
    def text(self) -> str:
        return f"{self.low:.2f} to {self.high:.2f}"


def references(measure: str) -> list[Reference]:
    """The references of a measure: on IID data, and on Dirichlet(0.1)."""
    return [_all()[measure, partition] for partition in PARTITIONS]


@cache
def _all() -> dict[tuple[str, str], Reference]:
    text = resources.files("gradskew").joinpath("references.csv").read_text(encoding="utf-8")
    found: dict[tuple[str, str], Reference] = {}
    for line in csv.DictReader(text.splitlines()):
        key, low, high = (line["measure"], line["partition"]), float(line["low"]), float(line["high"])
        known = found.get(key, Reference(low, high))
        found[key] = Reference(min(low, known.low), max(high, known.high))
    return found
