from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.eigenpairs import largest_eigenpairs
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
    batched: ClassVar[str] = "span"

    def weigh(self, rows: Rows, f: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Any]]:
        gram = rows.gram.cpu()
        weights = best = torch.ones(rows.shape, dtype=torch.float64)
        least = torch.full(rows.shape[:-1], torch.inf, dtype=torch.float64)
        going, steps = torch.ones_like(least, dtype=torch.bool), 0
        while going.any():
            steps += 1
            shares = weights / weights.sum(-1, keepdim=True)
            products = (gram @ shares[..., None]).squeeze(-1)
            constant = (shares * products).sum(-1)[..., None, None]
            centred = gram - products[..., :, None] - products[..., None, :] + constant  # <g_i - mu, g_j - mu>
            roots = shares.detach().sqrt()  # the eigenvector has no gradient: it is not unique
            values, vectors = largest_eigenpairs((roots[..., :, None] * centred.detach() * roots[..., None, :])[going])
            variance, direction = torch.full_like(least, torch.inf), torch.zeros_like(roots)
            variance[going], direction[going] = values[..., 0], roots[going] * vectors[..., 0]
            better = going & (variance < least)
            best, least = torch.where(better[..., None], weights, best), torch.where(better, variance, least)
            going = going & (variance > 0)
            scores = ((centred @ direction[..., None]).squeeze(-1) / variance.where(going, 1.0)[..., None]).square()
            largest = scores.where(weights > 0, 0.0).amax(-1, keepdim=True)  # scores are t_i / lambda
            going = going & (largest > 0).squeeze(-1)
            shrunk = weights * (1 - scores / largest.where(largest > 0, 1.0)).clamp(min=0)
            going = going & (shrunk.sum(-1) > rows.n - 2 * f)
            weights = torch.where(going[..., None], shrunk, weights)
        return (best / best.sum(-1, keepdim=True)).to(rows.updates.device), {"steps": steps}
