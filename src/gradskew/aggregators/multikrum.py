from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.columns import sort_last
from ..core.errors import check, check_choice, check_number
from ..core.rows import Rows
from .base import WeightedRule
from .ties import lowest_one, uniform, uniform_lowest

NEIGHBOURS = {"n-f-2": 2, "n-f-1": 1}


@dataclass(frozen=True, kw_only=True)
class MultiKrum(WeightedRule):
    """Average the m rows with the lowest scores.

    score_i = sum of the squared distances from row i to its n - f - 2 nearest other rows. Ties go to the lower index.

    m: the number of averaged rows, at most n; None means n - f, and 1 is Krum. neighbours: `n-f-2`, or `n-f-1` as in
    ByzFL. select: `once`, or `one-by-one` as in the NDSS 2021 code: the best row is taken away and the n' others are
    scored again, each by its n' - f - 3 nearest others, until 2 f + 2 are left, so that n - 2 f - 2 rows are averaged.

    >>> MultiKrum(m=1)(torch.tensor([[9.0], [0.0], [1.0], [2.0]]), f=0)
    tensor([1.])
    """

    key: ClassVar[str] = "multikrum"
    title: ClassVar[str] = "Multi-Krum"
    source: ClassVar[str] = "Blanchard et al., NeurIPS 2017"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "byzfl": {"neighbours": "n-f-1"},
        "byzpy": {"neighbours": "n-f-1"},
    }
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {"krum": {"m": 1}}
    titles: ClassVar[Mapping[str, str]] = {"krum": "Krum"}
    isometric: ClassVar[bool] = True
    m: int | None = None
    neighbours: str = "n-f-2"
    select: str = "once"

    def __post_init__(self) -> None:
        check_choice("neighbours", self.neighbours, NEIGHBOURS)
        check_choice("select", self.select, ("once", "one-by-one"))
        alone = self.select == "once" or (self.m is None and self.neighbours == "n-f-2")
        check(alone, "select must be once if m or neighbours is given")
        if self.m is not None:
            check_number("m", self.m, at_least=1, whole=True)

    @property
    def batched(self) -> str:  # type: ignore[override]
        return "span" if self.select == "once" else ""

    def weigh(self, rows: Rows, f: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Any]]:
        count = self._count(rows.n, f)
        if self.select == "one-by-one":
            return uniform(rows.n, self._one_by_one(rows.squared_distances, f)), {"averaged": count}
        return self.from_distances(rows.squared_distances.clone(), f), {"averaged": count}

    def from_distances(self, distances: Tensor, f: int) -> Tensor:
        """Return the weights (..., n) from the squared distances (..., n, n) between the rows, for select=once.

        The distances are overwritten.
        """
        n = distances.shape[-1]
        distances.diagonal(dim1=-2, dim2=-1).fill_(math.inf)
        scores = sort_last(distances, overwrite=True)[..., : max(0, n - f - NEIGHBOURS[self.neighbours])].sum(-1)
        return uniform_lowest(scores, self._count(n, f))

    def least(self, n: int, f: int) -> int | None:
        return self._count(n, f)

    def _count(self, n: int, f: int) -> int:
        """Return the number of averaged rows."""
        if self.select == "one-by-one":
            return max(1, n - 2 * f - 2)
        return n - f if self.m is None else min(self.m, n)

    def _one_by_one(self, distances: Tensor, f: int) -> Tensor:
        """Return the indices of the rows that are taken one by one. distances: squared, (n, n)."""
        remaining = list(range(len(distances)))
        chosen = []
        for _ in range(self._count(len(distances), f)):
            count = max(0, len(remaining) - f - 2)  # the nearest rows, the row itself included
            scores = distances[remaining][:, remaining].sort(1).values[:, :count].sum(1)
            chosen.append(remaining.pop(int(lowest_one(scores))))
        return torch.tensor(sorted(chosen), device=distances.device)

    def kappa_bound(self, n: int, f: int) -> float | None:
        """Return the least of the bounds that docs/semantics.md proves.

        (1 + sqrt(2))^2 (n - f) / q for m <= n - f; f / (n - f) (1 + (sqrt(n) + sqrt(f)) / sqrt(q))^2 for m = n - f;
        infinity for m > n - f, which includes a Byzantine row. q is the least number of honest rows among the nearest
        of a row, itself included if it is honest: n - 2 f - 1, or n - 2 f with `n-f-1` neighbours. None for one-by-one.
        """
        if self.select == "one-by-one":
            return None
        averaged = self._count(n, f)
        q = n - 2 * f + 1 - NEIGHBOURS[self.neighbours]
        if averaged > n - f:
            return math.inf
        few = (1 + math.sqrt(2)) ** 2 * (n - f) / q if q > 0 else math.inf
        if averaged < n - f:
            return few
        return min(few, f / (n - f) * (1 + (math.sqrt(n) + math.sqrt(f)) / math.sqrt(q)) ** 2) if f else 0.0

    def max_f(self, n: int) -> int:
        """Return the largest f with n > 2 f + 2 (Blanchard et al. 2017, Proposition 1), n > 2 f for `n-f-1`."""
        return max(0, (n - 3) // 2) if self.neighbours == "n-f-2" else super().max_f(n)
