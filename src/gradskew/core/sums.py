"""Sums over rows in one pass: weighted sums, distances to a vector and projections on one.

All sums are float64. Wide rows go through the compiled kernels, others block by block.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor

from .inner_products import InnerProducts


class Sums(InnerProducts):
    """The part of `Rows` that takes one pass over the columns for each call; nothing is cached."""

    finite: bool

    @property
    @abstractmethod
    def base(self) -> Sums: ...

    def notice(self, sums: Tensor) -> None:
        """Note that the base rows are finite if they are float32 and these sums, which take in each entry, are."""
        if not self.base.finite and self.updates.dtype == torch.float32:
            self.base.finite = math.isfinite(float(sums.sum()))

    def mean(self, dtype: torch.dtype | None = None, factor: float = 1.0) -> Tensor:
        """Return the mean of the rows (d,), times a factor, in their type by default."""
        return self._sum(torch.full((self.n,), factor, dtype=torch.float64), self.n, dtype)

    def combine(self, weights: Tensor, centre: Tensor | None = None, dtype: torch.dtype | None = None) -> Tensor:
        """Return the weighted sum of the rows, or of row - centre: (d,), in the type of the rows; weights (n,).

        Without a centre and for equal weights 1 / k the rows are added and then divided by k: the mean of 1, 4 and 7 is
        exactly 4.
        """
        if centre is not None:
            return self._sum(weights, 1, dtype, centre, -float(weights.sum()))
        count = _count(weights)
        return self._sum((weights != 0).double(), count, dtype) if count else self._sum(weights, 1, dtype)

    def moved(self, centre: Tensor, weights: Tensor) -> Tensor:
        """Return centre + the weighted sum of row - centre: (d,), in the type of the rows; weights (n,)."""
        return self._sum(weights, 1, None, centre, 1 - float(weights.sum()))

    def _sum(
        self,
        weights: Tensor,
        divisor: int,
        dtype: torch.dtype | None,
        vector: Tensor | None = None,
        factor: float = 0.0,
    ) -> Tensor:
        """Return the weighted sum of the rows / divisor + factor * vector: (d,)."""
        weights = weights.to(self.updates.device, torch.float64)
        if self.mixing is not None:
            weights = weights @ self.mixing
        value = self.updates.new_empty(self.d, dtype=dtype)
        if self.is_wide:
            from . import column_kernels

            column_kernels.combine(self.updates, weights, divisor, vector, factor, value)
        else:
            for part, block in self.base.blocks():
                total = weights @ block / divisor
                value[part] = total if vector is None else total + factor * vector[part].double()
        if not self.base.finite and bool(weights.all()):
            self.notice(value)
        return value

    def squared_distances_to(self, centre: Tensor | None) -> Tensor:
        """Return the squared distances of the rows to a vector (d,): (n,) float64. No Gram matrix is needed.

        centre: None means the origin.
        """
        centre = None if centre is None else centre.to(self.updates.device)
        if self.mixing is None and self.is_wide:
            from . import sum_kernels

            total = sum_kernels.squared_distances_to(self.updates, centre)
        else:
            total = torch.zeros(self.n, dtype=torch.float64, device=self.updates.device)
            for part, block in self.blocks():
                total += (block if centre is None else block - centre[part].double()).square().sum(1)
        if self.mixing is None:
            self.notice(total)
        return total

    def projections(self, vector: Tensor, centre: Tensor | None = None) -> Tensor:
        """Return the inner products <row - centre, vector>: (n,) float64; centre and vector are (d,)."""
        vector = vector.to(self.updates.device)
        if self.mixing is None and self.is_wide:
            from . import sum_kernels

            return sum_kernels.products_with(self.updates, vector, centre)[0]
        total = torch.zeros(self.n, dtype=torch.float64, device=self.updates.device)
        for part, block in self.blocks():
            if centre is not None:
                block = block - centre[part].double()
            total += block @ vector[part].double()
        return total

    def projections_and_norms(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inner products with a vector (d,), and the norms, in one pass: (n,) float64 each."""
        vector = vector.to(self.updates.device)
        if self.mixing is None and self.is_wide:
            from . import sum_kernels

            products, squares = sum_kernels.products_with(self.updates, vector, None)
        else:
            products, squares = torch.zeros(2, self.n, dtype=torch.float64, device=self.updates.device)
            for part, block in self.blocks():
                products += block @ vector[part].double()
                squares += block.square().sum(1)
        if self.mixing is None:
            self.notice(squares)
        return products, squares.sqrt()


def _count(weights: Tensor) -> int:
    """Return k if all weights other than 0 are 1 / k, for a whole number k; else 0."""
    different = {*weights.tolist()} - {0.0}
    weight = different.pop() if len(different) == 1 else 0.0
    count = round(1 / weight) if weight * len(weights) > 0.5 else 0
    return count if count and 1 / count == weight else 0
