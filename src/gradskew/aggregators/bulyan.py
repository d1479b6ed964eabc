from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core import columns
from ..core.errors import check_choice
from ..core.rows import Rows
from .base import Aggregator, Outcome
from .ties import lowest


@dataclass(frozen=True, kw_only=True)
class Bulyan(Aggregator):
    """Select n - 2 f rows by Krum, then take in each column the mean of the n - 4 f entries nearest to their median.

    The rows are selected one by one: that of the least sum of squared distances to its max(1, n' - f - 2) nearest other
    rows among the n' that remain. Ties go to the lower index. Entries at the distance of the cut share the remaining
    places equally.

    select: `recursive`, or `once`, the n - 2 f rows of the least scores among all n. middle: the median for an even
    number of rows, as in `Median`.

    >>> Bulyan()(torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0], [100.0]]), f=1)
    tensor([2.])
    """

    key: ClassVar[str] = "bulyan"
    title: ClassVar[str] = "Bulyan"
    source: ClassVar[str] = "El Mhamdi, Guerraoui and Rouault, ICML 2018"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"flower": {"select": "once"}}
    select: str = "recursive"
    middle: str = "midpoint"

    def __post_init__(self) -> None:
        check_choice("select", self.select, ("recursive", "once"))
        check_choice("middle", self.middle, columns.MIDDLES)

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        chosen = self.chosen(rows.squared_distances.cpu(), f)
        selection = torch.eye(rows.n, dtype=torch.float64)[chosen]
        value = columns.nearest_mean(rows.mix(selection), rows.n - 4 * f, middle=self.middle)
        return Outcome(value, None, {"selected": len(chosen)})

    def chosen(self, distances: Tensor, f: int) -> list[int]:
        """Return the indices of the n - 2 f selected rows, rising. distances: their squared distances (n, n)."""
        n = len(distances)
        if self.select == "once":
            return sorted(lowest(krum_scores(distances, f), n - 2 * f).tolist())
        remaining = list(range(n))
        for _ in range(n - 2 * f):
            del remaining[int(lowest(krum_scores(distances[remaining][:, remaining], f), 1))]
        return sorted({*range(n)} - {*remaining})

    def max_f(self, n: int) -> int:
        """Return the largest f with n >= 4 f + 3."""
        return max(0, (n - 3) // 4)

    def kappa_bound(self, n: int, f: int) -> float:
        """Return (sqrt((h - m) / m) + h / sqrt(beta m))^2, h = n - f, m = ceil((n - 2 f) / 2) - f, beta = n - 4 f."""
        honest, beta, m = n - f, n - 4 * f, -(-(n - 2 * f) // 2) - f
        return (math.sqrt((honest - m) / m) + honest / math.sqrt(beta * m)) ** 2 if f else 0.0


def krum_scores(distances: Tensor, f: int) -> Tensor:
    """Return for each of n rows the sum of the squared distances to its max(1, n - f - 2) nearest others: (n,)."""
    count = max(1, len(distances) - f - 2)
    others = distances.clone().fill_diagonal_(math.inf).sort(1).values[:, :count]
    return others.where(others.isfinite(), 0).sum(1)  # a lone row has no other
