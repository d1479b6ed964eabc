from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ..core import columns
from ..core.rows import Rows
from .base import Aggregator, Outcome


@dataclass(frozen=True, kw_only=True)
class RBTM(Aggregator):
    """Take the coordinate-wise trimmed mean: drop the f largest and the f smallest entries of each column.

    The remaining entries of the sorted column are summed; subtracting the extremes from a total would lose digits.

    >>> RBTM()(torch.tensor([[-50.0], [1.0], [2.0], [6.0], [1e6]]), f=1)
    tensor([3.])
    """

    key: ClassVar[str] = "rbtm"
    title: ClassVar[str] = "trimmed mean"
    source: ClassVar[str] = "El-Mhamdi et al., NeurIPS 2021"
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {"trimmed_mean": {}, "trmean": {}, "cwtm": {}}

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        return Outcome(columns.sorted_mean(rows, f, rows.n - f))

    def kappa_bound(self, n: int, f: int) -> float:
        """Return 6 f / (n - 2 f) (1 + f / (n - 2 f)) (Allouah et al. 2023, Table 1)."""
        return 6 * f / (n - 2 * f) * (1 + f / (n - 2 * f))
