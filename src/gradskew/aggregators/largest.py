"""The largest entries of each row, and how far numbers deviate from their median."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..core.rows import Rows

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
    for row, target in zip(matrix, chosen, strict=True):
        size = torch.cat([row[part] for part in columns]).abs()
        if not count:
            continue
        on_cpu = size.device.type == "cpu"  # elsewhere kthvalue may not be deterministic
        least = size.kthvalue(len(size) - count + 1).values if on_cpu else size.topk(count).values[-1]
        large = size > least
        ties = (size == least).nonzero()[:, 0]
        large[ties[: count - int(large.sum())]] = True
        places = [target[part] for part in columns]
        for place, part in zip(places, large.split([len(place) for place in places]), strict=True):
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
