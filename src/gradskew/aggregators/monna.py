from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.errors import check, check_number
from ..core.rows import Rows
from .base import WeightedRule
from .ties import uniform_lowest


@dataclass(frozen=True, kw_only=True)
class MoNNA(WeightedRule):
    """Average the n - f rows nearest to a trusted row, itself included. Ties go to the lower index.

    pivot: the index of the trusted row, counted from the end if negative, as in Python; where the round names the
    clients, the last row in place of one that is not there, as rows may have been rejected. Rejected rows do not count.
    `reference`: the server's own update, which is not one of the rows. In a simulation the Byzantine rows come first,
    so the default is the last.

    >>> MoNNA(pivot=1)(torch.tensor([[0.0], [1.0], [3.0], [10.0]]), f=1)
    tensor([1.3333])
    """

    key: ClassVar[str] = "monna"
    title: ClassVar[str] = "MoNNA"
    source: ClassVar[str] = "Farhadkhani et al., ICML 2023"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"byzfl": {"pivot": 0}, "byzpy": {"pivot": 0}}
    remark: ClassVar[str] = (
        "monna trusts one row: with pivot=-1 an honest one in a simulation. A Byzantine one would move it anywhere."
    )
    late_check: ClassVar[bool] = True
    isometric: ClassVar[bool] = True
    batched: ClassVar[str] = "span"
    pivot: int | str = -1

    def __post_init__(self) -> None:
        if isinstance(self.pivot, str):
            check(self.pivot == "reference", f"pivot must be a whole number or reference, not {self.pivot!r}")
        else:
            check_number("pivot", self.pivot, whole=True)

    def check_setting(self, *, n: int, buffers: bool) -> None:
        super().check_setting(n=n, buffers=buffers)
        check(self._has_pivot(n), f"monna: pivot = {self.pivot} is none of the {n} rows of a round")

    def _has_pivot(self, n: int) -> bool:
        """Return whether the trusted row is one of n rows, or none of them by definition."""
        return isinstance(self.pivot, str) or -n <= self.pivot < n

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset({"reference"} if self.pivot == "reference" else ())

    def weigh(self, rows: Rows, f: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Any]]:
        distances = rows.squared_distances_to(self._trusted(rows))
        return uniform_lowest(distances, rows.n - f), {}

    def _trusted(self, rows: Rows) -> Tensor:
        """Return the trusted row (d,)."""
        if isinstance(self.pivot, str):
            assert rows.round.reference is not None
            return rows.place(rows.round.reference)
        has_pivot = self._has_pivot(rows.n)
        check(has_pivot or rows.base.round.clients is not None, f"monna: pivot = {self.pivot} is none of {rows.n} rows")
        one = torch.zeros(rows.n, dtype=torch.float64)
        one[self.pivot if has_pivot else -1] = 1
        return rows.combine(one)

    def least(self, n: int, f: int) -> int | None:
        return n - f

    def kappa_bound(self, n: int, f: int) -> float:
        """Return infinity for f > 0: the trusted row may be Byzantine. docs/semantics.md has the bound if it is not."""
        return math.inf if f else 0.0
