"""Many matrices of rows at once, each row a point of a span: what an attack tries, and rules take in one call."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import NoReturn, cast

import torch
from torch import Tensor

from .errors import InputError
from .gram import centred, cosines_of
from .inner_products import NO_WEIGHT
from .round import Round
from .rows import Rows
from .span import Geometry, Span

ROUNDING = 1e-14  # squared distances below this share of the squared norms are taken for 0


class Tries:
    """P matrices of n rows, each row a point of a span: what `Rows` are to a rule, for P tries at once.

    points: (P, n, r), or broadcastable to it. Every quantity has P as its first axis: distances (P, n, n), weights
    (P, n). A vector, such as the result of `combine`, is a point (P, r).
    """

    def __init__(self, span: Geometry, points: Tensor, *, round: Round | None = None, gram: Tensor | None = None):
        self.geometry, self.points = span, points
        self.round = Round() if round is None else round
        self.mixings: dict[object, Tensor] = {}
        self._gram = gram

    @classmethod
    def of(cls, span: Span, forged: Tensor, *, round: Round | None = None) -> Tries:
        """Return the tries in which forged rows (P, f, r) stand before the rows of the span."""
        honest = span.points.expand(len(forged), -1, -1)
        tries = cls(span, torch.cat([forged, honest], 1), round=round)
        deviation = forged.clone()
        deviation[..., -1] -= 1
        products = deviation @ span.gram  # only what is new is computed
        cross, own = products[..., : span.rows.n], products @ deviation.mT
        known = span.gram[: span.rows.n, : span.rows.n].expand(len(forged), -1, -1)
        tries._gram = torch.cat([torch.cat([own, cross], 2), torch.cat([cross.mT, known], 2)], 1)
        return tries

    @property
    def span(self) -> Span:
        """The span of the points."""
        assert isinstance(self.geometry, Span)
        return self.geometry

    @property
    def as_rows(self) -> Rows:
        """Itself, for the type checker: rules are written for `Rows`."""
        return cast("Rows", self)

    @property
    def n(self) -> int:
        return int(self.points.shape[-2])

    @property
    def shape(self) -> torch.Size:
        """The shape of a number for each row: (P, n)."""
        return self.points.shape[:-1]

    @property
    def d(self) -> int:
        return self.span.rows.d

    @property
    def updates(self) -> Tensor:
        """The points, whose type and device are those of the results."""
        return self.points

    @property
    def gram(self) -> Tensor:
        """Inner products of the rows around the central row of the span: (P, n, n)."""
        if self._gram is None:
            deviation = self.points.clone()
            deviation[..., -1] -= 1
            self._gram = deviation @ self.geometry.gram @ deviation.mT
        return self._gram

    @cached_property
    def squared_distances(self) -> Tensor:
        """Squared distances between the rows: (P, n, n), zero diagonal. What is rounding beside the norms is 0."""
        norms = self.gram.diagonal(dim1=-2, dim2=-1)
        sums = norms[..., :, None] + norms[..., None, :]
        distances = torch.add(sums, self.gram, alpha=-2)
        distances.masked_fill_(distances < ROUNDING * sums, 0.0)
        distances.diagonal(dim1=-2, dim2=-1).zero_()
        return distances

    @cached_property
    def norms(self) -> Tensor:
        """The norms of the rows: (P, n)."""
        return self.geometry.norms(self.points)

    @cached_property
    def origin_gram(self) -> Tensor:
        """Inner products of the rows: (P, n, n)."""
        return self.points @ self.geometry.gram @ self.points.mT

    @cached_property
    def cosines(self) -> Tensor:
        """The cosines of the angles between the rows: (P, n, n); 0 for a row of zeros, up to rounding."""
        inner = self.origin_gram
        sizes = (self.points.abs() @ self.geometry.gram.diagonal().clamp(min=0).sqrt()).square()
        zero = inner.diagonal(dim1=-2, dim2=-1) < ROUNDING * sizes
        return cosines_of(inner.masked_fill(zero[..., :, None] | zero[..., None, :], 0.0))

    def centred_products(self, index: Tensor | None) -> Tensor:
        """Return the inner products of the rows minus their mean on some columns, None for all: (P, n, n)."""
        if index is None:
            return centred(self.gram)
        columns = self.span.on_columns(index)
        gaps = self.points - self.points.mean(-2, keepdim=True)
        products: Tensor = gaps @ (columns @ columns.T) @ gaps.mT
        return products

    def mix(self, matrix: Tensor, *, keeps_rows: bool = False) -> Tries:
        """Return the tries whose rows are `matrix @ rows`; matrix is (m, n) or (P, m, n)."""
        mixed = Tries(self.geometry, matrix @ self.points, round=self.round)
        lacks = bool(((1 - matrix.sum(-1)).abs() > NO_WEIGHT).any())
        if not lacks:
            mixed._gram = matrix @ self.gram @ matrix.mT
        return mixed

    def combine(self, weights: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Return the weighted sums of the rows as points: (P, r); weights (P, n)."""
        return (weights.unsqueeze(-2) @ self.points).squeeze(-2)

    def mean(self) -> Tensor:
        """Return the means of the rows as points: (P, r)."""
        return self.points.mean(-2)

    def moved(self, centre: Tensor, weights: Tensor) -> Tensor:
        """Return centre + sum of weights (row - centre) as points: (P, r); centre (P, r) or (r,), weights (P, n)."""
        return self.combine(weights) + (1 - weights.sum(-1, keepdim=True)).to(centre) * centre

    def place(self, vector: Tensor) -> Tensor:
        """Return the point (r,) of a vector (d,) that the span was given."""
        return self.span.find(vector)

    def squared_distances_to(self, centre: Tensor | None) -> Tensor:
        """Return the squared distances of the rows to points (P, r) or (r,), or to the origin: (P, n)."""
        if centre is None:
            return self.norms.square()
        gaps = self.points - centre.unsqueeze(-2)
        return ((gaps @ self.geometry.gram) * gaps).sum(-1).clamp_(min=0)

    def squared_distances_to_mean(self, weights: Tensor) -> Tensor:
        """Return the squared distances of the rows to their weighted means: (P, n); weights (P, n) sum to 1."""
        products = (self.gram @ weights.unsqueeze(-1)).squeeze(-1)
        norms = self.gram.diagonal(dim1=-2, dim2=-1)
        return (norms - 2 * products + (weights * products).sum(-1, keepdim=True)).clamp_(min=0)

    def projections(self, vector: Tensor) -> Tensor:
        """Return the inner products of the rows with a point (r,): (P, n)."""
        return self.geometry.inner(self.points, vector)


