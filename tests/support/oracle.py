"""An independent oracle: every rule and attack straight from its definition, in NumPy float64, slow and obvious.

Distances come from explicit differences and attack strengths from bisection, and nothing is shared with the package.
Rows are (n, d), honest rows (h, d). Ties go to the lowest index. Where scores are close, a test takes the package's own
selection instead, checks it with `is_lowest`, and averages it with `average`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Middle = Literal["midpoint", "lower", "upper"]
Start = Literal["mean", "zero", "median"]
Select = Literal["median", "n-f"]
Bound = Literal["largest", "smallest"]
Perturbation = Literal["std", "unit", "sign"]


def as_rows(rows: ArrayLike, f: int = 0) -> Array:
    """Float64 rows (n, d), of which f are Byzantine and at least one is not."""
    matrix = np.asarray(rows, dtype=np.float64)
    if matrix.ndim != 2 or not 0 <= f < len(matrix):
        raise ValueError(f"expected (n, d) rows with 0 <= f < n, got shape {matrix.shape} and f = {f}")
    return matrix


def squared_norms(rows: Array) -> Array:
    """The squared norm of each row, shape (n,)."""
    return np.asarray((rows**2).sum(axis=1))


def squared_distances(rows: ArrayLike) -> Array:
    """All squared distances (n, n), each from the difference of its two rows."""
    rows = as_rows(rows)
    return np.array([squared_norms(rows - row) for row in rows])


def unit(vector: Array) -> Array:
    """The vector over its norm; the zero vector stays."""
    return vector / (float(np.linalg.norm(vector)) or 1.0)


def lowest(scores: ArrayLike, count: int) -> Indices:
    """The indices of the `count` lowest scores, in increasing order; the lowest index first on ties."""
    return np.sort(np.argsort(np.asarray(scores), kind="stable")[:count])


def is_lowest(scores: ArrayLike, selection: ArrayLike, slack: float = 0.0) -> bool:
    """Whether no selected score exceeds one left out by more than `slack` (an absolute number)."""
    scores = np.asarray(scores, dtype=np.float64)
    inside, outside = scores[np.asarray(selection)], np.delete(scores, np.asarray(selection))
    return bool(not inside.size or not outside.size or inside.max() <= outside.min() + slack)


def average(rows: ArrayLike, selection: ArrayLike) -> Array:
    """The mean of the selected rows, selected by index or by mask."""
    return np.asarray(as_rows(rows)[np.asarray(selection)].mean(axis=0))


def mean(rows: ArrayLike, f: int = 0) -> Array:
    """The plain average (Eq. 3)."""
    return np.asarray(as_rows(rows, f).mean(axis=0))


def multikrum_scores(rows: ArrayLike, f: int, neighbours: Literal["n-f-2", "n-f-1"] = "n-f-2") -> Array:
    """The sum of squared distances to the nearest n-f-2 (or n-f-1) other rows (Blanchard 2017)."""
    distances = squared_distances(as_rows(rows, f))
    count = max(0, len(distances) - f - {"n-f-2": 2, "n-f-1": 1}[neighbours])
    return np.array([np.sort(np.delete(row, i))[:count].sum() for i, row in enumerate(distances)])


def multikrum(rows: ArrayLike, f: int, m: int | None = None, neighbours: Literal["n-f-2", "n-f-1"] = "n-f-2") -> Array:
    """The average of the m = n - f rows of least score (Blanchard 2017)."""
    scores = multikrum_scores(rows, f, neighbours)
    return average(rows, lowest(scores, len(scores) - f if m is None else m))


def median(rows: ArrayLike, f: int = 0, middle: Middle = "midpoint") -> Array:
    """The coordinate-wise median (Yin 2018); `middle` says which one when n is even."""
    ordered = np.sort(as_rows(rows, f), axis=0)
    lower, upper = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return np.asarray({"lower": lower, "upper": upper, "midpoint": (lower + upper) / 2}[middle])


def rbtm(rows: ArrayLike, f: int) -> Array:
    """The coordinate-wise trimmed mean: sort, drop f at each end, average (El-Mhamdi 2021)."""
    ordered = np.sort(as_rows(rows, f), axis=0)
    if len(ordered) <= 2 * f:
        raise ValueError(f"a trimmed mean needs n > 2f, got n = {len(ordered)}, f = {f}")
    return np.asarray(ordered[f : len(ordered) - f].mean(axis=0))


def rfa_weights(rows: ArrayLike, point: ArrayLike, nu: float = 1e-7, shares: ArrayLike = 1) -> Array:
    """Weiszfeld's weights at a point: w_j = p_j / max(nu, ||x_j - point||), over their sum (Pillutla 2019)."""
    weights = np.asarray(shares) / np.maximum(
        nu, np.sqrt(squared_norms(as_rows(rows) - np.asarray(point, dtype=np.float64)))
    )
    return np.asarray(weights / weights.sum())


