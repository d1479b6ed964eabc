"""The oracle of further rules of the field, straight from their definitions, in NumPy float64: see oracle.py."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from oracle import (
    Array,
    Indices,
    Middle,
    as_rows,
    average,
    lowest,
    median,
    rbtm,
    squared_distances,
    squared_norms,
    unit,
)
from sklearn.cluster import MeanShift


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


def diameters(rows: ArrayLike, f: int) -> dict[tuple[int, ...], float]:
    """The squared diameter of each subset of n - f rows, in the order of their indices (El-Mhamdi 2018)."""
    distances = squared_distances(rows)
    n = len(distances)
    return {subset: float(distances[np.ix_(subset, subset)].max()) for subset in combinations(range(n), n - f)}


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


@dataclass(frozen=True)
class Agreement:
    """The consensus direction: the aggregate, the rows kept, <u_i, a> of all rows, |a|, whether each drop was clear."""

    value: Array
    kept: list[int]
    agreement: Array
    length: float
    clear: bool


def consensus(rows: ArrayLike, f: int, ridge: float = 2.0, power: float = 8.0, steps: int = 5) -> Agreement:
    """The median length along the direction in which all rows move alike, without near-duplicates.

    A drop is clear if the scores beside the cut are apart, or are those of rows of one direction.
    """
    rows = as_rows(rows, f)
    units = np.array([unit(row) for row in rows])
    kept, left, clear = list(range(len(rows))), f, True

    def solve() -> Array:
        chosen = units[kept]
        return np.asarray(np.linalg.solve(chosen @ chosen.T + ridge * np.eye(len(kept)), np.ones(len(kept))))

    while left:
        count, weights = min(left, math.ceil(f / steps)), solve()
        alike = np.maximum(units[kept] @ units[kept].T, 0) ** power
        scores = alike @ weights / weights.sum()
        order = np.argsort(-scores, kind="stable")
        cut = scores[order[count - 1]]
        edge = units[kept][np.abs(scores - cut) <= 1e-6 * abs(cut) + 1e-12]
        clear &= bool(np.abs(edge - edge[0]).max() <= 1e-9) or scores[order[count]] < cut * (1 - 1e-6) - 1e-12
        kept, left = [row for place, row in enumerate(kept) if place not in order[:count]], left - count
    weights = solve()
    a = weights @ units[kept]
    length = float(np.linalg.norm(a))
    clear &= length > 1e-5 * np.abs(weights).sum() or length < 1e-9 * np.abs(weights).sum()
    if length < 1e-9 * np.abs(weights).sum():
        return Agreement(np.zeros(rows.shape[1]), kept, units @ a, 0.0, clear)
    step = max(0.0, float(np.median(rows @ (a / length))))
    return Agreement(a / length * step, kept, units @ a, length, clear)


@dataclass(frozen=True)
class Principal:
    """The principal trimmed mean: the aggregate, the clipped rows, their first axis (d,), its eigenvalues, if clear."""

    value: Array
    clipped: Array
    axis: Array
    eigenvalues: tuple[float, float]
    clear: bool


def ptm(rows: ArrayLike, f: int) -> Principal:
    """The mean of the rows clipped by ARC's radius, moved along their first axis to the trimmed mean along it."""
    rows = as_rows(rows, f)
    clipped = clipping(rows, arc_radius(rows, f))
    centre = clipped.mean(axis=0)
    _, values, axes = np.linalg.svd(clipped - centre, full_matrices=False)
    first, second = (*values, 0.0)[:2]
    same = bool(first <= 1e-12 * norms(clipped).max())
    shift = 0.0 if same else float(rbtm(((clipped - centre) @ axes[0])[:, None], f)[0])
    eigenvalues = float(first) ** 2, float(second) ** 2
    return Principal(centre + shift * axes[0], clipped, axes[0], eigenvalues, same or first > (1 + 1e-6) * second)


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


def cge(rows: ArrayLike, f: int) -> Array:
    """The average of the n - f rows of least norm (Gupta 2020)."""
    return average(rows, lowest(norms(rows), len(as_rows(rows)) - f))


def krum_scores(rows: ArrayLike, f: int) -> Array:
    """Sums of squared distances to the max(1, n - f - 2) nearest other rows."""
    distances = squared_distances(rows)
    count = max(1, len(distances) - f - 2)
    return np.array([np.sort(np.delete(row, i))[:count].sum() for i, row in enumerate(distances)])


