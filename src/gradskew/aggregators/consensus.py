from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.columns import sort_last
from ..core.errors import check_number
from ..core.rows import Rows
from .base import WeightedRule
from .ties import TIE, lowest

LEAST_RIDGE = 1e-3  # below, the equations of equal rows lose their digits
MOST = 1e6  # of ridge and power: far above, |a|^2 and the powers are 0 in float64


@dataclass(frozen=True, kw_only=True)
class Consensus(WeightedRule):
    """Step in the direction in which all rows move alike, without near-duplicates, by the median length along it.

    u_i = g_i / |g_i|, 0 for a row of zeros; K_ij = <u_i, u_j>. `steps` times, on the rows that are kept: solve
    (K + ridge I) lambda = 1; score_i = sum_j max(K_ij, 0)^power lambda_j / sum lambda; drop the ceil(f / steps) rows of
    the largest scores, f in all, of equal scores the row of the lower index. Solve once more: a = sum lambda_i u_i,
    which minimises sum over the kept rows of (1 - <u_i, a>)^2 + ridge |a|^2. The aggregate is a / |a| times
    max(0, median of <g_i, a> / |a| over all n rows); 0 if a = 0. The weights are signed.

    Notes: `certificate`, sum of <u_i, a> over the kept rows without the f largest positive ones: for no choice of the
    honest rows is the sum over the honest ones that are kept below it.

    >>> Consensus()(torch.tensor([[2.0, 0.0], [3.0, 0.0], [0.0, 4.0], [0.0, 0.0]]), f=1)
    tensor([1.2500, 1.2500])
    """

    key: ClassVar[str] = "consensus"
    title: ClassVar[str] = "consensus direction"
    source: ClassVar[str] = "this project"
    isometric: ClassVar[bool] = True
    batched: ClassVar[str] = "span"
    by_length: ClassVar[bool] = True
    ridge: float = 2.0
    power: float = 8.0
    steps: int = 5

    def __post_init__(self) -> None:
        check_number("ridge", self.ridge, at_least=LEAST_RIDGE, at_most=MOST)
        check_number("power", self.power, above=0, at_most=MOST)
        check_number("steps", self.steps, at_least=1, whole=True)

    def weigh(self, rows: Rows, f: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Any]]:
        cosines = rows.cosines
        kept, multipliers = self._keep(cosines, f)
        agreement = _times(cosines, multipliers)  # <u_i, a>
        square = (multipliers * agreement).sum(-1, keepdim=True)  # |a|^2
        zero = square <= TIE * multipliers.abs().sum(-1, keepdim=True).square()  # up to rounding
        size = torch.where(zero, 1.0, square).sqrt()
        length = (rows.norms * agreement / size).quantile(0.5, -1, keepdim=True).clamp(min=0)
        nothing = zero | (cosines.diagonal(dim1=-2, dim2=-1) == 0)
        weights = torch.where(nothing, 0.0, length / size * multipliers / rows.norms)
        return weights, {"certificate": float(_certificate(agreement * kept, f).detach().min())}

    def _keep(self, cosines: Tensor, f: int) -> tuple[Tensor, Tensor]:
        """Return which rows are kept, 1 or 0, and their multipliers lambda: (..., n) each; 0 for a row that is not.

        Of A = (K + ridge I)^-1 of all rows: lambda = A 1 - A_D mu, A_D the columns of the dropped rows, and mu such
        that lambda is 0 there.
        """
        alike = self._alike(cosines)
        matrix = cosines.clone()
        matrix.diagonal(dim1=-2, dim2=-1).add_(self.ridge)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(matrix))
        whole = multipliers = inverse.sum(-1)
        kept, dropped = torch.ones_like(whole), torch.empty_like(whole, dtype=torch.long)[..., :0]
        while (left := f - dropped.shape[-1]) > 0:
            scores = _times(alike, multipliers) / multipliers.sum(-1, keepdim=True)
            worst = lowest(torch.where(kept > 0, -scores, math.inf), min(left, -(-f // self.steps)))
            dropped = torch.cat([dropped, worst], -1)
            kept = kept.scatter(-1, worst, 0.0)
            rows = inverse.gather(-2, dropped.unsqueeze(-1).expand(*dropped.shape, cosines.shape[-1]))
            corner = rows.gather(-1, dropped.unsqueeze(-2).expand(*dropped.shape, dropped.shape[-1]))
            shares = torch.linalg.solve(corner, whole.gather(-1, dropped).unsqueeze(-1))
            multipliers = kept * (whole - (rows.mT @ shares).squeeze(-1))
        return kept, multipliers

    def _alike(self, cosines: Tensor) -> Tensor:
        """Return max(K, 0)^power; by squares as far as possible, which are faster."""
        alike, power = cosines.clamp(min=0), self.power
        while power % 2 == 0:
            alike, power = alike.square(), power / 2
        return alike**power

    def max_f(self, n: int) -> int:
        """Return the largest f with n > 3 f: f of nearly equal rows are dropped first, and more than f must be left."""
        return max(0, (n - 1) // 3)

    def kappa_bound(self, n: int, f: int) -> float | None:
        """Return infinity for f > 0: equal honest rows are dropped first, see docs/semantics.md. None for f = 0."""
        return math.inf if f else None


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    """Return matrices (..., n, n) times vectors (..., n)."""
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)


def _certificate(agreement: Tensor, f: int) -> Tensor:
    """Return the sums of numbers (..., n) without the f largest positive ones: (...)."""
    return agreement.sum(-1) - sort_last(agreement.clamp(min=0))[..., agreement.shape[-1] - f :].sum(-1)