def rfa(
    rows: ArrayLike,
    f: int = 0,
    start: Start = "mean",
    steps: int = 8,
    nu: float = 1e-7,
    shares: ArrayLike | None = None,
) -> Array:
    """The geometric median after `steps` of smoothed Weiszfeld: v <- sum_j w_j x_j (Pillutla 2019).

    shares: p, over their sum 1; None: 1/n each.
    """
    rows = as_rows(rows, f)
    shares = np.full(len(rows), 1 / len(rows)) if shares is None else np.asarray(shares, dtype=np.float64)
    point = {"mean": (shares[:, None] * rows).sum(axis=0), "zero": np.zeros(rows.shape[1]), "median": median(rows)}[
        start
    ]
    for _ in range(steps):
        point = (rfa_weights(rows, point, nu, shares)[:, None] * rows).sum(axis=0)
    return point


def aksel_scores(rows: ArrayLike, middle: Middle = "midpoint") -> Array:
    """Squared distances to the coordinate-wise median (Boussetta 2021)."""
    return squared_norms(as_rows(rows) - median(rows, middle=middle))


def aksel_selection(rows: ArrayLike, f: int, middle: Middle = "midpoint", select: Select = "median") -> Indices:
    """The rows not farther from the median than the lower median distance, or the n - f closest."""
    scores = aksel_scores(as_rows(rows, f), middle)
    threshold = np.sort(scores)[(len(scores) - 1) // 2]
    return {"median": np.flatnonzero(scores <= threshold), "n-f": lowest(scores, len(scores) - f)}[select]


def aksel(rows: ArrayLike, f: int, middle: Middle = "midpoint", select: Select = "median") -> Array:
    """The average of the rows close to the coordinate-wise median (Boussetta 2021)."""
    return average(rows, aksel_selection(rows, f, middle, select))


def cclip(rows: ArrayLike, f: int = 0, centre: ArrayLike | None = None, tau: float = 10.0, steps: int = 1) -> Array:
    """v <- v + mean of (g - v) min(1, tau / ||g - v||), from the previous aggregate or 0 (Karimireddy 2021)."""
    rows = as_rows(rows, f)
    point = np.zeros(rows.shape[1]) if centre is None else np.asarray(centre, dtype=np.float64)
    for _ in range(steps):
        norms = np.sqrt(squared_norms(rows - point))
        factors = np.array([1.0 if norm <= tau else tau / norm for norm in norms])
        point = point + (factors[:, None] * (rows - point)).mean(axis=0)
    return point


def dnc_scores(rows: ArrayLike, columns: ArrayLike) -> Array:
    """Squared projections of the centred subsampled rows on their top right singular vector (Shejwalkar 2021)."""
    sample = as_rows(rows)[:, np.asarray(columns, dtype=np.intp)]
    centred = sample - sample.mean(axis=0)
    return np.asarray((centred @ np.linalg.svd(centred, full_matrices=False)[2][0]) ** 2)


def dnc_selection(rows: ArrayLike, f: int, columns: Sequence[ArrayLike], c: float = 1.0) -> Indices:
    """The rows that every iteration keeps, each dropping the ceil(c f) largest scores on its own columns."""
    rows, dropped = as_rows(rows, f), math.ceil(c * f)
    if len(columns) * dropped >= len(rows):
        raise ValueError(f"{len(columns)} iterations that drop {dropped} may leave none of {len(rows)} rows")
    kept = [set(lowest(dnc_scores(rows, sample), len(rows) - dropped).tolist()) for sample in columns]
    return np.array(sorted(set.intersection(*kept)), dtype=np.intp)


def dnc(rows: ArrayLike, f: int, columns: Sequence[ArrayLike], c: float = 1.0) -> Array:
    """The average of the rows that no iteration drops (Shejwalkar 2021); one index array a time in `columns`."""
    return average(rows, dnc_selection(rows, f, columns, c))


def fltrust_weights(rows: ArrayLike, reference: ArrayLike, none_trusted: Literal["zero", "uniform"] = "zero") -> Array:
    """The weights (n,) of rows scaled to the norm of the server's own update, by their cosine with it."""
    rows, own = as_rows(rows), np.asarray(reference, dtype=np.float64)
    norms, length = np.linalg.norm(rows, axis=1), float(np.linalg.norm(own))
    scales = np.array([length / norm if norm > 0 else 0.0 for norm in norms])
    trust = np.array([max(0.0, float(unit(row) @ unit(own))) for row in rows])
    if none_trusted == "uniform" and not trust.any():
        trust = np.ones(len(rows))
    return trust * scales / trust.sum() if trust.any() else np.zeros(len(rows))


def nnm_matrix(rows: ArrayLike, f: int, itself: bool = True) -> Array:
    """Row i has 1/(n-f) at the n-f nearest rows of row i, itself included or not (Allouah 2023)."""
    distances = squared_distances(as_rows(rows, f))
    np.fill_diagonal(distances, -1.0 if itself else np.inf)
    count = min(len(distances) - f, len(distances) - (not itself))
    return np.array([np.isin(range(len(row)), lowest(row, count)) / count for row in distances])


def nnm(rows: ArrayLike, f: int, itself: bool = True) -> Array:
    """Each row replaced by the mean of its n-f nearest rows (Allouah 2023)."""
    return np.array([average(rows, weights > 0) for weights in nnm_matrix(rows, f, itself)])


def bucketing(rows: ArrayLike, permutation: ArrayLike, s: int = 2) -> Array:
    """Means of s consecutive rows after a permutation; the last bucket may be smaller (Karimireddy 2022)."""
    shuffled = as_rows(rows)[np.asarray(permutation, dtype=np.intp)]
    return np.array([shuffled[i : i + s].mean(axis=0) for i in range(0, len(shuffled), s)])


def bitflip(own: ArrayLike) -> Array:
    """Minus the own rows, shape (f, d) (Allen-Zhu 2020)."""
    return -np.asarray(own, dtype=np.float64)


def std(rows: ArrayLike) -> Array:
    """The biased standard deviation of each coordinate."""
    return np.asarray(np.sqrt(((as_rows(rows) - mean(rows)) ** 2).mean(axis=0)))


def lie(honest: ArrayLike, z: float = 1.5, sign: int = 1) -> Array:
    """mean + z std of the honest rows (Baruch 2019); `sign` -1 gives mean - z std."""
    return mean(honest) + sign * z * std(honest)


def lie_z_max(n: int, f: int) -> float:
    """Phi^-1((n - f - s) / (n - f)) with s = floor(n/2 + 1) - f (Baruch 2019)."""
    s = n // 2 + 1 - f
    return NormalDist().inv_cdf((n - f - s) / (n - f))


def ipm(honest: ArrayLike, epsilon: float = 0.1) -> Array:
    """Minus epsilon times the honest mean (Xie 2020)."""
    return -epsilon * mean(honest)


def perturbation(honest: ArrayLike, p: Perturbation = "std") -> Array:
    """The direction of MinMax and MinSum: std, -mean/||mean|| or -sign(mean) (Shejwalkar 2021)."""
    return {"std": std(honest), "unit": -unit(mean(honest)), "sign": -np.sign(mean(honest))}[p]


def largest_step(gaps: Array, step: Array, bound: float, total: Callable[[Array], float]) -> float:
    """The largest t >= 0 with total_i ||gap_i + t step||^2 <= bound, by doubling, then bisection; 0 for a zero step."""

    def feasible(t: float) -> bool:
        with np.errstate(over="ignore"):
            return bool(total(squared_norms(gaps + t * step)) <= bound)

    if not step.any() or not feasible(0.0):  # t = 0 is always feasible, but for rounding
        return 0.0
    low, high = 0.0, 1.0
    while feasible(high):
        low, high = high, 2 * high
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if feasible(middle) else (low, middle)
    return low


def minmax(honest: ArrayLike, p: Perturbation = "std") -> tuple[Array, float]:
    """mean + gamma p, with the largest distance to an honest row at most the largest honest one (Shejwalkar 2021)."""
    honest, centre, step = as_rows(honest), mean(honest), perturbation(honest, p)
    gamma = largest_step(centre - honest, step, float(squared_distances(honest).max()), np.max)
    return centre + gamma * step, gamma


def minsum(honest: ArrayLike, p: Perturbation = "std", bound: Bound = "largest") -> tuple[Array, float]:
    """mean + gamma p, with the sum of squared distances at most an honest row's largest (smallest) such sum."""
    honest, centre, step = as_rows(honest), mean(honest), perturbation(honest, p)
    sums = squared_distances(honest).sum(axis=1)
    gamma = largest_step(centre - honest, step, float({"largest": max, "smallest": min}[bound](sums)), np.sum)
    return centre + gamma * step, gamma


class MimicOracle:
    """Mimic (Karimireddy 2022): copy the honest client that lies farthest along the streamed top direction z."""

    def __init__(self, z0: ArrayLike, warmup: int = 10, variant: Literal["paper", "strike-authors"] = "paper") -> None:
        self.z = unit(np.asarray(z0, dtype=np.float64))
        self.mu, self.t = np.zeros_like(self.z), 0
        self.learned: int | None = None
        self.warmup, self.authors = warmup, variant == "strike-authors"

    def scores(self, honest: ArrayLike) -> Array:
        """<x_i, z>, absolute in the variant of the STRIKE authors."""
        projections = (as_rows(honest) * self.z).sum(axis=1)
        return np.asarray(np.abs(projections) if self.authors else projections)

    def observe(self, honest: ArrayLike, clients: Sequence[int] | None = None) -> None:
        """One round: mu, then y, then z, then the target; nothing after the warm-up."""
        if self.t >= self.warmup and not self.authors:
            return
        honest = as_rows(honest)
        self.mu = (self.t * self.mu + mean(honest)) / (self.t + 1)
        centre = mean(honest) if self.authors else self.mu
        y = np.sum([(row - centre) @ self.z * (row - centre) for row in honest], axis=0)  # own mean: a side is enough
        if y.any():
            self.z = unit((self.t * self.z + unit(y)) / (self.t + 1)) if self.t else unit(y)
        self.t += 1
        self.learned = None
        if not self.authors:
            self.learned = self.target(honest, clients)

    def target(self, honest: ArrayLike, clients: Sequence[int] | None = None) -> int:
        """The client to copy: the learned one if present, else that of largest score, the lowest id on ties."""
        scores = self.scores(honest)
        ids = list(range(len(scores)) if clients is None else clients)
        best = min(int(client) for client, score in zip(ids, scores, strict=True) if score == scores.max())
        return self.learned if self.learned in ids and self.learned is not None else best


def strike_size(k: int, n: int, f: int) -> int:
    """|S| for k known honest rows: k (n - 2f) // (n - f), that is n - 2f when all are known; at least 1."""
    return max(1, k * (n - 2 * f) // (n - f)) if n > 2 * f else 1


@dataclass(frozen=True, eq=False)
class Strike:
    """What STRIKE forges, and everything that it chose on the way; `free` marks coordinates of either sign."""

    row: Array
    alpha: float
    selection: Indices
    direction: Array
    projections: Array
    mean_S: Array
    std_S: Array
    signs: Array
    free: NDArray[np.bool_]


def strike(
    honest: ArrayLike,
    f: int,
    n: int | None = None,
    nu: float = 1.0,
    middle: Middle = "midpoint",
    max_alpha: float | None = None,
    signs: ArrayLike | None = None,
    selection: ArrayLike | None = None,
    few_rows: Literal["one", "strike-authors"] = "one",
) -> Strike:
    """STRIKE (Eqs. 6-9 and 12). `selection` replaces S; `signs` are used where |mean_S - mean| leaves them free."""
    honest = as_rows(honest)
    n = len(honest) + f if n is None else n
    centre = mean(honest)
    direction = median(honest, middle=middle) - centre  # Eq. 6
    projections = (honest * unit(direction)).sum(axis=1)  # Eq. 7
    if few_rows == "strike-authors" and n <= 2 * f:
        nothing = np.zeros_like(centre)
        row = -10 * centre if len(honest) == 1 else centre + 10 * direction
        return Strike(row, 0.0, lowest([], 0), direction, projections, centre, nothing, nothing, nothing != 0)
    size = strike_size(len(honest), n, f)
    chosen = lowest(-projections, size) if selection is None else np.sort(np.asarray(selection, dtype=np.intp))  # Eq. 8
    skewed = honest[chosen]
    mean_S, std_S = mean(skewed), std(skewed)
    difference = mean_S - centre
    free = np.abs(difference) < 2.0**-22 * np.abs(honest).max(axis=0)
    used = np.sign(difference) if signs is None else np.where(free, signs, np.sign(difference))
    if len(np.unique(chosen)) != size or not np.isin(used, (-1, 0, 1)).all():
        raise ValueError(f"STRIKE selects {size} different rows here, got {chosen.tolist()}; signs are -1, 0 or 1")
    alpha = largest_step(mean_S - skewed, used * std_S, float(squared_distances(skewed).max()), np.max)  # Eq. 9
    alpha = alpha if max_alpha is None else min(alpha, max_alpha)
    row = mean_S + nu * alpha * used * std_S  # Eq. 12
    return Strike(row, alpha, chosen, direction, projections, mean_S, std_S, used, free)


def kappa(rows_honest: ArrayLike, aggregate: ArrayLike) -> float | None:
    """||aggregate - mean||^2 over the mean of ||g_i - mean||^2 (Eq. 5, G = the honest rows); 0/0 = 0, x/0 = None."""
    error = float(((np.asarray(aggregate, dtype=np.float64) - mean(rows_honest)) ** 2).sum())
    spread = float(squared_norms(as_rows(rows_honest) - mean(rows_honest)).mean())
    return error / spread if spread > 0 else (None if error > 0 else 0.0)
