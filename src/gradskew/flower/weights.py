"""Which weights a strategy gave the clients, found from what came out: Flower's strategies do not say."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.rows import Rows

FIT = 1e-4  # of the squared distance to the mean of the rows that weights may leave unexplained
FEWER = 4  # rows per coordinate would fit anything: there must be so many coordinates for a row
BELOW = -0.01  # a weight that is not just rounding below 0


def recovered(aggregate: Tensor, rows: Rows) -> Tensor | None:
    """The weights (n,) of which the aggregate (d,) is the average of the rows (n, d), or None if it is none.

    Weights that sum to 1 and are not negative, by least squares around the mean of the rows, from their inner products.
    Rows that are equal share theirs equally. A strategy that works on each coordinate by itself, or takes a step of its
    own, has none.
    """
    n = rows.n
    if rows.d < FEWER * n:
        return None
    even = torch.full((n,), 1 / n, dtype=torch.float64)
    mean = rows.combine(even, dtype=torch.float64)
    offset = aggregate.double() - mean
    gram = rows.gram - rows.gram.mean(0)
    gram = gram - gram.mean(1, keepdim=True)
    products = rows.projections(offset, centre=mean)
    length = float(offset @ offset)
    weights = torch.linalg.pinv(gram, rtol=1e-10, hermitian=True) @ products
    unexplained = length - float(2 * weights @ products - weights @ gram @ weights)
    scale = max(length, 1e-6 * float(gram.diagonal().mean()))
    weights = weights - weights.mean() + 1 / n
    fits = unexplained <= FIT * scale and float(weights.min()) >= BELOW
    return weights.clamp(min=0) / weights.clamp(min=0).sum() if fits else None
