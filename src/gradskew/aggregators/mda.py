from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.errors import check_choice, check_number
from ..core.rows import Rows
from .base import WeightedRule
from .subsets import Steps, can_drop, far_pairs, subsets
from .ties import merge_ties, uniform


@dataclass(frozen=True, kw_only=True)
class MDA(WeightedRule):
    """Minimum diameter averaging: average the n - f rows with the least largest distance between two of them.

    The least diameter is exact: bisection over the distances between the rows; for each, a search whether the rows are
    within it once f are dropped. The diameter is the distance of one pair, so that often several subsets have it.

    ties: `first` takes the subset that comes first in the order of its indices: it depends on the order of the rows.
    `spread` takes the one with the least sum of squared distances, and among equal ones the first: it goes through all
    of them. limit: the most steps of a search; beyond, InputError.

    >>> rows = torch.tensor([[0.0, 0.0], [2.0, 0.0], [1.0, 1.2], [1.0, -1.2], [50.0, 50.0]])
    >>> MDA()(rows, f=2), MDA()(rows.flip(0), f=2)
    (tensor([1.0000, 0.4000]), tensor([ 1.0000, -0.4000]))
    """

    key: ClassVar[str] = "mda"
    title: ClassVar[str] = "MDA"
    source: ClassVar[str] = "El-Mhamdi et al., ICML 2018"
    isometric: ClassVar[bool] = True
    ties: str = "first"
    limit: int = 200_000

    def __post_init__(self) -> None:
        check_choice("ties", self.ties, ("first", "spread"))
        check_number("limit", self.limit, at_least=1, whole=True)

    def weigh(self, rows: Rows, f: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Any]]:
        distances = merge_ties(rows.squared_distances.cpu().flatten()).reshape(rows.n, rows.n)
        steps = Steps(self.limit, f"mda took {self.limit} steps without an answer on {rows.n} rows and f = {f}")
        diameter = least_diameter(distances, f, steps)
        candidates = subsets(far_pairs(distances, diameter), rows.n - f, steps)
        if self.ties == "first" or not diameter:
            chosen = next(candidates)
        else:
            chosen = min(candidates, key=lambda subset: float(distances[subset][:, subset].sum()))
        notes = {"diameter": math.sqrt(diameter), "steps": steps.count}
        return uniform(rows.n, torch.tensor(chosen, device=rows.updates.device)), notes

    def least(self, n: int, f: int) -> int | None:
        return n - f

    def kappa_bound(self, n: int, f: int) -> float:
        """Return (f sqrt(2 / h) + sqrt(f / (n - 2 f)))^2, h = n - f; see docs/semantics.md."""
        return (f * math.sqrt(2 / (n - f)) + math.sqrt(f / (n - 2 * f))) ** 2


def least_diameter(distances: Tensor, f: int, steps: Steps) -> float:
    """Return the least squared diameter of n - f of the rows with these squared distances (n, n)."""
    n = len(distances)
    values = distances.flatten().unique().tolist()  # rising, from 0 on
    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high) // 2
        if can_drop(far_pairs(distances, values[middle]), (1 << n) - 1, f, steps):
            high = middle
        else:
            low = middle + 1
    return float(values[low])
