"""The oracle of further rules of the field, straight from their definitions, in NumPy float64: see oracle.py."""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from oracle import Array, Indices, Middle, as_rows, average, lowest, median, rbtm, squared_distances, squared_norms


def norms(rows: ArrayLike) -> Array:
    """The norm of each row, shape (n,)."""
    return np.sqrt(squared_norms(as_rows(rows)))


def clipping(rows: ArrayLike, radius: float) -> Array:
    """Each row cut to a radius: g min(1, radius / |g|) (Sun 2019)."""
    factors = [1.0 if norm <= radius else radius / norm for norm in norms(rows)]
    return np.asarray(np.array(factors)[:, None] * as_rows(rows))


def clipping_radius(rows: ArrayLike, c: float | str) -> float:
    """The radius of `clipping(c=...)`."""
    return float({"median": np.median, "mean": np.mean}[c](norms(rows))) if isinstance(c, str) else c


def arc_radius(rows: ArrayLike, f: int) -> float:
    """The norm that comes after the floor(2 f (n - f) / n) largest (Allouah 2025)."""
    n = len(as_rows(rows))
    return float(np.sort(norms(rows))[::-1][2 * f * (n - f) // n])


def nearest_means(column: ArrayLike, centre: float, count: int, noise: float = 0.0) -> tuple[float, float]:
    """The least and the largest mean of `count` numbers nearest to the centre; without a tie both are the same.

    noise: the relative difference up to which two distances are a tie.
    """
    values = np.sort(np.asarray(column, dtype=np.float64))
    distances = np.abs(values - centre)
    cut = np.sort(distances)[count - 1]
    slack = noise * (abs(centre) + cut)
    inside, edge = values[distances < cut - slack], values[np.abs(distances - cut) <= slack]
    places = count - len(inside)
    return (inside.sum() + edge[:places].sum()) / count, (inside.sum() + edge[len(edge) - places :].sum()) / count


def meamed_bounds(
    rows: ArrayLike, f: int, centre: str = "median", middle: Middle = "midpoint", noise: float = 0.0
) -> tuple[Array, Array]:
    """The least and the largest mean of the n - f entries nearest to the median or trimmed mean (Xie 2018)."""
    rows = as_rows(rows, f)
    middles = rbtm(rows, f) if centre == "trimmed" else median(rows, f, middle)
    pairs = [nearest_means(rows[:, k], middles[k], len(rows) - f, noise) for k in range(rows.shape[1])]
    return np.array([low for low, _ in pairs]), np.array([high for _, high in pairs])


def diameter(rows: ArrayLike, subset: Sequence[int]) -> float:
    """The largest squared distance between two rows of a subset."""
    chosen = list(subset)
    return float(squared_distances(rows)[np.ix_(chosen, chosen)].max())


def least_diameter(rows: ArrayLike, f: int) -> float:
    """The least squared diameter of n - f rows, over all subsets (El-Mhamdi 2018)."""
    n = len(as_rows(rows))
    return min(diameter(rows, subset) for subset in combinations(range(n), n - f))


def top_variance(rows: ArrayLike, subset: Sequence[int]) -> float:
    """The largest eigenvalue of the covariance of a subset, divided by its count."""
    chosen = as_rows(rows)[list(subset)]
    return float(np.linalg.svd(chosen - chosen.mean(axis=0), compute_uv=False)[0] ** 2 / len(chosen))


def least_top_variance(rows: ArrayLike, f: int) -> float:
    """The least of these over all subsets of n - f rows (Allouah 2023b)."""
    n = len(as_rows(rows))
    return min(top_variance(rows, subset) for subset in combinations(range(n), n - f))


def greedy_top_variance(rows: ArrayLike, f: int) -> float:
    """The largest eigenvalue of the subset that dropping f rows one by one, then exchanges, lead to."""
    rows = as_rows(rows)
    chosen = list(range(len(rows)))
    for _ in range(f):
        chosen = min(([j for j in chosen if j != i] for i in chosen), key=lambda each: top_variance(rows, each))
    while f:
        others = [j for j in range(len(rows)) if j not in chosen]
        swaps = [sorted({*chosen} - {i} | {j}) for i in chosen for j in others]
        best = min(swaps, key=lambda each: top_variance(rows, each))
        if top_variance(rows, best) >= top_variance(rows, chosen) * (1 - 1e-9):
            break
        chosen = best
    return top_variance(rows, chosen)


def caf(rows: ArrayLike, f: int) -> tuple[Array, bool]:
    """The filter by covariance (Allouah 2025b), and whether its direction was clear in each step."""
    rows = as_rows(rows, f)
    weights, best, least, clear = np.ones(len(rows)), np.zeros(rows.shape[1]), math.inf, True
    while True:
        point = (weights[:, None] * rows).sum(axis=0) / weights.sum()
        scaled = np.sqrt(weights / weights.sum())[:, None] * (rows - point)
        _, values, vectors = np.linalg.svd(scaled, full_matrices=False)
        if values[0] ** 2 < least:
            least, best = values[0] ** 2, point
        scores = ((rows - point) @ vectors[0]) ** 2
        largest = scores[weights > 0].max()
        if values[0] == 0 or largest == 0:
            return best, clear
        clear &= len(values) == 1 or bool(values[0] > (1 + 1e-6) * values[1])
        weights = weights * np.maximum(0.0, 1 - scores / largest)
        if weights.sum() <= len(rows) - 2 * f:
            return best, clear


def monna_selection(rows: ArrayLike, f: int, pivot: int) -> Indices:
    """The n - f rows nearest to a row (Farhadkhani 2023)."""
    rows = as_rows(rows, f)
    return lowest(squared_norms(rows - rows[pivot]), len(rows) - f)


def cge(rows: ArrayLike, f: int) -> Array:
    """The average of the n - f rows of least norm (Gupta 2020)."""
    return average(rows, lowest(norms(rows), len(as_rows(rows)) - f))
