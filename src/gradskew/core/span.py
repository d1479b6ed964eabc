"""Rows as combinations of known rows and a few vectors: tries of forged rows at a cost that does not depend on d."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from .rows import Rows

RANK = 1e-13  # eigenvalues below this share of the largest are taken for 0


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
    offset that all of them share. The Gram matrix (r, r) takes one pass over the columns;
    inner products of points take none.

    mean: of the rows (d,), float64, if it is known.
    """

    def __init__(self, rows: Rows, vectors: Sequence[Tensor], *, mean: Tensor | None = None):
        self.rows, self.vectors = rows, list(vectors)
        self._placed = [vector.to(rows.updates.device) for vector in self.vectors]
        self._vectors: dict[bytes, Tensor] = {}
        h, e = rows.n, len(self.vectors)
        self.size = h + e + 1
        super().__init__(self._products())
        self.points = torch.eye(h, self.size, dtype=torch.float64)
        self.points[:, -1] = 1
        self.mean = self.points.mean(0)
        if mean is not None:
            self._vectors[_key(self.mean)] = mean

    def _products(self) -> Tensor:
        """Return the inner products of the deviations of the rows, the vectors and the central row: (r, r)."""
        inner, centre = self.rows.centred_gram
        h, e = self.rows.n, len(self.vectors)
        cross = torch.zeros(h, e + 1, dtype=torch.float64)
        own = torch.zeros(e + 1, e + 1, dtype=torch.float64)
        for part, block in self.rows.blocks():
            columns = torch.stack([*(vector[part].double() for vector in self._placed), block[centre].clone()])
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

    def vector_of(self, point: Tensor) -> Tensor:
        """Return a point (r,) as a vector (d,) of float64."""
        if _key(point) not in self._vectors:
            self._vectors[_key(point)] = self._expand(point[None], torch.float64)[0]
        return self._vectors[_key(point)]

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
        updates = self.rows.updates
        result = updates.new_empty(len(points), self.rows.d, dtype=dtype)
        whole = [(slice(None), None)]  # combinations of the vectors alone need no pass over the rows
        for part, block in self.rows.blocks() if weights.any() else whole:
            value = updates.new_zeros(result.shape, dtype=torch.float64) if block is None else weights.to(block) @ block
            for place, vector in enumerate(self._placed):
                if others[:, place].any():
                    value += torch.outer(others[:, place].to(value), vector[part].double())
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


def _key(point: Tensor) -> bytes:
    return point.numpy().tobytes()
