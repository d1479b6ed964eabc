from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.errors import check, check_number
from ..core.rows import Rows
from .mixing import Mixing


@dataclass(frozen=True, kw_only=True)
class Clipping(Mixing):
    """Clip the norms of the rows (norm bounding): g_i <- g_i min(1, c / |g_i|). A row of zeros stays.

    c: the radius, in the units of the updates, or `median` or `mean`, that of the n norms (the midpoint median). The
    rule behind is called with the same f.

    >>> rows = torch.tensor([[3.0, 4.0], [0.0, 1.0], [0.0, 0.0], [6.0, 8.0]])
    >>> Clipping(c="median").matrix(Rows(rows), 1, torch.Generator()).diagonal().tolist()  # norms 5, 1, 0, 10
    [0.6, 1.0, 1.0, 0.3]
    """

    key: ClassVar[str] = "clipping"
    title: ClassVar[str] = "clipping"
    source: ClassVar[str] = "Sun et al., 2019"
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {"norm_bounding": {}, "norm_clipping": {}}
    keeps_rows: ClassVar[bool] = True
    isometric: ClassVar[bool] = True
    batched: ClassVar[str] = "span"
    late_check: ClassVar[bool] = True
    c: float | str = 2.0

    def __post_init__(self) -> None:
        if isinstance(self.c, str):
            check(self.c in ("median", "mean"), f"c must be a number, median or mean, not {self.c!r}")
        else:
            check_number("c", self.c, above=0)

    def matrix(self, rows: Rows, f: int, generator: torch.Generator) -> Tensor:
        if self.c == "mean":
            radius = rows.norms.mean(-1, keepdim=True)
        elif self.c == "median":
            radius = rows.norms.quantile(0.5, -1, keepdim=True)
        else:
            radius = rows.norms.new_tensor(self.c)
        return clip_factors(rows.norms, radius).diag_embed()

    def max_f(self, n: int) -> int:
        """Return n - 1: clipping needs no majority."""
        return n - 1

    def kappa_bound(self, n: int, f: int, rule_kappa: float) -> float:
        """Return (sqrt(rule_kappa) + sqrt(n - f))^2 where the radius is at least an honest norm, else infinity.

        It is for the median norm with f < n / 2, and the mean norm with f = 0. See docs/semantics.md.
        """
        bounded = n > 2 * f if self.c == "median" else self.c == "mean" and not f
        return (math.sqrt(rule_kappa) + math.sqrt(n - f)) ** 2 if bounded else math.inf


def clip_factors(norms: Tensor, radius: Tensor) -> Tensor:
    """Return the factors min(1, radius / norm) (n,) that clip rows with these norms (n,) to a radius ()."""
    return torch.where(norms > radius, radius / norms, 1.0)


def clipped_average(norms: Tensor, radius: Tensor, chosen: Tensor) -> Tensor:
    """Return the weights (n,) of the mean of the chosen rows, clipped to a radius; zeros if none is chosen.

    norms: of all rows (n,). chosen: (n,) bool.
    """
    return torch.where(chosen, clip_factors(norms, radius) / max(1, int(chosen.sum())), 0.0)
