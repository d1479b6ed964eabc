"""Find the largest feasible step along a ray, in closed form (Eq. 13 of STRIKE; MinMax and MinSum)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..core.rows import Rows


class Ray:
    """A ray `start + t ray` whose point and direction follow, column by column, from the rows.

    `shape` maps a float64 block (n, columns) to the columns of start and of ray. Nothing of length d is kept: the inner
    products are taken in one pass, the point is written in another.
    """

    def __init__(self, rows: Rows, shape: Callable[[Tensor], tuple[Tensor, Tensor]]):
        self.rows, self.shape = rows, shape
        zero = torch.zeros(rows.n, dtype=torch.float64, device=rows.updates.device)
        self.norm, self.slopes, self.squares = zero.sum(), zero, zero.clone()
        for _, block in rows.blocks():
            start, ray = shape(block)
            gaps = start - block
            self.norm = self.norm + ray @ ray  # |ray|^2
            self.slopes += gaps @ ray  # <ray, start - row>
            self.squares += gaps.square_().sum(1)  # |start - row|^2

    def point(self, step: float) -> Tensor:
        """start + step ray: (d,), in the type of the rows."""
        value = self.rows.updates.new_empty(self.rows.d)
        for part, block in self.rows.blocks():
            start, ray = self.shape(block)
            value[part] = start + step * ray
        return value


def largest_step(norm: Tensor, slopes: Tensor, slacks: Tensor) -> float:
    """The largest t >= 0 with t^2 norm + 2 t slopes <= slacks in every entry, in closed form.

    For a point `start + t ray` that must stay within `bound` of each row: `norm` is |ray|^2, `slopes` are the inner
    products <ray, start - row>, `slacks` are bound^2 - |start - row|^2 (a negative one counts as 0: it is rounding).
    The root is written so that nothing cancels. A ray of length 0 gives 0.
    """
    if not norm > 0:
        return 0.0
    slacks = slacks.clamp(min=0)
    root = (slopes.square() + norm * slacks).sqrt()
    steps = torch.where(slopes > 0, slacks / (slopes + root), (root - slopes) / norm)
    return float(steps.min())
