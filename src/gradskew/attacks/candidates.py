"""Candidates of an attack that asks the rule: bases and directions of forged rows, as points of a span."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.columns import median, moments
from ..core.gram import centred
from ..core.rows import Rows
from ..core.span import Span
from .strike import hidden_line, num_skewed

STRENGTHS = (0.3, 0.6, 0.9, 1.1, 1.4, 1.8, 2.6, 6.0, 1e3, 1e6)  # in spreads of the honest rows


@dataclass(frozen=True)
class Line:
    """Forged rows base + t spread direction; base and direction are points of the span, the direction of length 1."""

    name: str
    base: Tensor
    direction: Tensor


class Scene:
    """The honest rows of a round and what an attacker computes from them once, in their span.

    u: the direction (d,) against which the aggregate is to move. extras: further vectors (d,), such as those that the
    rule uses. error: the rule's error in the last round (d,) or None. spread: sqrt of the mean squared distance of the
    honest rows from their mean; for equal rows the length of their mean.
    """

    def __init__(self, honest: Rows, u: Tensor, n: int, f: int, extras: list[Tensor], error: Tensor | None, seed: int):
        self.honest, self.n, self.f = honest, n, f
        vectors, skewed = self._vectors(u.double(), error, seed)
        self.names = list(vectors)
        self.span = Span(honest, [*vectors.values(), *extras])
        gram = self.span.gram[: honest.n, : honest.n]
        self.centred = centred(gram)
        spread = float(self.centred.diagonal().mean().clamp(min=0).sqrt())
        self.spread = spread or float(self.span.norms(self.span.mean))  # of equal rows the mean is the unit
        self.radius = float(self.centred.diagonal().max().clamp(min=0).sqrt())  # of the farthest honest row
        self.u, self.mean, self.skewed = self.point("u"), self.span.mean, skewed.cpu()

    def _vectors(self, u: Tensor, error: Tensor | None, seed: int) -> tuple[dict[str, Tensor], Tensor]:
        """Return the vectors (d,) of which lines are made, by name, and the indices of STRIKE's skewed rows."""
        honest, strike = self.honest, torch.empty_like(u)
        skew = median(honest, dtype=torch.float64)
        std = torch.empty_like(skew)
        for part, block in honest.blocks():
            mean, std[part] = moments(block)
            skew[part] -= mean
        skewed = honest.projections(skew).argsort(descending=True, stable=True)[: num_skewed(honest.n, self.n, self.f)]
        for part, block in honest.blocks():
            strike[part] = hidden_line(block, skewed)[1]
        signs = torch.randint(2, (honest.d,), generator=torch.Generator().manual_seed(seed)).to(std) * 2 - 1
        vectors = {"u": u, "sign(u) std": _scale(u.sign().mul_(std)), "u var": _scale(_scale(std).square().mul_(u))}
        vectors |= {"std": std, "skew": _scale(skew), "strike": _scale(strike), "signs": signs}
        if error is not None:
            vectors["error"] = _scale(error.to(torch.float64, copy=True))
        return vectors, skewed

    def point(self, name: str) -> Tensor:
        """Return the point of one of the scene's vectors: (r,)."""
        return self.span.vector(self.names.index(name))

    def extra(self, place: int) -> Tensor:
        """Return the point of one of the extras: (r,)."""
        return self.span.vector(len(self.names) + place)

    def mean_of(self, chosen: Tensor) -> Tensor:
        """Return the point of the mean of some honest rows: (r,)."""
        return self.span.points[chosen].mean(0)

    def farthest(self, count: int) -> Tensor:
        """Return the `count` honest rows with the smallest inner products with u: (count,)."""
        return self.span.inner(self.span.points, self.u).argsort(stable=True)[:count]

    def principal(self, count: int) -> Tensor:
        """Return the first principal directions of the honest rows: (at most count, r)."""
        values, vectors = torch.linalg.eigh(self.centred)
        kept = values > 1e-12 * values[-1].clamp(min=1e-300)
        axes = vectors[:, kept].flip(1)[:, :count].T
        directions: Tensor = (axes - axes.mean(1, keepdim=True)) @ self.span.points
        return directions

    def random(self, count: int, generator: torch.Generator) -> Tensor:
        """Return random directions of length 1 in the span of the honest rows' differences: (count, r).

        No row, (0, r), for equal rows, of which a difference is rounding.
        """
        weights = torch.randn(count, self.honest.n, generator=generator, dtype=torch.float64)
        directions = (weights - weights.mean(1, keepdim=True)) @ self.span.points
        return self.units(directions if self.radius > 0 else directions[:0])

    def units(self, directions: Tensor) -> Tensor:
        """Return directions (k, r) at length 1, without those of length 0."""
        lengths = self.span.norms(directions)
        return directions[lengths > 0] / lengths[lengths > 0, None]

    def unit(self, direction: Tensor) -> Tensor | None:
        """Return a direction (r,) at length 1; None for one without length."""
        length = float(self.span.norms(direction))
        return direction / length if length > 0 else None

    def lines(self) -> list[Line]:
        """Return the lines of candidates: name, base and direction."""
        mean, u = self.mean, self.u
        along = self.span.inner(self.span.points - mean, u)
        through = (along - along.mean()) @ (self.span.points - mean)  # the honest covariance times u
        std = self.point("std")
        given = [
            ("-u", mean, -u),
            ("-sign(u) std", mean, -self.point("sign(u) std")),
            ("-u var", mean, -self.point("u var")),
            ("-cov u", mean, -through),
            ("std", mean, std),
            ("-std", mean, -std),
            ("-mean", mean, -mean),
            ("skew", mean, self.point("skew")),
            ("strike", self.mean_of(self.skewed), self.point("strike")),
        ]
        for place, axis in enumerate(self.principal(2), 1):
            given += [(f"axis {place}", mean, axis), (f"-axis {place}", mean, -axis)]
        if "error" in self.names:
            given.append(("error", mean, self.point("error")))
        left = self.n - 2 * self.f
        for count in dict.fromkeys(min(max(1, count), self.honest.n) for count in (left, left // 2)):
            chosen = self.farthest(count)
            base, name = self.mean_of(chosen), f"S{len(chosen)}"
            given += [(name, mean, base - mean), (f"{name} -u", base, -u)]
            given += [(f"{name} -sign(u) std", base, -self.point("sign(u) std"))]
            given += [(f"2 {name} -u", 2 * base - mean, -u)]
        units = [(name, base, self.unit(direction)) for name, base, direction in given]
        return [Line(name, base, direction) for name, base, direction in units if direction is not None]


def _scale(vector: Tensor) -> Tensor:
    """Divide a vector (d,) by its largest entry, in place, and return it: only its direction counts."""
    largest = vector.abs().max()
    return vector.div_(largest) if largest > 0 else vector
