from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ..core import columns
from ..core.errors import check_choice
from ..core.rows import Rows
from .base import Aggregator, Outcome
from .kappa import nearest_to_centre, of_median, of_trimmed_mean


@dataclass(frozen=True, kw_only=True)
class MeaMed(Aggregator):
    """Take the mean around the median: in each column, the mean of the n - f entries nearest to the median.

    Entries at exactly the distance of the cut share the remaining places equally.

    centre: `median`, or `trimmed`, the mean without the f largest and f smallest entries (Phocas, Xie et al. 2018).
    middle: the median for even n, as in `Median`.

    >>> MeaMed()(torch.tensor([[0.0], [1.0], [4.0], [5.0], [7.0]]), f=1)
    tensor([4.2500])
    """

    key: ClassVar[str] = "meamed"
    title: ClassVar[str] = "MeaMed"
    source: ClassVar[str] = "Xie et al., 2018"
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {"phocas": {"centre": "trimmed"}}
    titles: ClassVar[Mapping[str, str]] = {"phocas": "Phocas"}
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"byzpy": {"middle": "lower"}}
    batched: ClassVar[str] = "columns"
    centre: str = "median"
    middle: str = "midpoint"

    def __post_init__(self) -> None:
        check_choice("centre", self.centre, ("median", "trimmed"))
        check_choice("middle", self.middle, columns.MIDDLES)

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        trim = f if self.centre == "trimmed" else None
        return Outcome(columns.nearest_mean(rows, rows.n - f, trim, self.middle))

    def kappa_bound(self, n: int, f: int) -> float:
        """Return the bound of the n - f nearest rows to a centre, in each column; see docs/semantics.md."""
        centre = of_trimmed_mean(n, f) if self.centre == "trimmed" else of_median(n, f, self.middle)
        return nearest_to_centre(n, f, centre)
