from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.rows import Rows
from .base import WeightedRule


@dataclass(frozen=True, kw_only=True)
class Mean(WeightedRule):
    """Average all rows: no defence, and the baseline for damage.

    >>> Mean()(torch.tensor([[0.0], [1.0], [5.0]]), f=0)
    tensor([2.])
    """

    key: ClassVar[str] = "mean"
    title: ClassVar[str] = "mean"
    baseline: ClassVar[bool] = True
    source: ClassVar[str] = "McMahan et al., AISTATS 2017"
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {"fedavg": {}, "average": {}}

    def weigh(self, rows: Rows, f: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Any]]:
        return torch.full((rows.n,), 1 / rows.n, dtype=torch.float64, device=rows.updates.device), {}

    def kappa_bound(self, n: int, f: int) -> float:
        """Return 0 for f = 0, else infinity: one Byzantine row moves the mean to any point."""
        return math.inf if f else 0.0
