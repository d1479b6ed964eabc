from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ..core import columns
from ..core.errors import check_choice
from ..core.rows import Rows
from .base import Aggregator, Outcome
from .kappa import of_median


@dataclass(frozen=True, kw_only=True)
class Median(Aggregator):
    """Take the coordinate-wise median of the rows.

    middle: for even n, the `midpoint` of the two middle values, or the `lower` (torch.median) or `upper` of them.

    >>> Median()(torch.tensor([[0.0, 9.0], [1.0, 8.0], [100.0, 0.0]]), f=1)
    tensor([1., 8.])
    """

    key: ClassVar[str] = "median"
    title: ClassVar[str] = "median"
    source: ClassVar[str] = "Yin et al., ICML 2018"
    monotone: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "strike-authors": {"middle": "upper"},
        "byzpy": {"middle": "lower"},
    }
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "cwmed": {},
        "coordinate_median": {},
        "coordinatewise_median": {},
    }
    batched: ClassVar[str] = "columns"
    by_ranks: ClassVar[bool] = True
    middle: str = "midpoint"

    def __post_init__(self) -> None:
        check_choice("middle", self.middle, columns.MIDDLES)

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        return Outcome(columns.median(rows, self.middle))

    def kappa_bound(self, n: int, f: int) -> float:
        """Return k / (n - f - k), k = floor((n - 1) / 2); n / (n - 2 f) for an even n and `lower` or `upper`.

        Own proof: docs/semantics.md.
        """
        return of_median(n, f, self.middle)
