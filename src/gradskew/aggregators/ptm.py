from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.columns import sort_last
from ..core.eigenpairs import largest_eigenpairs
from ..core.rows import Rows
from . import kappa
from .arc import arc_factors
from .base import WeightedRule

ROUNDING = 2**-48  # the square of float32's rounding


@dataclass(frozen=True, kw_only=True)
class PTM(WeightedRule):
    """Principal trimmed mean: average the clipped rows, but take the trimmed mean along their principal direction.

    x_i = s_i g_i are the rows clipped as by `arc`, m their mean; lambda_1 >= lambda_2 the largest eigenvalues of the
    matrix of <x_i - m, x_j - m>, v the unit eigenvector of lambda_1; c the mean of the entries of v without the f
    largest and the f smallest. The aggregate is sum_i s_i (1/n + c v_i) g_i. If lambda_1 = lambda_2, it depends on the
    eigensolver; of rows x_i that differ by the rounding of float32 alone it is the mean. In one dimension the rule is
    `arc+rbtm`. The weights are signed.

    Notes: `certificate`, f / (n - 2 f) lambda_1 / (n - f) + f lambda_2 / (n - f)^2: for no choice of the honest rows is
    the squared distance to the mean of the clipped honest ones above it.

    >>> PTM()(torch.tensor([[5.0, 0.0], [5.0, 0.0], [5.0, 0.0], [-3.0, 4.0], [-3.0, -4.0]]), f=1)
    tensor([2.3333, 0.0000])
    """

    key: ClassVar[str] = "ptm"
    title: ClassVar[str] = "PTM"
    source: ClassVar[str] = "this project; after Lai, Rao and Vempala, FOCS 2016"
    isometric: ClassVar[bool] = True
    batched: ClassVar[str] = "span"

    def weigh(self, rows: Rows, f: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Any]]:
        n, factors = rows.n, arc_factors(rows.norms, f)
        values, vectors = largest_eigenpairs(rows.mix(factors.diag_embed()).centred_products(None), 2)
        equal = values[..., -1:] <= ROUNDING * (factors * rows.norms).square().sum(-1, keepdim=True)
        top = vectors[..., -1]
        top = torch.where(equal, 0.0, top - top.mean(-1, keepdim=True))  # whose mean is 0, but for rounding
        middle = sort_last(top)[..., f : n - f].mean(-1, keepdim=True)
        first, second = values[..., -1].clamp(min=0), values[..., -2:-1].sum(-1).clamp(min=0)
        certificate = kappa.of_trimmed_mean(n, f) * first / (n - f) + f * second / (n - f) ** 2
        return factors * (1 / n + middle * top), {"certificate": float(certificate.detach().max())}

    def kappa_bound(self, n: int, f: int) -> float | None:
        """Return 0 for f = 0, infinity for f > 1, see docs/semantics.md; None for f = 1."""
        return {0: 0.0, 1: None}.get(f, math.inf)
