from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.errors import check_choice, check_number
from ..core.rows import Rows
from .base import WeightedRule, lowest, uniform

NEIGHBOURS = {"n-f-2": 2, "n-f-1": 1}


@dataclass(frozen=True, kw_only=True)
class MultiKrum(WeightedRule):
    """Average the m rows with the lowest scores.

    score_i = sum of the squared distances from row i to its n - f - 2 nearest other rows. Ties go to the lower index.

    m: the number of averaged rows, at most n; None means n - f, and 1 is Krum. neighbours: `n-f-2`, or `n-f-1` as in
    ByzFL.

    >>> MultiKrum(m=1)(torch.tensor([[9.0], [0.0], [1.0], [2.0]]), f=0)
    tensor([1.])
    """

    key: ClassVar[str] = "multikrum"
    title: ClassVar[str] = "Multi-Krum"
    source: ClassVar[str] = "Blanchard et al., NeurIPS 2017"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"byzfl": {"neighbours": "n-f-1"}}
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {"krum": {"m": 1}}
    m: int | None = None
    neighbours: str = "n-f-2"

    def __post_init__(self) -> None:
        check_choice("neighbours", self.neighbours, NEIGHBOURS)
        if self.m is not None:
            check_number("m", self.m, at_least=1, whole=True)

    def weigh(self, rows: Rows, f: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Any]]:
        count = rows.n - f if self.m is None else min(self.m, rows.n)
        others = rows.squared_distances.clone().fill_diagonal_(math.inf).sort(1).values
        scores = others[:, : max(0, rows.n - f - NEIGHBOURS[self.neighbours])].sum(1)
        return uniform(rows.n, lowest(scores, count)), {"averaged": count}

    def kappa_bound(self, n: int, f: int) -> float:
        """Return the least of the bounds that docs/semantics.md proves.

        (1 + sqrt(2))^2 (n - f) / q for m <= n - f; f / (n - f) (1 + (sqrt(n) + sqrt(f)) / sqrt(q))^2 for m = n - f;
        infinity for m > n - f, which includes a Byzantine row. q is the least number of honest rows among the nearest
        of a row, itself included if it is honest: n - 2 f - 1, or n - 2 f with `n-f-1` neighbours.
        """
        averaged = n - f if self.m is None else min(self.m, n)
        q = n - 2 * f + 1 - NEIGHBOURS[self.neighbours]
        if averaged > n - f:
            return math.inf
        few = (1 + math.sqrt(2)) ** 2 * (n - f) / q if q > 0 else math.inf
        if averaged < n - f:
            return few
        return min(few, f / (n - f) * (1 + (math.sqrt(n) + math.sqrt(f)) / math.sqrt(q)) ** 2) if f else 0.0

    def max_f(self, n: int) -> int:
        """Return the largest f with n > 2 f + 2 (Blanchard et al. 2017, Proposition 1)."""
        return max(0, (n - 3) // 2)
