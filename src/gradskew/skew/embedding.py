"""The rows of a round in the plane: locally linear embedding, and principal components."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..attacks.base import check_both
from ..core.errors import InputError, check, check_choice, check_number
from ..core.numerics import fixed_threads
from ..core.rows import Rows, check_rows
from .statistics import Floats

NEIGHBOURS = 5  # scikit-learn's default
ROUNDING = 1e-12  # of the largest squared distance: points that are not farther apart count as one
METHODS = ("lle", "pca")
FARTHEST = 1e100  # coordinate: sums and differences are finite
MOST = 1000  # rows in a picture: each method takes the cube of their number

Point = tuple[float, float]


@dataclass(frozen=True)
class Picture:
    """The rows of a round in the plane.

    method: `lle`, or `pca`: the first two principal components of the honest rows around their mean, in units of their
    spread. honest: a point for each of the h honest rows; skewed: which of them are in S. mean: the point of their
    mean, which the STRIKE paper calls the optimal gradient. byzantine: a point for each Byzantine row. aggregate: the
    point of what the rule made of the rows, or None.
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
            check_number("a coordinate", x, at_least=-FARTHEST, at_most=FARTHEST)
            check_number("a coordinate", y, at_least=-FARTHEST, at_most=FARTHEST)
        good = 0 < len(self.honest) == len(self.skewed) and all(type(each) is bool for each in self.skewed)
        check(len(self.honest) + len(self.byzantine) <= MOST, f"a picture has at most {MOST} rows")
        check(good, "skewed must say true or false for each honest point, of which there must be one")

    def to_json(self) -> dict[str, Any]:
        """The picture as a JSON object."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, content: Any) -> Picture:
        """The picture in a JSON object; ValueError if it is damaged."""
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
    """A picture by each method of rows (n, d), of which the first are Byzantine; none of more than 1,000 rows.

    skewed: which honest rows are in S. A method that cannot show these rows, as there are too few distinct ones for it,
    is left out.
    """
    n = rows.n
    if n > MOST:
        return
    distances = _with_mean_and(aggregate, rows, byzantine)
    for method in METHODS:
        try:
            points = lle(distances) if method == "lle" else pca(distances, slice(byzantine, n), mean=n)
        except InputError:
            continue
        made = [(float(x), float(y)) for x, y in np.round(points, 4)]
        last = None if aggregate is None else made[n + 1]
        yield Picture(round, method, tuple(made[byzantine:n]), tuple(skewed), made[n], tuple(made[:byzantine]), last)


def _with_mean_and(aggregate: Tensor | None, rows: Rows, byzantine: int) -> Floats:
    """Squared distances between the rows, the mean of the honest ones and the aggregate: (n + 2, n + 2)."""
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
def embed(honest: Tensor, forged: Tensor | None = None, *, neighbours: int = NEIGHBOURS) -> Floats:
    """Honest rows (h, d), their mean and forged rows (f, d) in the plane, by LLE: (h + 1 + f, 2), in this order.

    See `lle`. Raises InputError if fewer than neighbours + 1 of them are distinct.
    """
    check_rows("honest", honest)
    every = honest
    if forged is not None:
        check_both(honest, forged, None)
        every = torch.cat([honest, forged])
    h = len(honest)
    unit = torch.eye(len(every), dtype=torch.float64)
    rows = Rows(every).mix(torch.cat([unit[:h], unit[:h].mean(0, keepdim=True), unit[h:]]))
    return lle(rows.squared_distances.cpu().numpy(), neighbours)


def lle(squared_distances: Floats, neighbours: int = NEIGHBOURS) -> Floats:
    """Points (n, 2) by locally linear embedding of rows with these squared distances (n, n).

    Roweis and Saul, Science 2000, as scikit-learn has it, with its default of five neighbours and its regularisation:
    the STRIKE paper names neither, and the appendix with its setting is not at hand. Equal rows are one point of it, or
    else each would be made of the others and tell nothing. The largest coordinate on either axis is positive.
    """
    from sklearn.manifold import LocallyLinearEmbedding

    check_number("neighbours", neighbours, at_least=1, whole=True)
    distinct, back = _distinct(squared_distances)
    few = f"only {len(distinct)} of the updates and their mean are distinct"
    check(len(distinct) > neighbours, f"{few}: LLE with {neighbours} neighbours needs {neighbours + 1}")
    method = LocallyLinearEmbedding(n_neighbors=neighbours, n_components=2, eigen_solver="dense")
    points = np.array(method.fit_transform(isometric(squared_distances)[distinct]))
    points *= np.sign(points[np.abs(points).argmax(0), [0, 1]])
    return np.asarray(points.take(back, axis=0))


def pca(squared_distances: Floats, honest: slice, mean: int) -> Floats:
    """Points (n, 2) on the first two principal components of the honest rows, around their mean, over their spread.

    mean: the index of the honest rows' mean. The largest coordinate of an honest row on either axis is positive.
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
    """The first of each set of equal rows, and where among them each row finds its own."""
    same = squared_distances <= ROUNDING * squared_distances.max()
    distinct, back = np.unique(same.argmax(1), return_inverse=True)
    return distinct, back


def isometric(squared_distances: Floats) -> Floats:
    """Points (n, n) with these squared distances (n, n), however wide the rows are: classical scaling.

    LLE depends on nothing else: its neighbours on distances, its weights on inner products of differences.
    """
    gram = -0.5 * squared_distances
    gram = gram - gram.mean(0)
    gram -= gram.mean(1, keepdims=True)
    values, vectors = np.linalg.eigh((gram + gram.T) / 2)
    points: Floats = vectors * np.sqrt(values.clip(min=0))
    return points