def taken_one_by_one(rows: ArrayLike, f: int, count: int, scores_of: Callable[[Array], Array]) -> tuple[Indices, bool]:
    """The rows of least score, taken one by one, and whether the least was clear each time."""
    rows = as_rows(rows)
    remaining, taken, clear = list(range(len(rows))), [], True
    for _ in range(count):
        scores = scores_of(rows[remaining])
        order = np.argsort(scores, kind="stable")
        clear &= len(order) == 1 or bool(scores[order[1]] > scores[order[0]] * (1 + 1e-6))
        taken.append(remaining.pop(int(order[0])))
    return np.array(sorted(taken)), clear


def one_by_one_scores(rows: Array, f: int) -> Array:
    """Krum's scores with the row itself among the n - f - 2 nearest (the NDSS 2021 code)."""
    count = max(0, len(rows) - f - 2)
    return np.array([np.sort(row)[:count].sum() for row in squared_distances(rows)])


def cosines(rows: ArrayLike) -> Array:
    """Cosines of the angles between rows, 0 with a row of zeros, shape (n, n)."""
    rows = as_rows(rows)
    lengths = norms(rows)
    units = rows / np.where(lengths > 0, lengths, 1)[:, None]
    return units @ units.T


def component(distances: Array, least: float) -> set[int]:
    """The largest set of rows that pairs with a distance up to `least` connect."""
    groups = [{i} for i in range(len(distances))]
    for i, j in zip(*np.nonzero(distances <= least), strict=True):
        joined = [group for group in groups if i in group or j in group]
        groups = [group for group in groups if group not in joined] + [set().union(*joined)]
    return max(groups, key=len)


def majority(distances: Array, noise: float) -> tuple[set[int], set[int]]:
    """The component of more than n / 2 rows at the least distance that has one, and that up to `noise` more (FLAME)."""
    n = len(distances)
    least = next(least for least in np.unique(distances) if 2 * len(component(distances, least)) > n)
    return component(distances, least), component(distances, least + noise)


def factors(rows: ArrayLike, radius: float) -> Array:
    """min(1, radius / |g|) of each row."""
    return np.array([1.0 if norm <= radius else radius / norm for norm in norms(rows)])


def foolsgold(similarities: Array) -> Array:
    """FoolsGold's weights u (n,) from the cosines of the summed rows (Fung 2020)."""
    similarities = similarities - np.diag(np.diag(similarities))
    largest = np.maximum(0, similarities.max(axis=1))
    pardoned = similarities.copy()
    for i in range(len(largest)):
        for j in range(len(largest)):
            if largest[i] < largest[j]:
                pardoned[i, j] *= largest[i] / largest[j]
    alone = 1 - np.maximum(0, pardoned.max(axis=1))
    alone[alone < 1e-11] = 0
    if not alone.any():
        return alone
    x = np.minimum(alone / alone.max(), 0.99)
    with np.errstate(divide="ignore"):
        return np.asarray(np.where(x > 0, np.clip(np.log(x / (1 - x)) + 0.5, 0, 1), 0))


def deviations(values: ArrayLike) -> Array:
    """Distances from the median in standard deviations, 0 if these are 0 up to rounding."""
    values = np.asarray(values, dtype=np.float64)
    std = values.std()
    return np.abs(values - np.median(values)) / std if std > 1e-12 * np.abs(values).max() else np.zeros(len(values))


def largest_entries(row: Array, count: int) -> Array:
    """Which entries are the `count` largest by absolute value, the lower index first on ties."""
    chosen = np.zeros(len(row), dtype=bool)
    chosen[np.argsort(-np.abs(row), kind="stable")[:count]] = True
    return chosen


def floor_share(share: float, count: int) -> int:
    """The share of a count, as a decimal number, rounded down."""
    return int(Decimal(str(share)) * count)


def rlr(rows: ArrayLike, f: int, theta: float | None, vote: bool, scale: float | None) -> Array:
    """The mean, against its sign where the signs disagree; or the vote (Ozdayi 2021, Bernstein 2019)."""
    rows = as_rows(rows)
    signs = np.sign(rows).sum(axis=0)
    if vote:
        return np.asarray(np.sign(signs) * (np.abs(rows).mean() if scale is None else scale))
    return np.asarray(rows.mean(axis=0) * np.where(np.abs(signs) < (2 * f if theta is None else theta), -1, 1))


