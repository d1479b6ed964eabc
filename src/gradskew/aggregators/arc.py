from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..core.rows import Rows
from .clipping import clip_factors
from .mixing import Mixing


@dataclass(frozen=True, kw_only=True)
class ARC(Mixing):
    """Adaptive robust clipping: clip the k longest rows to the norm of the next one.

    k = floor(2 f (n - f) / n), in whole numbers; C = the (k + 1)-th largest norm; g_i <- g_i min(1, C / |g_i|). With
    f = 0 no row is clipped. The rule behind is called with the same f.

    >>> rows = torch.tensor([[3.0, 4.0], [0.0, 1.0], [0.0, 0.0], [6.0, 8.0]])
    >>> ARC().matrix(Rows(rows), 1, torch.Generator()).diagonal().tolist()  # k = 1, C = 5
    [1.0, 1.0, 1.0, 0.5]
    """

    key: ClassVar[str] = "arc"
    title: ClassVar[str] = "ARC"
    source: ClassVar[str] = "Allouah et al., ICLR 2025"
    keeps_rows: ClassVar[bool] = True
    isometric: ClassVar[bool] = True
    batched: ClassVar[str] = "span"
    late_check: ClassVar[bool] = True

    def matrix(self, rows: Rows, f: int, generator: torch.Generator) -> Tensor:
        return arc_factors(rows.norms, f).diag_embed()

    def max_f(self, n: int) -> int:
        """Return n - 1: clipping needs no majority."""
        return n - 1

    def kappa_bound(self, n: int, f: int, rule_kappa: float) -> float:
        """Return rule_kappa + 2 f / (n - 2 f) (Allouah et al. 2025; not verified); infinity from f = n / 2 on."""
        return rule_kappa + 2 * f / (n - 2 * f) if n > 2 * f else math.inf


def arc_factors(norms: Tensor, f: int) -> Tensor:
    """Return the factors (..., n) by which rows with these norms (..., n) are clipped."""
    n = norms.shape[-1]
    radius = norms.sort(-1, descending=True).values[..., 2 * f * (n - f) // n, None]
    return clip_factors(norms, radius)
