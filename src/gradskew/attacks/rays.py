"""Find the largest feasible step along a ray, in closed form (Eq. 13 of STRIKE; MinMax and MinSum)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..core.rows import Rows


class Ray:
    """A ray `start + t direction`, both computed from the rows block by block of columns.

    line: maps a float64 block of rows (n, columns) to the columns of start and direction. No vector of length d is
    stored: the inner products take one pass over the rows, a point on the ray takes another.
    """

    def __init__(self, rows: Rows, line: Callable[[Tensor], tuple[Tensor, Tensor]]):
        self.rows, self.line = rows, line
        zero = torch.zeros(rows.n, dtype=torch.float64, device=rows.updates.device)
        self.norm, self.slopes, self.squares = zero.sum(), zero, zero.clone()
        for _, block in rows.blocks():
            start, direction = line(block)
            gaps = start - block
            self.norm = self.norm + direction @ direction  # |direction|^2
            self.slopes += gaps @ direction  # <direction, start - row>
            self.squares += gaps.square_().sum(1)  # |start - row|^2

    def point(self, step: float) -> Tensor:
        """Return start + step direction: (d,), in the type of the rows."""
        value = self.rows.updates.new_empty(self.rows.d)
        for part, block in self.rows.blocks():
            start, direction = self.line(block)
            value[part] = start + step * direction
        return value


def largest_step(norm: Tensor, slopes: Tensor, slacks: Tensor) -> float:
    """Return the largest t >= 0 with t^2 norm + 2 t slopes <= slacks in every entry, in closed form.

    For `start + t direction` within `bound` of each row: norm is |direction|^2, slopes are <direction, start - row>,
    slacks are bound^2 - |start - row|^2, where a negative slack is rounding and counts as 0. The form of the root
    avoids cancellation. Returns 0 for a direction of length 0.
    """
    if not norm > 0:
        return 0.0
    slacks = slacks.clamp(min=0)
    root = (slopes.square() + norm * slacks).sqrt()
    steps = torch.where(slopes > 0, slacks / (slopes + root), (root - slopes) / norm)
    return float(steps.min())
