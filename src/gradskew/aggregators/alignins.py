from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.errors import check_number, floor_share
from ..core.rows import Rows
from .base import WeightedRule
from .clipping import clipped_average
from .largest import deviate_less, largest_entries, matrix_of


@dataclass(frozen=True, kw_only=True)
class AlignIns(WeightedRule):
    """Average the rows of usual direction and usual signs, clipped to their median norm.

    TDA_i = cos(g_i, w^t). p_k = sign(sum_i sign(g_ik)); MPSA_i = the share, among the floor(s d) entries of the largest
    |g_ik| (at least one; on ties the lower columns), of those with the sign p_k. The deviation of a number is its
    distance from the median divided by the standard deviation. S: the rows whose deviations are below lambda_s (MPSA)
    and lambda_c (TDA). The aggregate is the mean over S of the rows clipped to the median norm of S; 0 if S is empty.
    f is not used.

    sparsity: s.

    >>> from gradskew.core.round import Round
    >>> rows = torch.tensor([[1.0, 2, 3, -4], [2, 1, 2, -1], [1, -1, 4, -2], [-8, -8, -8, 8]])
    >>> AlignIns(sparsity=0.5)(rows, f=1, round=Round(params=torch.ones(4)))
    tensor([ 0.9641,  0.4282,  3.3923, -2.8563])
    """

    key: ClassVar[str] = "alignins"
    title: ClassVar[str] = "AlignIns"
    source: ClassVar[str] = "AlignIns, CVPR 2025"
    needs: ClassVar[frozenset[str]] = frozenset({"params"})
    sparsity: float = 0.3
    lambda_s: float = 1.0
    lambda_c: float = 1.0

    def __post_init__(self) -> None:
        check_number("sparsity", self.sparsity, above=0, at_most=1)
        check_number("lambda_s", self.lambda_s, at_least=0)
        check_number("lambda_c", self.lambda_c, at_least=0)

    def weigh(self, rows: Rows, f: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Any]]:
        params = rows.round.params
        assert params is not None
        lengths = rows.norms * torch.linalg.vector_norm(params.double())
        direction = torch.where(lengths > 0, rows.projections(params) / lengths, 0.0)
        matrix, count = matrix_of(rows), max(1, floor_share(self.sparsity, rows.d))
        large, agreeing = largest_entries(matrix, count), torch.zeros_like(rows.norms)
        for part, block in Rows(matrix).blocks():
            signs = block.sign()
            agreeing += ((signs == signs.sum(0).sign()) & large[:, part]).sum(1)
        chosen = deviate_less(agreeing / count, self.lambda_s) & deviate_less(direction, self.lambda_c)
        kept = int(chosen.sum())
        radius = rows.norms[chosen].quantile(0.5) if kept else rows.norms.new_zeros(())
        return clipped_average(rows.norms, radius, chosen), {"kept": kept}

    def extra_rows(self, n: int, clients: int) -> float:
        """Return n / 4: a mask of the large entries."""
        return n / 4

    def kappa_bound(self, n: int, f: int) -> float | None:
        """Return infinity for f > 0: shorter rows of the signs of equal honest ones are averaged."""
        return math.inf if f else None
