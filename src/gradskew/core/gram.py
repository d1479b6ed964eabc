"""Matrices of inner products (n, n): cosines, distances, another centre, one row more."""

from __future__ import annotations

import torch
from torch import Tensor


def cosines_of(inner: Tensor) -> Tensor:
    """Return the cosines of the angles between rows with these inner products (..., n, n); 0 with a row of zeros."""
    norms = inner.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()
    scale = torch.where(norms > 0, 1 / norms, 0.0)
    return (inner * scale[..., :, None] * scale[..., None, :]).clamp_(-1, 1)


def centred(gram: Tensor) -> Tensor:
    """Return the inner products of rows around their mean from those around any point: (..., n, n)."""
    rows, columns = gram.mean(-2, keepdim=True), gram.mean(-1, keepdim=True)
    return gram - rows - columns + gram.mean((-2, -1), keepdim=True)


def bordered(matrix: Tensor, column: Tensor) -> Tensor:
    """Return a symmetric matrix (n + 1, n + 1): an (n, n) one with a last row and column (n + 1,)."""
    return torch.cat([torch.cat([matrix, column[None, :-1]]), column[:, None]], 1)


def squared_distances_of(gram: Tensor) -> Tensor:
    """Return the squared distances (n, n) from inner products (n, n); close pairs lose digits by cancellation."""
    norms = gram.diagonal()
    return (norms[:, None] + norms - 2 * gram).clamp_(min=0)
