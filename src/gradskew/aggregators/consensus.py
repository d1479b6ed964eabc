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
    ridge: float = 2.0
    power: float = 8.0
    steps: int = 5

    def __post_init__(self) -> None:
        check_number("ridge", self.ridge, at_least=LEAST_RIDGE)
        check_number("power", self.power, above=0)
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
        """Return which rows are kept, 1 or 0, and their multipliers lambda: (..., n) each; 0 for a row that is not."""
        alike = cosines.clamp(min=0) ** self.power
        kept = torch.ones_like(cosines[..., 0])
        multipliers = self._solve(cosines, kept)
        left = f
        while left:
            count = min(left, -(-f // self.steps))
            scores = _times(alike, multipliers) / multipliers.sum(-1, keepdim=True)
            dropped = lowest(torch.where(kept > 0, -scores, math.inf), count)
            kept = kept.scatter(-1, dropped, 0.0)
            multipliers = self._solve(cosines, kept)
            left -= count
        return kept, multipliers

    def _solve(self, cosines: Tensor, kept: Tensor) -> Tensor:
        """Return lambda with (K + ridge I) lambda = 1 on the kept rows, 0 on the others: (..., n)."""
        matrix = cosines * kept.unsqueeze(-1) * kept.unsqueeze(-2)
        matrix.diagonal(dim1=-2, dim2=-1).add_(self.ridge)
        return torch.cholesky_solve(kept.unsqueeze(-1), torch.linalg.cholesky(matrix)).squeeze(-1)

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
