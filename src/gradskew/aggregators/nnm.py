from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.errors import check_choice
from ..core.rows import Rows
from .mixing import Mixing
from .ties import uniform_lowest


@dataclass(frozen=True, kw_only=True)
class NNM(Mixing):
    """Nearest-neighbour mixing: replace each row by the mean of its n - f nearest rows.

    itself: whether a row is one of its own nearest; if not, the n - f nearest other rows are averaged (the STRIKE
    authors' scripts). Ties go to the lower index. The rule behind is called with the same f.
    """

    key: ClassVar[str] = "nnm"
    title: ClassVar[str] = "NNM"
    source: ClassVar[str] = "Allouah et al., AISTATS 2023"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"strike-authors": {"itself": False}}
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {"nearest_neighbor_mixing": {}, "nearest_neighbour_mixing": {}}
    isometric: ClassVar[bool] = True
    batched: ClassVar[str] = "span"
    itself: bool = True

    def __post_init__(self) -> None:
        check_choice("itself", self.itself, (True, False))

    def matrix(self, rows: Rows, f: int, generator: torch.Generator) -> Tensor:
        distances = rows.squared_distances.clone()
        distances.diagonal(dim1=-2, dim2=-1).fill_(-1.0 if self.itself else torch.inf)
        count = max(1, min(rows.n - f, rows.n - (not self.itself)))
        return uniform_lowest(distances, count)

    def kappa_bound(self, n: int, f: int, rule_kappa: float) -> float | None:
        """Return 8 f / (n - f) (rule_kappa + 1) (Allouah et al. 2023, Lemma 1); None for itself=False."""
        if not self.itself:
            return None
        return math.inf if math.isinf(rule_kappa) else 8 * f / (n - f) * (rule_kappa + 1)
