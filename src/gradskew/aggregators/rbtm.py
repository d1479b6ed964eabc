from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ..core import columns
from ..core.errors import check_choice, check_number, floor_share
from ..core.rows import Rows
from .base import Aggregator, Outcome
from .kappa import of_trimmed_mean


@dataclass(frozen=True, kw_only=True)
class RBTM(Aggregator):
    """Take the coordinate-wise trimmed mean: drop the f largest and the f smallest entries of each column.

    The remaining entries of the sorted column are summed; subtracting the extremes from a total would lose digits.

    share: drop floor(share n) entries at each end, whatever f is; None drops f. tails: `drop`, or `clamp`, which sets
    the extremes to the nearest remaining entry instead (the winsorised mean).

    >>> RBTM()(torch.tensor([[-50.0], [1.0], [2.0], [6.0], [1e6]]), f=1)
    tensor([3.])
    """

    key: ClassVar[str] = "rbtm"
    title: ClassVar[str] = "trimmed mean"
    source: ClassVar[str] = "El-Mhamdi et al., NeurIPS 2021"
    monotone: ClassVar[bool] = True
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {"trimmed_mean": {}, "trmean": {}, "cwtm": {}}

    batched: ClassVar[str] = "columns"
    by_ranks: ClassVar[bool] = True
    share: float | None = None
    tails: str = "drop"

    def __post_init__(self) -> None:
        if self.share is not None:
            check_number("share", self.share, at_least=0, below=0.5)
        check_choice("tails", self.tails, ("drop", "clamp"))

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        n, k = rows.n, self._dropped(rows.n, f)
        value = columns.sorted_mean(rows, k, n - k, torch.float64 if self.tails == "clamp" else None)
        if self.tails == "clamp" and k:
            ends = (columns.sorted_mean(rows, i, i + 1, torch.float64) for i in (k, n - k - 1))
            value = ((n - 2 * k) * value + k * sum(ends)) / n
        return Outcome(value.to(rows.updates.dtype))

    def _dropped(self, n: int, f: int) -> int:
        """Return the number of entries that are dropped at each end."""
        return f if self.share is None else floor_share(self.share, n)

    def kappa_bound(self, n: int, f: int) -> float | None:
        """Return k / (n - f - k) for k >= f dropped entries at each end, infinity for fewer; None for tails=clamp.

        For k = f it is f / (n - 2 f), the least that is possible. Own proof: docs/semantics.md.
        """
        k = self._dropped(n, f)
        if self.tails == "clamp":
            return None
        return of_trimmed_mean(n, f, k) if k >= f else math.inf