def fedseca(rows: ArrayLike, gamma: float) -> Array:
    """Sign election, clipping, clamping and thinning (FedSECA)."""
    rows = as_rows(rows)
    d = rows.shape[1]
    signs = np.sign(rows)
    votes = np.maximum(0, np.sign(signs @ signs.T).sum(axis=1))  # n rho, whole numbers
    elected = np.sign((votes[:, None] * signs).sum(axis=0))
    clipped = factors(rows, float(np.median(norms(rows))))[:, None] * rows
    limits = np.median(np.abs(clipped), axis=0)
    clamped = np.clip(clipped, -limits, limits)
    kept = np.array([largest_entries(row, d - floor_share(gamma, d)) for row in rows])
    result = np.zeros(d)
    for k in range(d):
        entries = [y for y, keep in zip(clamped[:, k], kept[:, k], strict=True) if keep and y != 0]
        entries = [y for y in entries if elected[k] == 0 or np.sign(y) == elected[k]]
        result[k] = np.mean(entries) if entries else 0.0
    return result


def alignins(rows: ArrayLike, params: ArrayLike, sparsity: float) -> tuple[Array, Array]:
    """The deviations of the sign agreement and of the cosine with the model, shape (n,) each (AlignIns)."""
    rows, model = as_rows(rows), np.asarray(params, dtype=np.float64)
    d, size = rows.shape[1], float(np.linalg.norm(model))
    elected = np.sign(np.sign(rows).sum(axis=0))
    count = max(1, floor_share(sparsity, d))
    agreement = [(np.sign(row) == elected)[largest_entries(row, count)].mean() for row in rows]
    lengths = norms(rows)
    direction = np.divide(rows @ model, lengths * size, out=np.zeros(len(rows)), where=lengths * size > 0)
    return deviations(agreement), deviations(direction)


def lasa(
    rows: ArrayLike, layers: Sequence[tuple[int, int, bool]], sparsity: float, bounds: tuple[float, float], dense: bool
) -> tuple[Array, bool]:
    """The aggregate layer by layer, and whether no deviation was close to its bound (Xu 2025).

    layers: first column, end, and whether it is a weight tensor. bounds: lambda_n and lambda_s.
    """
    rows = as_rows(rows)
    clipped = factors(rows, float(np.median(norms(rows))))[:, None] * rows
    weights = np.concatenate([np.arange(start, stop) for start, stop, thinned in layers if thinned])
    thin = clipped.copy()
    count = len(weights) - math.ceil(Decimal(str(sparsity)) * len(weights))
    for source, target in zip(rows, thin, strict=True):
        target[weights[~largest_entries(source[weights], count)]] = 0
    result, clear = np.zeros(rows.shape[1]), True
    for start, stop, _ in layers:
        part = thin[:, start:stop]
        signs, nonzero = np.sign(part).sum(axis=1), (part != 0).sum(axis=1)
        balance = np.where(nonzero > 0, (1 + (1 - sparsity) * signs / np.maximum(nonzero, 1)) / 2, 0.5)
        far = [deviations(np.sqrt((part**2).sum(axis=1))), deviations(balance)]
        gaps = [np.abs(each - bound) for each, bound in zip(far, bounds, strict=True)]
        clear &= not any(((gap > 1e-12) & (gap < 1e-6)).any() for gap in gaps)
        passed = (far[0] < bounds[0] - 1e-9) & (far[1] < bounds[1] - 1e-9)
        passed = passed if passed.any() else np.ones(len(rows), dtype=bool)
        result[start:stop] = (clipped[:, start:stop] if dense else part)[passed].mean(axis=0)
    return result, clear


