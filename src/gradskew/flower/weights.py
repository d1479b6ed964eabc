"""The weights that a strategy gave the clients, computed from its result: Flower's strategies do not report them."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.rows import Rows

FIT = 1e-4  # of the squared distance to the mean of the rows: so much may be left unexplained
COLUMNS = 4  # coordinates for each row that are needed at least: fewer fit any result
BELOW = -0.01  # a weight below this is negative by more than rounding


def recover_weights(aggregate: Tensor, rows: Rows) -> Tensor | None:
    """Return the weights (n,) with which the aggregate (d,) is an average of the rows (n, d); None if it is none.

    They sum to 1 and are not negative: least squares around the mean of the rows, from inner products. Equal rows get
    equal weights. A strategy that works on each coordinate by itself, or takes a step of its own, has none.
    """
    n = rows.n
    if rows.d < COLUMNS * n:
        return None
    mean = rows.mean(torch.float64)
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
