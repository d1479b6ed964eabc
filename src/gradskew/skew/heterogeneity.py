"""How much the honest clients differ: their updates in one round and over a run, and their labels (docs/skew.md)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ceil_share

Counts = Sequence[Sequence[int]]  # inputs of each class, for each client


def relative_divergence(spread: float, mean_norm: float) -> float | None:
    """Return the gradient divergence over the norm of the mean; None for a mean of zeros."""
    return spread / mean_norm if mean_norm else None


def dissimilarity(spread: float, mean_norm: float) -> float | None:
    """Return sqrt(mean |g_i|^2) / |mean|, as mean |g_i|^2 = spread^2 + |mean|^2; None for a mean of zeros.

    >>> dissimilarity(spread=1.0, mean_norm=2.0)  # of the rows 1 and 3: sqrt(5) / 2
    1.118033988749895
    """
    return math.hypot(1.0, spread / mean_norm) if mean_norm else None


def unit_mean(cosine: float, rows: int) -> float:
    """Return the length of the mean of h rows, each scaled to length 1, from their mean cosine over pairs.

    sqrt(1 / h + (1 - 1 / h) cosine). A row of zeros, which has no direction, counts as one at right angles to all.

    >>> unit_mean(0.0, 4), unit_mean(-1.0, 2)  # four at right angles; one against the other
    (0.5, 0.0)
    """
    return math.sqrt(max(0.0, 1 / rows + (1 - 1 / rows) * cosine))


def most_divergence(ratio: float) -> float:
    """Return the relative gradient divergence of rows of one length whose unit mean is the ratio: sqrt(1 / r^2 - 1).

    With r = f / (n - f) it is the line above which f rows can hold back rows that are clipped to one length.

    >>> round(most_divergence(10 / 40), 3)
    3.873
    """
    return math.sqrt(max(0.0, 1 / (ratio * ratio) - 1))


@dataclass(frozen=True)
class Pair:
    """A constant G and a factor B such that mean |g_i|^2 <= G^2 + B^2 |mean|^2 in each round of a run.

    Assumption A1 of Karimireddy et al. 2020. With B^2 - 1 for B^2 it bounds mean |g_i - mean|^2 (Allouah et al. 2023).
    """

    constant: float
    factor: float


@dataclass(frozen=True)
class Pairs:
    """Three of the least pairs (G, B) of a run, of which none holds with a smaller G or B.

    without_g: G = 0; None if the mean was zero in a round. with_b_one: B = 1, where G^2 is the largest squared gradient
    divergence of a round. between: on the edge of the upper convex hull of the points (|mean|^2, mean |g_i|^2) above
    the median of |mean|^2; None for rounds with one |mean|.
    """

    without_g: Pair | None
    with_b_one: Pair
    between: Pair | None


def pairs(mean_norms: Sequence[float], spreads: Sequence[float]) -> Pairs | None:
    """Return the pairs of a run from the norm of the mean and the gradient divergence of each round; None for no round.

    >>> pairs([2.0], [1.0]).without_g  # rows 1 and 3: 5 <= B^2 4
    Pair(constant=0.0, factor=1.118033988749895)
    """
    if not spreads:
        return None
    lengths = list(zip(mean_norms, spreads, strict=True))
    ratios = [dissimilarity(spread, norm) for norm, spread in lengths]
    known = [ratio for ratio in ratios if ratio is not None]
    without_g = Pair(0.0, max(known)) if len(known) == len(ratios) else None
    points = sorted(
        (norm * norm, norm * norm + spread * spread) for norm, spread in zip(mean_norms, spreads, strict=True)
    )
    slope = _slope_above(points, float(np.median([x for x, _ in points])))
    between = None
    if slope is not None:  # B is at least 1, and no larger than with G = 0
        square = max(1.0, min(slope, math.inf if without_g is None else without_g.factor**2))
        between = Pair(math.sqrt(max(0.0, *(y - square * x for x, y in points))), math.sqrt(square))
    return Pairs(without_g, Pair(max(spreads), 1.0), between)


def _slope_above(points: Sequence[tuple[float, float]], middle: float) -> float | None:
    """Return the slope of the edge of the upper convex hull of sorted points above x = middle; None without an edge.

    At a corner it is the edge that ends there.
    """
    hull: list[tuple[float, float]] = []
    for x, y in points:
        if hull and hull[-1][0] == x:  # sorted by y: this one is higher
            hull.pop()
        while len(hull) > 1 and _turns_left(hull[-2], hull[-1], (x, y)):
            hull.pop()
        hull.append((x, y))
    edges = [(a, b) for a, b in pairwise(hull) if b[0] >= middle]
    return None if not edges else (edges[0][1][1] - edges[0][0][1]) / (edges[0][1][0] - edges[0][0][0])


def _turns_left(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Return whether b lies on the line from a to c or below it."""
    return (b[1] - a[1]) * (c[0] - a[0]) <= (c[1] - a[1]) * (b[0] - a[0])


def label_distance(counts: Counts) -> float | None:
    """Return the mean total variation of labels, mean_i sum_c |P_i(c) - P(c)| / 2, over clients with an input.

    P_i: the labels of client i as shares; P: of all clients' inputs. None if no client has an input. After Peng et al.
    2024, whose exact definition is not verified.

    >>> label_distance([[1, 0], [0, 1]]), label_distance([[2, 2], [1, 1]])
    (0.5, 0.0)
    """
    shares, total = _shares(counts)
    return float(np.abs(shares - total).sum(1).mean() / 2) if len(shares) else None


def effective_classes(counts: Counts) -> float | None:
    """Return exp(entropy of the labels), averaged over clients with an input; None if no client has an input.

    A client with k equally frequent classes has k.

    >>> round(effective_classes([[5, 0], [3, 3]]), 12)  # 1 and 2
    1.5
    """
    shares, _ = _shares(counts)
    logs = np.log(shares, where=shares > 0, out=np.zeros_like(shares))
    return float(np.exp(-(shares * logs).sum(1)).mean()) if len(shares) else None


def holders(counts: Counts, share: float) -> list[int]:
    """Return for each class the least number of clients that together hold this share of its inputs; 0 for no input.

    >>> holders([[6, 0, 1], [3, 0, 1], [1, 0, 1]], 0.9)
    [2, 0, 3]
    """
    held = np.sort(np.array(counts, dtype=np.int64), axis=0)[::-1].cumsum(0)
    least = [ceil_share(share, int(total)) for total in held[-1]]
    return [int(np.searchsorted(column, wanted)) + (wanted > 0) for column, wanted in zip(held.T, least, strict=True)]


def _shares(counts: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the labels as shares, of each client with an input (clients, classes), and of all inputs (classes,)."""
    inputs = np.array([of_client for of_client in counts if sum(of_client)], dtype=np.float64)
    if not len(inputs):
        return inputs, inputs
    return inputs / inputs.sum(1, keepdims=True), inputs.sum(0) / inputs.sum()
