from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from ..core.columns import sort_rows
from ..core.errors import check_number, floor_share
from ..core.rows import Rows
from .base import Aggregator, Outcome
from .clipping import clip_factors
from .largest import largest_entries, matrix_of


@dataclass(frozen=True, kw_only=True)
class FedSECA(Aggregator):
    """Sign election and coordinate-wise averaging of the largest entries.

    rho_i = max(0, mean_j sign(sum_k sign(g_ik) sign(g_jk))), j = i included; e_k = sign(sum_i rho_i sign(g_ik)). y_i is
    g_i clipped to the median norm, each entry cut to [-m_k, m_k], m_k the median of |y_ik| over the rows. Of each row
    only the d - floor(gamma d) entries of the largest |g_ik| are kept, on ties the lower columns. The aggregate in
    column k is the mean of the kept entries whose sign is e_k (of all kept entries other than 0 if e_k = 0), 0 if there
    is none. f is not used. The formulas are those of FL-Byzantine-Library; the paper's text was not compared.

    >>> rows = torch.tensor([[1.0, 2, 3, -4], [2, 1, 2, -1], [1, -1, 4, -2], [-8, -8, -8, 8]])
    >>> FedSECA(gamma=0.5)(rows, f=1)
    tensor([ 1.5000,  0.0000,  2.4421, -2.1355])
    """

    key: ClassVar[str] = "fedseca"
    title: ClassVar[str] = "FedSECA"
    source: ClassVar[str] = "FedSECA, CVPR 2025"
    gamma: float = 0.9

    def __post_init__(self) -> None:
        check_number("gamma", self.gamma, at_least=0, below=1)

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        matrix, factors = matrix_of(rows), clip_factors(rows.norms, rows.norms.quantile(0.5))[:, None]
        kept = largest_entries(matrix, rows.d - floor_share(self.gamma, rows.d))
        plain = Rows(matrix)
        agreement = factors.new_zeros(rows.n, rows.n)
        for _, block in plain.blocks():
            signs = block.sign()
            agreement.addmm_(signs, signs.T)
        votes = agreement.sign().sum(1).clamp(min=0)  # n rho: whole numbers, so that a tie is exact
        value = rows.updates.new_empty(rows.d)
        for part, block in plain.blocks():
            signs = block.sign()
            elected = (votes @ signs).sign()
            entries = block * factors
            ordered = sort_rows(entries.abs())
            limit = (ordered[(rows.n - 1) // 2] + ordered[rows.n // 2]) / 2
            entries = entries.clamp(-limit, limit)
            used = kept[:, part] & (entries != 0) & ((signs == elected) | (elected == 0))
            value[part] = (entries * used).sum(0) / used.sum(0).clamp(min=1)
        return Outcome(value, None, {"trusted": int((votes > 0).sum())})

    def extra_rows(self, n: int, clients: int) -> float:
        """Return n / 4: a mask of the large entries."""
        return n / 4

    def kappa_bound(self, n: int, f: int) -> float:
        """Return infinity: the small entries of equal honest rows are lost, also for f = 0."""
        return math.inf
