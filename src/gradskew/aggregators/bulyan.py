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
from .ties import lowest, lowest_one


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
    batched: ClassVar[str] = "columns"
    select: str = "recursive"
    middle: str = "midpoint"

    def __post_init__(self) -> None:
        check_choice("select", self.select, ("recursive", "once"))
        check_choice("middle", self.middle, columns.MIDDLES)

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        chosen = self.chosen(rows.squared_distances.cpu(), f)
        selection = torch.eye(rows.n, dtype=torch.float64)[chosen]
        value = columns.nearest_mean(rows.mix(selection), rows.n - 4 * f, middle=self.middle)
        return Outcome(value, None, {"selected": chosen.shape[-1]})

    def chosen(self, distances: Tensor, f: int) -> Tensor:
        """Return the indices (..., n - 2 f) of the selected rows, rising, from squared distances (..., n, n)."""
        n = distances.shape[-1]
        others = distances.clone()
        others.diagonal(dim1=-2, dim2=-1).fill_(math.inf)
        ordered, order = others.sort(-1)
        ordered[..., -1] = 0  # of the row to itself
        left = torch.ones(distances.shape[:-1], dtype=torch.bool)
        if self.select == "once":
            return lowest(krum_scores(ordered, order, left, max(1, n - f - 2)), n - 2 * f).sort(-1).values
        for remaining in range(n, 2 * f, -1):
            scores = krum_scores(ordered, order, left, max(1, remaining - f - 2))
            left.scatter_(-1, lowest_one(scores.masked_fill_(~left, math.inf)), False)
        return (~left).nonzero()[:, -1].reshape(*left.shape[:-1], n - 2 * f)

    def max_f(self, n: int) -> int:
        """Return the largest f with n >= 4 f + 3."""
        return max(0, (n - 3) // 4)

    def kappa_bound(self, n: int, f: int) -> float:
        """Return (sqrt((h - m) / m) + h / sqrt(beta m))^2, h = n - f, m = ceil((n - 2 f) / 2) - f, beta = n - 4 f."""
        honest, beta, m = n - f, n - 4 * f, -(-(n - 2 * f) // 2) - f
        return (math.sqrt((honest - m) / m) + honest / math.sqrt(beta * m)) ** 2 if f else 0.0


def krum_scores(ordered: Tensor, order: Tensor, left: Tensor, count: int) -> Tensor:
    """Return for each row the sum of the squared distances to its `count` nearest others that remain: (..., n).

    ordered, order: the squared distances of each row to the others, rising, and their indices (..., n, n), with the row
    itself, at 0, as the last. left: which rows remain (..., n).
    """
    present = left.unsqueeze(-2).expand(order.shape).gather(-1, order)
    return torch.where(present & (present.cumsum(-1) <= count), ordered, 0.0).sum(-1)
