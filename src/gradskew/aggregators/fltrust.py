from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.errors import check_choice
from ..core.rows import Rows
from .base import WeightedRule


@dataclass(frozen=True, kw_only=True)
class FLTrust(WeightedRule):
    """Average the rows, scaled to the norm of the server's own update and weighted by their cosine with it.

    g_0: the server's own update, from its root data (`round.reference`). s_i = max(0, cos(g_i, g_0)) is the trust
    score of row i. The aggregate is sum_i s_i (|g_0| / |g_i|) g_i / sum_i s_i. f is not used. The weight of row i is
    s_i |g_0| / (|g_i| sum_j s_j); the weights need not sum to 1.

    none_trusted: the aggregate if no trust score is positive. `zero`: 0. `uniform`: the mean of the scaled rows, none
    of which points in the direction of g_0.

    >>> from gradskew.core.round import Round
    >>> rows = torch.tensor([[2.0, 0.0], [0.0, 3.0], [-5.0, 0.0], [3.0, 4.0]])
    >>> FLTrust()(rows, f=1, round=Round(reference=torch.tensor([1.0, 0.0])))
    tensor([0.8500, 0.3000])
    """

    key: ClassVar[str] = "fltrust"
    title: ClassVar[str] = "FLTrust"
    source: ClassVar[str] = "Cao et al., NDSS 2021"
    needs: ClassVar[frozenset[str]] = frozenset({"reference"})
    late_check: ClassVar[bool] = True
    isometric: ClassVar[bool] = True
    by_length: ClassVar[bool] = True
    none_trusted: str = "zero"

    def __post_init__(self) -> None:
        check_choice("none_trusted", self.none_trusted, ("zero", "uniform"))

    def weigh(self, rows: Rows, f: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Any]]:
        reference = rows.round.reference
        assert reference is not None
        length = torch.linalg.vector_norm(reference.double())
        products, norms = rows.projections_and_norms(reference)
        scales = torch.where(norms > 0, length / norms, 0)  # a row of zeros has no direction
        trust = (products * scales).clamp(min=0)  # |g_0|^2 s_i
        trusted = int((trust > 0).sum())
        if not trusted and self.none_trusted == "uniform":
            trust = torch.ones_like(trust)
        total = trust.sum()
        weights = trust * scales / total if total > 0 else torch.zeros_like(trust)
        return weights, {"trusted": trusted}

    def max_f(self, n: int) -> int:
        """Return n - 1: the rule relies on the server's own update, not on a majority."""
        return n - 1

    def kappa_bound(self, n: int, f: int) -> float:
        """Return infinity: Byzantine rows in the direction of the server's own update may get all of the weight."""
        return math.inf
