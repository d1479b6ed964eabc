from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.rows import Rows
from .base import WeightedRule


@dataclass(frozen=True, kw_only=True)
class CAF(WeightedRule):
    """Covariance-bound agnostic filter: shrink the weights of outliers along the direction of largest variance.

    c_i = 1. Repeat: mu = sum c_i g_i / sum c_i; lambda, v = the largest eigenvalue and its unit eigenvector of
    sum c_i (g_i - mu)(g_i - mu)^T / sum c_i; t_i = <g_i - mu, v>^2; T = the largest t_i of the rows with c_i > 0;
    c_i <- c_i (1 - t_i / T). Stop if lambda or T is 0, or once sum c_i <= n - 2 f. The aggregate is the mu of the least
    lambda. Each step removes a row. If the largest eigenvalue is multiple, the result depends on the eigensolver.

    >>> CAF()(torch.tensor([[0.0], [1.0], [2.0], [9.0]]), f=1)
    tensor([1.0851])
    """

    key: ClassVar[str] = "caf"
    title: ClassVar[str] = "CAF"
    source: ClassVar[str] = "Allouah, Guerraoui and Stephan, ICML 2025"
    isometric: ClassVar[bool] = True

    def weigh(self, rows: Rows, f: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Any]]:
        gram = rows.gram.cpu()
        weights = best = torch.ones(rows.n, dtype=torch.float64)
        least, steps = torch.inf, 0
        while weights.sum() > rows.n - 2 * f or not steps:
            steps += 1
            shares = weights / weights.sum()
            products = gram @ shares
            centred = gram - products[:, None] - products + shares @ products  # <g_i - mu, g_j - mu>
            roots = shares.sqrt()
            values, vectors = torch.linalg.eigh(roots[:, None] * centred * roots)
            variance = float(values[-1])
            if variance < least:
                least, best = variance, weights
            if variance <= 0:
                break
            scores = ((centred / variance) @ (roots * vectors[:, -1])).square()  # t_i / lambda
            largest = scores[weights > 0].max()
            if largest <= 0:
                break
            weights = weights * (1 - scores / largest).clamp(min=0)
        return (best / best.sum()).to(rows.updates.device), {"steps": steps}