class Relative(Tries):
    """Tries of which only the positions of the rows relative to each other are known. Other questions: InputError.

    gram: (P, n, n), their inner products around any point.
    """

    def __init__(self, gram: Tensor, points: Tensor | None = None):
        if points is None:
            points = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device).expand_as(gram)
        super().__init__(Geometry(gram), points, gram=points @ gram @ points.mT)

    def mix(self, matrix: Tensor, *, keeps_rows: bool = False) -> Tries:
        return Relative(self.geometry.gram, matrix @ self.points)

    def squared_distances_to(self, centre: Tensor | None) -> Tensor:
        if centre is None:
            _refuse("the origin")
        return super().squared_distances_to(centre)

    def projections(self, vector: Tensor) -> Tensor:
        _refuse("the origin")

    @property
    def norms(self) -> Tensor:
        _refuse("the origin")

    @property
    def origin_gram(self) -> Tensor:
        _refuse("the origin")

    @property
    def span(self) -> Span:
        _refuse("the entries of the rows")


def _refuse(what: str) -> NoReturn:
    raise InputError(f"the rule asks for {what}, which inner products around any point do not tell")


class SampledTries(Tries):
    """Tries on some of the columns, for rules per coordinate: vectors are entries (P, c); distances between rows exact.

    sample: (r, c), columns of what spans the rows, times sqrt(d / c): squared lengths are about those of all columns.
    """

    def __init__(
        self, span: Span, points: Tensor, sample: Tensor, *, round: Round | None = None, gram: Tensor | None = None
    ):
        super().__init__(span, points, round=round, gram=gram)
        self.sample = sample

    @cached_property
    def entries(self) -> Tensor:
        """The entries of the rows: (P, n, c), in the type of the sample."""
        return self.points.to(self.sample.dtype) @ self.sample

    def by_column(self, function: Callable[[Rows], Tensor]) -> Tensor:
        """Return what a function computes of each column, from the columns of all tries beside each other: (P, c)."""
        matrix = self.entries.float().movedim(-2, 0).flatten(1)  # in the type that the rule gets in a round
        return function(Rows(matrix)).to(self.sample.dtype).view(len(self.points), -1)

    def mix(self, matrix: Tensor, *, keeps_rows: bool = False) -> Tries:
        mixed = super().mix(matrix)
        return SampledTries(self.span, mixed.points, self.sample, round=self.round, gram=mixed._gram)

    def combine(self, weights: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        return (weights.to(self.entries).unsqueeze(-2) @ self.entries).squeeze(-2)

    def mean(self) -> Tensor:
        return self.entries.mean(-2)

    def place(self, vector: Tensor) -> Tensor:
        return super().place(vector).to(self.sample.dtype) @ self.sample

    def squared_distances_to(self, centre: Tensor | None) -> Tensor:
        return (
            self.norms.square() if centre is None else (self.entries - centre.unsqueeze(-2)).square().sum(-1).double()
        )

    def projections(self, vector: Tensor) -> Tensor:
        return (self.entries @ vector).double()
