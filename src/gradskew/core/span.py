"""Rows as combinations of known rows and a few vectors: tries of forged rows at a cost that does not depend on d."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import cast

import torch
from torch import Tensor

from .inner_products import cosines_of
from .round import Round
from .rows import Rows

RANK = 1e-13  # eigenvalues below this share of the largest are taken for 0
ROUNDING = 1e-14  # squared distances below this share of the squared norms are taken for 0


class Geometry:
    """Inner products of what points are combinations of: gram (..., r, r)."""

    def __init__(self, gram: Tensor):
        self.gram = gram

    def inner(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the inner products of points (..., r) with a point (r,): (...)."""
        return first @ (self.gram @ second)

    def norms(self, points: Tensor) -> Tensor:
        """Return the norms of points (..., r): (...)."""
        return ((points @ self.gram) * points).sum(-1).clamp(min=0).sqrt()


class Span(Geometry):
    """The span of h rows and of e further vectors, with the inner products of all of them.

    A point of it is r = h + e + 1 coefficients: of the rows minus a central row, of the vectors, and of the central
    row. A row of the matrix has the coefficient 1 of the central row, so that distances between rows do not see an
    offset that all of them share. The Gram matrix (r, r) takes one pass over the columns; nothing after it does.
    """

    def __init__(self, rows: Rows, vectors: Sequence[Tensor]):
        self.rows, self.vectors = rows, list(vectors)
        self._vectors: dict[bytes, Tensor] = {}
        h, e = rows.n, len(self.vectors)
        self.size = h + e + 1
        super().__init__(self._products())
        self.points = torch.eye(h, self.size, dtype=torch.float64)
        self.points[:, -1] = 1
        self.mean = self.points.mean(0)

    def _products(self) -> Tensor:
        """Return the inner products of the deviations of the rows, the vectors and the central row: (r, r)."""
        inner, centre = self.rows.centred_gram
        h, e = self.rows.n, len(self.vectors)
        cross = torch.zeros(h, e + 1, dtype=torch.float64)
        own = torch.zeros(e + 1, e + 1, dtype=torch.float64)
        for part, block in self.rows.blocks():
            columns = torch.stack([*(vector[part].double() for vector in self.vectors), block[centre].clone()])
            cross += ((block - block[centre]) @ columns.T).cpu()
            own += (columns @ columns.T).cpu()
        return torch.cat([torch.cat([inner.cpu(), cross], 1), torch.cat([cross.T, own], 1)])

    def vector(self, place: int) -> Tensor:
        """Return the point of the vector that was given at a place: (r,)."""
        point = torch.zeros(self.size, dtype=torch.float64)
        point[self.rows.n + place] = 1
        return point

    def find(self, vector: Tensor) -> Tensor:
        """Return the point of one of the given vectors (d,), in the same memory: (r,). KeyError for another vector."""
        for place, given in enumerate(self.vectors):
            if given.data_ptr() == vector.data_ptr() and given.dtype == vector.dtype:
                return self.vector(place)
        raise KeyError("the vector is not in the span")

    @property
    def honest(self) -> Tensor:
        """The rows (h, d) that span it."""
        return self.rows.copy(torch.arange(self.rows.n)) if self.rows.mixing is not None else self.rows.updates

    def vector_of(self, point: Tensor) -> Tensor:
        """Return a point (r,) as a vector (d,) of float64."""
        key = point.numpy().tobytes()
        if key not in self._vectors:
            self._vectors[key] = self._expand(point[None], torch.float64)[0]
        return self._vectors[key]

    def on_columns(self, columns: Tensor) -> Tensor:
        """Return what spans the rows on some columns (c,): deviations, vectors, central row, (r, c) float64."""
        rows = self.rows.columns(columns).cpu()
        centre = rows[self.rows.centred_gram[1]]
        others = [vector[columns.to(vector.device)].double().cpu() for vector in self.vectors]
        return torch.cat([rows - centre, torch.stack([*others, centre])])

    def materialise(self, points: Tensor) -> Tensor:
        """Return points (f, r) as rows (f, d), in the type of the rows; equal points are computed once."""
        distinct, back = points.unique(dim=0, return_inverse=True)
        result = self._expand(distinct, self.rows.updates.dtype)
        return result.expand(len(points), -1) if len(distinct) == 1 else result[back]

    def _expand(self, points: Tensor, dtype: torch.dtype) -> Tensor:
        """Return points (k, r) as rows (k, d) of a type."""
        h = self.rows.n
        weights, others = points[:, :h].clone(), points[:, h:-1]
        weights[:, self.rows.centred_gram[1]] += points[:, -1] - weights.sum(1)
        result = self.rows.updates.new_empty(len(points), self.rows.d, dtype=dtype)
        for part, block in self.rows.blocks():
            value = weights.to(block) @ block
            for place, vector in enumerate(self.vectors):
                if others[:, place].any():
                    value += torch.outer(others[:, place].to(block), vector[part].double())
            result[:, part] = value
        return result

    def coordinates(self, points: Tensor) -> Tensor:
        """Return points (..., r) in an orthonormal basis: (..., at most r), the same distances and inner products."""
        return points @ self.basis

    @cached_property
    def basis(self) -> Tensor:
        """The coordinates of the deviations, vectors and central row: (r, rank). Each is first scaled to length 1."""
        lengths = self.gram.diagonal().clamp(min=0).sqrt()
        scale = torch.where(lengths > 0, 1 / lengths, 0.0)
        values, vectors = torch.linalg.eigh(self.gram * scale[:, None] * scale)
        kept = values > RANK * values[-1]
        basis: Tensor = lengths[:, None] * vectors[:, kept] * values[kept].sqrt()
        return basis

    @cached_property
    def inverse(self) -> Tensor:
        """The points of the axes of the orthonormal basis: (rank, r)."""
        inverse: Tensor = torch.linalg.pinv(self.basis)
        return inverse


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

    @classmethod
    def with_gram(cls, gram: Tensor) -> Tries:
        """Return tries of which only the inner products (P, n, n) are known."""
        return cls(Geometry(gram), torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device), gram=gram)

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
        """The cosines of the angles between the rows: (P, n, n); 0 for a row of zeros."""
        return cosines_of(self.origin_gram)

    def centred_products(self, index: Tensor) -> Tensor:
        """Return the inner products of the rows minus their mean on some columns: (P, n, n)."""
        columns = self.span.on_columns(index)
        gaps = self.points - self.points.mean(-2, keepdim=True)
        products: Tensor = gaps @ (columns @ columns.T) @ gaps.mT
        return products

    def mix(self, matrix: Tensor, *, keeps_rows: bool = False) -> Tries:
        """Return the tries whose rows are `matrix @ rows`; matrix is (m, n) or (P, m, n)."""
        mixed = Tries(self.geometry, matrix @ self.points, round=self.round)
        lacks = bool(((1 - matrix.sum(-1)).abs() > 1e-12).any())
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

    def rows(self, index: int) -> Rows:
        """Return one of the tries as rows (n, rank) in orthonormal coordinates, for a rule that takes one at a time."""
        return Rows(self.span.coordinates(self.points[index]), round=self.round)


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
