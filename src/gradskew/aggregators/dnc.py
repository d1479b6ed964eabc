from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.eigenpairs import largest_eigenpairs
from ..core.errors import ceil_share, check, check_choice, check_number
from ..core.rows import Rows
from .base import WeightedRule
from .ties import lowest


@dataclass(frozen=True, kw_only=True)
class DnC(WeightedRule):
    """Divide and conquer: drop the outliers along the top singular vector, and average the rest.

    Each iteration draws b coordinates (all, if b > d), centres the rows, and drops the ceil(c f) rows with the largest
    squared projections on the top right singular vector. The rows that no iteration drops are averaged.

    b: None takes all coordinates in one iteration, without a draw. replacement: draw the coordinates with replacement.

    >>> DnC()(torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, -1.0], [1.0, 9.0]]), f=1)
    tensor([1., 0.])
    """

    key: ClassVar[str] = "dnc"
    title: ClassVar[str] = "DnC"
    source: ClassVar[str] = "Shejwalkar and Houmansadr, NDSS 2021"
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {"divide_and_conquer": {}}
    batched: ClassVar[str] = "span"
    iterations: int = 1
    b: int | None = 1000
    c: float = 1.0
    replacement: bool = False

    def __post_init__(self) -> None:
        check_number("iterations", self.iterations, at_least=1, whole=True)
        if self.b is not None:
            check_number("b", self.b, at_least=1, whole=True)
        check_number("c", self.c, above=0)
        check_choice("replacement", self.replacement, (False, True))
        drawn = self.b is not None or (self.iterations == 1 and not self.replacement)
        check(drawn, "iterations and replacement are of draws: with b=None nothing is drawn")

    @property
    def isometric(self) -> bool:  # type: ignore[override]
        return self.b is None

    def dropped(self, f: int) -> int:
        """Return the number of rows that an iteration drops: ceil(c f)."""
        return ceil_share(self.c, f)

    def weigh(self, rows: Rows, f: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Any]]:
        drop = self.dropped(f)
        check(self.iterations * drop < rows.n, f"dnc would drop {self.iterations} times {drop} of {rows.n} rows")
        kept = torch.ones(rows.shape, dtype=torch.float64)
        for _ in range(self.iterations):
            columns = None if self.b is None else self._draw(rows.d, generator)
            products = rows.centred_products(columns)
            _, direction = largest_eigenpairs(products.detach())  # left singular vector
            scores = (products @ direction).squeeze(-1).square()  # projections, up to a common factor
            kept = kept.to(scores.device).scatter(-1, lowest(-scores, drop), 0.0)
        count = kept.sum(-1, keepdim=True)
        return kept / count, {"kept": int(count.max())}

    def _draw(self, d: int, generator: torch.Generator) -> Tensor:
        """Return the coordinates of an iteration, for a number b."""
        assert self.b is not None
        if self.b > d:
            return torch.arange(d)
        if self.replacement:
            return torch.randint(d, (self.b,), generator=generator)
        if d < 4 * self.b:
            return torch.randperm(d, generator=generator)[: self.b]
        drawn: list[int] = []  # for large d, a permutation of all coordinates would cost more than redrawing duplicates
        while len(drawn) < self.b:
            drawn = list(dict.fromkeys(drawn + torch.randint(d, (self.b,), generator=generator).tolist()))
        return torch.tensor(drawn[: self.b])

    def least(self, n: int, f: int) -> int | None:
        return n - self.iterations * self.dropped(f)

    def max_f(self, n: int) -> int:
        """Return the largest f with n > 2 f for which fewer than n rows are dropped in all."""
        return next((f for f in range(super().max_f(n), 0, -1) if self.iterations * self.dropped(f) < n), 0)
