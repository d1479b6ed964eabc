"""What a rule makes of tries of forged rows, and what an attacker wants of it."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


class Answer:
    """What a rule makes of P tries: aggregates R (P, x), and weights of the rows (P, n) or None.

    mean: that of the honest rows, m (x,). size: the number of forged rows, which come first. image: maps a point of the
    span (r,) to the space (x,) of the aggregates. metric: (x, x), its inner products. NaN where the rule fails.
    """

    def __init__(
        self,
        values: Tensor,
        mean: Tensor,
        weights: Tensor | None,
        size: int,
        image: Callable[[Tensor], Tensor] = lambda point: point,
        metric: Tensor | None = None,
    ):
        self.values, self.mean, self.weights, self.size = values, mean, weights, size
        self.image, self.metric = image, metric
        self.gaps = values - mean

    @property
    def failed(self) -> Tensor:
        """Whether the aggregate of each try is not finite: (P,)."""
        return ~self.values.detach().isfinite().all(-1).cpu()

    def along(self, point: Tensor) -> Tensor:
        """Return the inner products <R - m, v> with a point v of the span (r,): (P,)."""
        return (self.gaps @ self._dual(self.image(point))).double().cpu()

    def distance(self) -> Tensor:
        """Return |R - m|: (P,)."""
        if self.metric is None:
            lengths: Tensor = torch.linalg.vector_norm(self.gaps, dim=-1)
            return lengths.double().cpu()
        squared = ((self.gaps @ self.metric) * self.gaps).sum(-1)
        return squared.clamp(min=0).sqrt().double().cpu()

    def progress(self) -> Tensor:
        """Return <R, m> / |m|^2, the step along m as a multiple of m: (P,); 0 for m = 0."""
        dual = self._dual(self.mean)
        squared, steps = float(self.mean @ dual), (self.values @ dual).double().cpu()
        return steps / squared if squared else torch.zeros_like(steps)

    def share(self) -> Tensor:
        """Return the forged rows' part of the absolute weights: (P,); NaN without weights, and if all are 0."""
        if self.weights is None:
            return torch.full((len(self.values),), math.nan, dtype=torch.float64)
        weights = self.weights.abs().expand(len(self.values), -1)
        return (weights[:, : self.size].sum(1) / weights.sum(1)).double().cpu()

    def _dual(self, vector: Tensor) -> Tensor:
        return vector if self.metric is None else self.metric @ vector


Objective = Callable[[Answer], Tensor]  # (P,): what the attacker wants to be large
