from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.rows import Rows
from .base import WeightedRule
from .ties import uniform_lowest


@dataclass(frozen=True, kw_only=True)
class CGE(WeightedRule):
    """Comparative gradient elimination: average the n - f rows of the least norms. Ties go to the lower index.

    The paper sums these rows; here, as elsewhere in the field, they are averaged.

    >>> CGE()(torch.tensor([[3.0, 0.0], [0.0, 1.0], [-2.0, 0.0], [0.0, -10.0]]), f=1)
    tensor([0.3333, 0.3333])
    """

    key: ClassVar[str] = "cge"
    title: ClassVar[str] = "CGE"
    source: ClassVar[str] = "Gupta, Liu and Vaidya, 2020"
    late_check: ClassVar[bool] = True
    isometric: ClassVar[bool] = True
    batched: ClassVar[str] = "span"

    def weigh(self, rows: Rows, f: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Any]]:
        return uniform_lowest(rows.norms, rows.n - f), {}

    def least(self, n: int, f: int) -> int | None:
        return n - f

    def kappa_bound(self, n: int, f: int) -> float:
        """Return 0 for f = 0, else infinity: f rows shorter than equal honest ones replace f of these."""
        return math.inf if f else 0.0
