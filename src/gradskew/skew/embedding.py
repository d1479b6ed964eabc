"""The rows of a round in the plane, by locally linear embedding (LLE) or by principal components (PCA)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..attacks.base import check_inputs
from ..core.errors import InputError, check, check_choice, check_number
from ..core.given import as_tensor, check_rows
from ..core.numerics import fixed_threads
from ..core.rows import Given, Rows
from .statistics import Floats

NEIGHBOURS = 5  # scikit-learn's default
REGULARISATION = 1e-3  # of the weights, as a share of the trace: scikit-learn's default
ROUNDING = 1e-12  # times the largest squared distance: rows that are not farther apart count as equal
METHODS = ("lle", "pca")
MAX_COORDINATE = 1e100  # so that sums and differences are finite
MAX_ROWS = 1000  # rows of a picture, as the time of both methods grows with their cube

Point = tuple[float, float]


@dataclass(frozen=True)
class Picture:
    """The rows of a round in the plane.

    method: `lle` or `pca`, see there. honest: the point of each honest row. skewed: of each honest row whether it is in
    S. mean: the point of the honest mean, which the STRIKE paper calls the optimal gradient. byzantine: the point of
    each Byzantine row. aggregate: the point of the aggregate, or None.
    """

    round: int
    method: str
    honest: tuple[Point, ...]
    skewed: tuple[bool, ...]
    mean: Point
    byzantine: tuple[Point, ...] = ()
    aggregate: Point | None = None

    def __post_init__(self) -> None:
        check_number("round", self.round, at_least=0, whole=True)
        check_choice("method", self.method, METHODS)
        for x, y in (*self.honest, self.mean, *self.byzantine, *([self.aggregate] if self.aggregate else [])):
            check_number("a coordinate", x, at_least=-MAX_COORDINATE, at_most=MAX_COORDINATE)
            check_number("a coordinate", y, at_least=-MAX_COORDINATE, at_most=MAX_COORDINATE)
        good = 0 < len(self.honest) == len(self.skewed) and all(type(each) is bool for each in self.skewed)
        check(len(self.honest) + len(self.byzantine) <= MAX_ROWS, f"a picture has at most {MAX_ROWS} rows")
        check(good, "there must be at least one honest point, and skewed must be true or false for each")

    def to_json(self) -> dict[str, Any]:
        """Return the picture as a JSON object."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, content: Any) -> Picture:
        """Return the picture in a JSON object; ValueError if it is damaged."""
        try:
            return cls(
                round=content["round"],
                method=content["method"],
                honest=_pairs(content["honest"]),
                skewed=tuple(content["skewed"]),
                mean=_pairs([content["mean"]])[0],
                byzantine=_pairs(content["byzantine"]),
                aggregate=None if content["aggregate"] is None else _pairs([content["aggregate"]])[0],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a picture: {error!r}") from None


def _pairs(content: Any) -> tuple[Point, ...]:
    return tuple((x, y) for x, y in content)


def pictures(
    round: int, rows: Rows, byzantine: int, skewed: Sequence[bool], aggregate: Tensor | None
) -> Iterator[Picture]:
    """Yield a picture by each method of rows (n, d); none of more than 1,000 rows.

    byzantine: the number of Byzantine rows, which are the first. skewed: of each honest row whether it is in S. No
    picture is made by a method for which too few of the rows are distinct.
    """
    n = rows.n
    if n > MAX_ROWS:
        return
    distances = _squared_distances(rows, byzantine, aggregate)
    for method in METHODS:
        try:
            points = lle(distances) if method == "lle" else pca(distances, slice(byzantine, n), mean=n)
        except InputError:
            continue
        rounded = [(float(x), float(y)) for x, y in np.round(points, 4)]
        yield Picture(
            round,
            method,
            honest=tuple(rounded[byzantine:n]),
            skewed=tuple(skewed),
            mean=rounded[n],
            byzantine=tuple(rounded[:byzantine]),
            aggregate=None if aggregate is None else rounded[n + 1],
        )


def _squared_distances(rows: Rows, byzantine: int, aggregate: Tensor | None) -> Floats:
    """Return the squared distances between the rows, the honest mean and, if there is one, the aggregate: (m, m)."""
    n = rows.n
    weights = torch.zeros(n, dtype=torch.float64, device=rows.updates.device)
    weights[byzantine:] = 1 / (n - byzantine)
    every = torch.zeros(n + 2, n + 2, dtype=torch.float64)
    every[:n, :n] = rows.squared_distances
    every[:n, n] = rows.squared_distances_to_mean(weights)
    if aggregate is not None:
        every[:n, n + 1] = rows.squared_distances_to(aggregate)
        mean = rows.combine(weights, dtype=torch.float64)
        every[n, n + 1] = (mean - aggregate.double()).square().sum()
    every = every.triu(1)
    every = every + every.T
    return (every if aggregate is not None else every[: n + 1, : n + 1]).numpy()


@fixed_threads(1)
def embed(honest: Given, forged: Given | None = None, *, neighbours: int = NEIGHBOURS) -> Floats:
    """Embed honest rows (h, d), their mean and forged rows (f, d), in this order, by `lle`: (h + 1 + f, 2).

    InputError if fewer than neighbours + 1 of them are distinct.
    """
    updates = as_tensor("honest", honest)
    check_rows("honest", updates)
    h = len(updates)
    if forged is not None:
        rows, others = check_inputs(honest, forged)
        others.check("forged")
        updates = torch.cat([rows.updates, others.updates])
    unit = torch.eye(len(updates), dtype=torch.float64)
    rows = Rows(updates).mix(torch.cat([unit[:h], unit[:h].mean(0, keepdim=True), unit[h:]]))
    return lle(rows.squared_distances.cpu().numpy(), neighbours)


def lle(squared_distances: Floats, neighbours: int = NEIGHBOURS) -> Floats:
    """Embed rows with these squared distances (n, n) in the plane by locally linear embedding: (n, 2).

    Roweis and Saul, Science 2000: each row is approximated by its nearest neighbours with the weights W, and the
    coordinates are the eigenvectors of (I - W)^T (I - W) with the second and third least eigenvalue. Five neighbours
    and the regularisation are scikit-learn's defaults: the STRIKE paper names neither, and the appendix with its
    setting is not at hand. Equal rows are embedded as one, as otherwise they would be each other's only neighbours.
    The largest absolute coordinate on either axis is positive.
    """
    check_number("neighbours", neighbours, at_least=1, whole=True)
    distinct, inverse = _distinct(squared_distances)
    needed = max(neighbours + 1, 3)  # in the plane
    few = f"only {len(distinct)} of the updates and their mean are distinct"
    check(len(distinct) >= needed, f"{few}: LLE with {neighbours} neighbours needs {needed}")
    residual = np.eye(len(distinct)) - _weights(squared_distances[np.ix_(distinct, distinct)], neighbours)
    points = np.linalg.eigh(residual.T @ residual)[1][:, 1:3]
    points *= np.sign(points[np.abs(points).argmax(0), [0, 1]])
    return np.asarray(points.take(inverse, axis=0))


def _weights(squared_distances: Floats, neighbours: int) -> Floats:
    """Return the weights (n, n) of each row's neighbours in its least-squares approximation; their sum is 1."""
    weights = np.zeros_like(squared_distances)
    for i, squares in enumerate(squared_distances):
        order = squares.argsort(kind="stable")
        near = order[order != i][:neighbours]
        gram = (squares[near, None] + squares[near] - squared_distances[np.ix_(near, near)]) / 2
        gram += REGULARISATION * (gram.trace() or 1.0) * np.eye(neighbours)
        solved = np.linalg.solve(gram, np.ones(neighbours))
        weights[i, near] = solved / solved.sum()
    return weights


def pca(squared_distances: Floats, honest: slice, mean: int) -> Floats:
    """Project rows with these squared distances (n, n) on the first two principal components of the honest: (n, 2).

    The origin is the honest mean, whose index is `mean`; the unit is the honest rows' spread. The largest absolute
    coordinate of an honest row on either axis is positive.
    """
    points = isometric(squared_distances)
    points = points - points[mean]
    spread = math.sqrt(float((points[honest] ** 2).sum(1).mean()))
    check(spread > 0, "the honest rows are equal")
    axes = np.linalg.svd(points[honest], full_matrices=False)[2][:2]
    plane = np.zeros((len(points), 2))
    plane[:, : len(axes)] = points @ axes.T / spread
    signs = np.sign(plane[honest][np.abs(plane[honest]).argmax(0), [0, 1]])
    return np.asarray(plane * np.where(signs == 0, 1, signs))


def _distinct(squared_distances: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices (m,) of the distinct rows, and for each row (n,) which of these equals it."""
    equal = squared_distances <= ROUNDING * squared_distances.max()
    distinct, inverse = np.unique(equal.argmax(1), return_inverse=True)
    return distinct, inverse


def isometric(squared_distances: Floats) -> Floats:
    """Return points (n, n) with these squared distances (n, n), by classical multidimensional scaling."""
    gram = -0.5 * squared_distances
    gram = gram - gram.mean(0)
    gram -= gram.mean(1, keepdims=True)
    values, vectors = np.linalg.eigh((gram + gram.T) / 2)
    points: Floats = vectors * np.sqrt(values.clip(min=0))
    return points
