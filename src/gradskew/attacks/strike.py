from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.columns import MIDDLES, median, moments
from ..core.errors import STRENGTH, check_choice, check_number
from ..core.rows import Rows
from .base import Collusion
from .rays import Ray, largest_step


@dataclass(frozen=True, kw_only=True)
class STRIKE(Collusion):
    """Hide the Byzantine rows among the skewed honest ones.

    Stage 1 selects the skewed honest rows S, those farthest from the mean towards the median. Stage 2 forges the row
    farthest from the mean that stays within the diameter of S. All Byzantine rows are equal.

    nu: factor on alpha. middle: as in `Median`. max_alpha: upper bound on alpha (the authors' scripts: 10). few: for
    n <= 2 f, where S would be empty, `one` takes one row; `extrapolate` sends mean + 10 (median - mean), and -10 mean
    for a single honest row (the authors' scripts).
    """

    key: ClassVar[str] = "strike"
    title: ClassVar[str] = "STRIKE"
    source: ClassVar[str] = "Liu et al., AAAI 2025, Section 6"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "strike-authors": {"middle": "upper", "max_alpha": 10.0, "few": "extrapolate"}
    }
    nu: float = 1.0
    middle: str = "midpoint"
    max_alpha: float | None = None
    few: str = "one"

    def __post_init__(self) -> None:
        check_number("nu", self.nu, at_least=0, at_most=STRENGTH)
        check_choice("middle", self.middle, MIDDLES)
        check_choice("few", self.few, ("one", "extrapolate"))
        if self.max_alpha is not None:
            check_number("max_alpha", self.max_alpha, at_least=0)

    def row(self, honest: Rows, f: int, n: int) -> tuple[Tensor, dict[str, Any]]:
        if n <= 2 * f and self.few == "extrapolate":
            return self._extrapolate(honest), {"skewed": 0}
        skewed = self.search(honest, num_skewed(honest.n, n, f))
        row, alpha = self.hide(honest, skewed)
        return row, {"alpha": alpha, "skewed": len(skewed)}

    def search(self, honest: Rows, count: int) -> Tensor:
        """Return the indices of S, rising: the `count` rows of largest projection on median - mean (Eqs. 6 to 8).

        Stage 1. Ties go to the lower index. The norm in Eq. 7 is the same for all rows, and left out.
        """
        shared = self.middle == "midpoint"  # the lens computes the same projections
        projections = honest.once(towards_median) if shared else towards_median(honest, self.middle)  # Eqs. 6 and 7
        return projections.argsort(descending=True, stable=True)[:count].sort().values  # Eq. 8

    def hide(self, honest: Rows, skewed: Tensor) -> tuple[Tensor, float]:
        """Return g_b = mean_S + nu alpha sign(mean_S - mean) std_S (Eq. 12), a row (d,), and alpha.

        Stage 2. alpha is the largest value at which, with nu = 1, the distances of g_b to the rows of S do not exceed
        the diameter of S (Eqs. 9 and 13).
        """
        ray = Ray(honest, lambda block: hidden_line(block, skewed))
        diameter = honest.squared_distances[skewed][:, skewed].max()
        alpha = 0.0
        if diameter > 0:  # for equal rows, std_S is 0 or rounding
            alpha = largest_step(ray.norm, ray.slopes[skewed], diameter - ray.squares[skewed])
        if self.max_alpha is not None:
            alpha = min(alpha, self.max_alpha)
        return ray.point(self.nu * alpha), alpha

    def _extrapolate(self, honest: Rows) -> Tensor:
        row = median(honest, self.middle, dtype=torch.float64)
        for part, block in honest.blocks():
            mean = block.mean(0)
            row[part] = -10 * mean if honest.n == 1 else mean + 10 * (row[part] - mean)
        return row.to(honest.updates.dtype)


def towards_median(rows: Rows, middle: str = "midpoint") -> Tensor:
    """Return the inner products <row, median - mean>: (n,) float64.

    Liu et al., AAAI 2025, Eqs. 6 and 7, without the norm in Eq. 7, which is the same for all rows.
    """
    centre = median(rows, middle, dtype=torch.float64)
    products = torch.zeros(rows.n, dtype=torch.float64, device=rows.updates.device)
    for part, block in rows.blocks():
        products += block @ (centre[part] - block.mean(0))
    return products


def hidden_line(block: Tensor, skewed: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean_S and sign(mean_S - mean) std_S of some columns of the honest rows (Eq. 12): (columns,) each."""
    mean_skewed, std_skewed = moments(block[skewed])
    return mean_skewed, (mean_skewed - block.mean(0)).sign() * std_skewed


def num_skewed(known: int, n: int, f: int) -> int:
    """Return the size of S: floor(known (n - 2 f) / (n - f)), at least 1; n - 2 f if all honest rows are known.

    In integer arithmetic: the floor of a float is too small by one for 22 honest and 7 Byzantine clients.

    >>> num_skewed(known=40, n=50, f=10), num_skewed(known=22, n=29, f=7), num_skewed(known=3, n=6, f=3)
    (30, 15, 1)
    """
    return max(1, known * (n - 2 * f) // max(1, n - f))
