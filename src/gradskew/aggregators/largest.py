"""The largest entries of each row, and how far numbers deviate from their median."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..core.rows import BLOCK_BYTES, Rows

ROUNDING = 1e-12
SLACK = 1e-9


def matrix_of(rows: Rows) -> Tensor:
    """Return the rows as a matrix (n, d): a copy only if they are mixtures."""
    return rows.updates if rows.mixing is None else rows.copy(torch.arange(rows.n))


def largest_entries(matrix: Tensor, count: int, columns: Sequence[slice] = (slice(None),)) -> Tensor:
    """Return which entries of each row are its `count` largest ones by absolute value: (n, d) bool.

    columns: the parts of the row that are compared; entries elsewhere are none. Ties go to the lower column.
    """
    chosen = torch.zeros(matrix.shape, dtype=torch.bool, device=matrix.device)
    if not count:
        return chosen
    at_once = max(1, BLOCK_BYTES // (8 * matrix.shape[1]))
    for block, target in zip(matrix.split(at_once), chosen.split(at_once), strict=True):
        size = torch.cat([block[:, part] for part in columns], 1).abs()
        on_cpu = size.device.type == "cpu"  # elsewhere kthvalue may not be deterministic
        least = size.kthvalue(size.shape[1] - count + 1).values if on_cpu else size.topk(count).values[:, -1]
        large = size >= least[:, None]
        if bool((large.sum(1) > count).any()):
            ties = size == least[:, None]
            large &= ~ties | (ties.cumsum(1) <= count - (large & ~ties).sum(1, keepdim=True))
        places = [target[:, part] for part in columns]
        for place, part in zip(places, large.split([place.shape[1] for place in places], 1), strict=True):
            place.copy_(part)
    return chosen


def deviate_less(values: Tensor, bound: float) -> Tensor:
    """Return for which of the numbers (n,) |x_i - median| / std < bound, with the midpoint median and the biased std.

    All do if the std is 0. A std that is 1e-12 of the largest number is rounding, and so is a deviation that is within
    1e-9 of the bound: of two values that as many rows have, each deviates by exactly 1.
    """
    std = values.std(correction=0)
    varies = bool(std > ROUNDING * values.abs().max())
    deviations = (values - values.quantile(0.5)).abs() / std if varies else torch.zeros_like(values)
    return deviations < bound * (1 - SLACK)