def clusters(rows: ArrayLike, linkage: str) -> tuple[set[int], bool]:
    """The larger of two agglomerative clusters by cosine distance, and whether each merge was clear (Li 2023)."""
    zero = norms(rows) == 0
    distances = np.where(zero[:, None] | zero, 2.0, 1 - cosines(rows))
    groups, clear = [{i} for i in range(len(distances))], True
    between = {"average": np.mean, "single": np.min}[linkage]
    while len(groups) > 2:
        pairs = [
            (float(between(distances[np.ix_(sorted(a), sorted(b))])), i, j)
            for i, a in enumerate(groups)
            for j, b in enumerate(groups)
            if i < j
        ]
        pairs.sort()
        clear &= len(pairs) == 1 or pairs[1][0] - pairs[0][0] > 1e-9
        _, i, j = pairs[0]
        groups[i] |= groups.pop(j)
    return max(groups, key=lambda group: (len(group), -min(group))), clear


def gas_scores(rows: ArrayLike, groups: Sequence[ArrayLike], base: Callable[[Array], Array]) -> Array:
    """The summed distances to the base rule's aggregates on groups of columns (Liu 2023)."""
    rows = as_rows(rows)
    parts = [rows[:, np.asarray(group, dtype=np.intp)] for group in groups]
    return np.sum([norms(part - base(part)) for part in parts], axis=0)


def signguard(rows: ArrayLike, columns: ArrayLike, low: float, high: float, cluster: str) -> tuple[Array, list[Array]]:
    """Which rows have a usual norm, and which are in the largest cluster by their shares of signs (Xu 2022).

    The latter for each way to form the clusters, of which several may be equally good.
    """
    rows = as_rows(rows)
    lengths = norms(rows)
    middle = float(np.median(lengths))
    signs = np.sign(rows[:, np.asarray(columns, dtype=np.intp)])
    shares = np.stack([(signs == sign).mean(axis=1) for sign in (1, 0, -1)], axis=1)
    order = np.lexsort(shares.T)
    shares = shares[order]
    if cluster == "meanshift":
        shares = shares / np.where(shares.max(axis=0) > 0, shares.max(axis=0), 1)
        distances = np.linalg.norm(shares[:, None] - shares, axis=2)
        width = float(np.mean([np.sort(row)[max(1, len(row) // 2) - 1] for row in distances]))
        with warnings.catch_warnings(action="ignore"):
            formed = [
                MeanShift(bandwidth=width * (1 + 1e-12), bin_seeding=True, cluster_all=False).fit(shares).labels_
                if width > 1e-9
                else np.unique(shares, axis=0, return_inverse=True)[1].ravel()
            ]
    else:
        formed = two_means(shares)
    usual = (lengths >= low * middle) & (lengths <= high * middle)
    return usual, [largest_cluster(labels[np.argsort(order)]) for labels in formed]


def largest_cluster(labels: Array) -> Array:
    """Which rows are in the largest cluster, of equal ones the first; all if none is in one (-1)."""
    counts = {int(label): int((labels == label).sum()) for label in labels if label >= 0}
    first = next((label for label in labels if label >= 0 and counts[label] == max(counts.values())), None)
    return np.asarray(labels == first if counts else labels < 0)


def two_means(shares: Array) -> list[Array]:
    """The two clusters of least sum of squares, of all that a line in the plane parts; several if they are as good.

    The order of the rows along a direction changes only where two of them change places. So one direction between each
    two such ones shows every order, and every split by a line is a cut of one.
    """
    points = (shares - shares.mean(axis=0)) @ np.array([[1, 0, -1], [1, -2, 1]]).T / np.sqrt([2, 6])
    n = len(points)
    gaps = [b - a for a, b in combinations(points, 2) if np.abs(b - a).max() > 1e-12]
    if not gaps:
        return [np.zeros(n, dtype=int)]
    turns = np.unique([(np.arctan2(y, x) + np.pi / 2) % np.pi for x, y in gaps])
    angles = (turns + np.append(turns[1:], turns[0] + np.pi)) / 2
    places = [np.argsort(np.argsort(points @ [np.cos(angle), np.sin(angle)])) for angle in angles]
    splits = np.concatenate([place >= np.arange(1, n)[:, None] for place in places])
    sizes = splits.sum(axis=1)
    # of the total sum of squares, what lies between the clusters: the rest is within them
    between = ((splits @ points) ** 2).sum(axis=1) * (1 / sizes + 1 / (n - sizes))
    best = splits[between > between.max() * (1 - 1e-9)]
    return list(np.unique(best ^ best[:, :1], axis=0).astype(int))
