"""The strengths at which Krum chooses forged rows -strength * direction: tried, or in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..aggregators import MultiKrum
from ..core.rows import Rows
from ..core.span import Span
from ..core.tries import Tries

BATCH = 64  # intervals of strengths at a time
ROUNDING = 1e-12  # of a sum of squares
MARGIN = 1e-6  # share of the largest strength that is left out, so that rounding of the row does not undo it


@dataclass(frozen=True)
class Pool:
    """Rows that Krum chooses from: `copies` forged ones -strength * direction, before h rows taken for honest.

    f: that of Krum. m: the number of rows that it averages. every: whether all copies must be among these, or one.
    offsets: of the copies after the first (copies - 1, d), or none for equal ones.
    """

    rows: Rows
    direction: Tensor
    copies: int
    f: int
    m: int = 1
    every: bool = False
    offsets: Sequence[Tensor] = ()

    def accepted(self, strengths: Sequence[float]) -> list[bool]:
        """Return for each strength whether the copies are chosen."""
        span = Span(self.rows, [self.direction, *self.offsets])
        forged = -torch.tensor(strengths, dtype=torch.float64)[:, None] * span.vector(0)
        forged = forged.unsqueeze(1).repeat(1, self.copies, 1)
        for i in range(len(self.offsets)):
            forged[:, 1 + i] += span.vector(1 + i)
        tries = Tries.of(span, forged)
        weights, _ = MultiKrum(m=self.m).weigh(tries.as_rows, self.f, torch.Generator())
        chosen = weights[:, : self.copies] > 0
        result: list[bool] = (chosen.all(1) if self.every else chosen.any(1)).tolist()
        return result

    def largest(self) -> float:
        """Return the largest strength that is accepted, for equal copies; 0 if none is, infinity if all are.

        The score of a copy is the sum of its `few` smallest distances to the rows, each a quadratic in the strength. A
        row's score is that of its nearest rows, copies among them. Between the strengths at which one of these orders
        changes, all scores are quadratics: the answer is a root of a difference of two, or an end.

        There are about 3 h^2 intervals, each of which costs O(h^2): 1.4 s in all for 120 rows.
        """
        copies, h = self.copies, self.rows.n
        near = copies + h - self.f - 2  # neighbours of a row
        few = near - (copies - 1)  # of a copy, beside the other copies
        span = Span(self.rows, [self.direction])
        s = span.vector(0)
        squares, slopes, norm = span.norms(span.points).square(), span.inner(span.points, s), float(span.inner(s, s))
        if few < 1 or norm == 0:
            return torch.inf
        distances = self.rows.squared_distances.cpu() + torch.diag(torch.full((h,), torch.inf, dtype=torch.float64))
        nearest = distances.sort(1).values[:, :-1]
        sums = torch.cat([torch.zeros(h, 1, dtype=torch.float64), nearest.cumsum(1)], 1)  # of the k nearest rows
        most = float(sums[:, min(near, h - 1)].max())
        bound = ((most / few) ** 0.5 + float(squares.max()) ** 0.5) / norm**0.5
        if bound == 0 or (self.every and self.m < copies):
            return 0.0
        ends = _ends(squares, slopes, norm, nearest, bound)
        allowed = max(0, self.m - copies) if self.every else 0  # rows that may have a lower score
        for low, high in zip(ends[:-1].flip(0).split(BATCH), ends[1:].flip(0).split(BATCH), strict=True):
            middle = (low + high)[:, None] / 2
            q = squares + 2 * middle * slopes + middle.square() * norm  # (P, h)
            inside = torch.zeros_like(q).scatter_(1, q.argsort(1)[:, :few], 1.0)
            before = (nearest < q[..., None]).sum(-1).clamp(max=near)  # rows that are nearer to a row than the copies
            among = (near - before).clamp(max=copies)  # copies among the neighbours of a row
            square = (few - among) * norm
            slope = 2 * ((inside @ slopes)[:, None] - among * slopes)
            rest = (inside @ squares)[:, None] - sums.gather(1, (near - among).mT).mT - among * squares
            strength = float(_last_below_zero(square, slope, rest, low, high, allowed).max())
            if strength >= 0:
                return strength * (1 - MARGIN)
        return 0.0


def _ends(squares: Tensor, slopes: Tensor, norm: float, nearest: Tensor, bound: float) -> Tensor:
    """Return the strengths, rising from 0 to the bound, between which the order of no two distances changes."""
    crossings = (squares - squares[:, None]) / (2 * (slopes[:, None] - slopes))  # of the copies with two rows
    roots = _roots(torch.full_like(nearest, norm), 2 * slopes[:, None], squares[:, None] - nearest)
    strengths = torch.cat([crossings.flatten(), roots.flatten()])
    inside = strengths[(strengths > 0) & (strengths < bound)].unique()
    return torch.cat([strengths.new_tensor([0.0]), inside, strengths.new_tensor([bound])])


def _roots(square: Tensor, slope: Tensor, rest: Tensor) -> Tensor:
    """Return both roots of square x^2 + slope x + rest, on a further axis; NaN or infinity where there is none."""
    half = slope / 2
    w = -(half + torch.where(half < 0, -1.0, 1.0) * (half.square() - square * rest).sqrt())
    return torch.stack([w / square, rest / w], -1)


def _last_below_zero(square: Tensor, slope: Tensor, rest: Tensor, low: Tensor, high: Tensor, allowed: int) -> Tensor:
    """Return the largest x in [low, high] at which at most `allowed` of h quadratics are above 0: (P,), -1 if none.

    square, slope, rest: (P, h). low, high: (P,).
    """
    points = torch.cat([_roots(square, slope, rest).flatten(1), low[:, None], high[:, None]], 1).nan_to_num(nan=-1.0)
    inside = (points >= low[:, None]) & (points <= high[:, None])
    place, x = inside.nonzero()[:, 0], points[inside]
    terms = torch.stack([square[place] * x.square()[:, None], slope[place] * x[:, None], rest[place]])
    good = (terms.sum(0) > ROUNDING * terms.abs().sum(0)).sum(-1) <= allowed
    return points.new_full(low.shape, -1.0).scatter_reduce(0, place[good], x[good], "amax")
