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
from .base import WeightedRule
from .kappa import nearest_to_centre, of_median
from .ties import merge_ties, uniform_lowest


@dataclass(frozen=True, kw_only=True)
class Aksel(WeightedRule):
    """Average the rows nearest to the coordinate-wise median.

    select: `median` keeps the rows whose squared distance to the coordinate-wise median is at most the lower median of
    these distances, ties included; `n-f` keeps the n - f nearest rows. middle: as in `Median`.

    >>> Aksel()(torch.tensor([[0.0], [1.0], [2.0], [50.0], [60.0]]), f=2)
    tensor([1.])
    """

    key: ClassVar[str] = "aksel"
    title: ClassVar[str] = "Aksel"
    source: ClassVar[str] = "Boussetta et al., OPODIS 2020"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"strike-authors": {"middle": "upper"}}
    batched: ClassVar[str] = "columns"
    middle: str = "midpoint"
    select: str = "median"

    def __post_init__(self) -> None:
        check_choice("middle", self.middle, columns.MIDDLES)
        check_choice("select", self.select, ("median", "n-f"))

    def weigh(self, rows: Rows, f: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Any]]:
        centre = columns.median(rows, self.middle, dtype=torch.float64)
        distances = rows.squared_distances_to(centre)
        if self.select == "n-f":
            return uniform_lowest(distances, rows.n - f), {"kept": rows.n - f}
        distances = merge_ties(distances)
        kept = distances <= columns.sort_last(distances)[..., (rows.n - 1) // 2, None]  # the lower median
        count = kept.sum(-1, keepdim=True)
        return kept / count.double(), {"kept": int(count.max())}

    def kappa_bound(self, n: int, f: int) -> float:
        """Return the bounds of docs/semantics.md, from that of the median."""
        centre = of_median(n, f, self.middle)
        if self.select == "n-f":
            return nearest_to_centre(n, f, centre)
        return (math.sqrt(centre) + math.sqrt((n - f) / ((n + 1) // 2) * (1 + centre))) ** 2

    def least(self, n: int, f: int) -> int | None:
        return n - f if self.select == "n-f" else (n + 1) // 2
