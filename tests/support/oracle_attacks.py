"""An independent oracle of further attacks, straight from their definitions, in NumPy float64: see `oracle`.

honest rows are (h, d), own rows (f, d), forged rows (f, d) or one row (d,) that all f clients send.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from oracle import Array, as_rows, lie_z_max, mean, squared_distances, squared_norms, std


def flipped_mean(honest: ArrayLike, f: int, scale: float | None = 1.0) -> Array:
    """-scale times the mean; None is h/f, so that the sum of the h honest and the f forged rows is 0."""
    honest = as_rows(honest)
    return -(len(honest) / f if scale is None else scale) * mean(honest)


def byzpy_z(n: int, f: int) -> float:
    """Phi^-1((n - s)/n) with s = max(1, floor(n/2) + 1 - f)."""
    return NormalDist().inv_cdf((n - max(1, n // 2 + 1 - f)) / n)


def lie_row(honest: ArrayLike, n: int, f: int, z: float | str | None, sign: int = 1, ddof: int = 0) -> Array:
    """mean + sign z std, std with the divisor h - ddof; 0 for a single row."""
    honest = as_rows(honest)
    h = len(honest)
    strength = lie_z_max(n, f) if z is None else byzpy_z(n, f) if z == "byzpy" else float(z)
    deviation = std(honest) * math.sqrt(h / (h - ddof)) if h > ddof else 0 * std(honest)
    return mean(honest) + sign * strength * deviation


def byzmean(honest: ArrayLike, n: int, f: int, z: float | str | None, sign: int = 1, ddof: int = 0) -> Array:
    """floor(f/2) rows of LIE, and the others such that the mean of all n rows is that row."""
    m1 = f // 2
    first = lie_row(honest, n, f, z, sign, ddof)
    second = ((n - m1) * first - (n - f) * mean(honest)) / (f - m1)
    return np.array([first] * m1 + [second] * (f - m1))


def rop(honest: ArrayLike, step: ArrayLike | None, z: float, lam: float, pi: float, angle: float) -> Array:
    """pi M + (1 - pi) m + z (sin(angle) p + cos(angle) u/|u|), p the part of ones orthogonal to u, of length 1."""
    m = mean(honest)
    moved = np.zeros_like(m) if step is None else np.asarray(step, dtype=np.float64)
    u = m if step is None else lam * moved + (1 - lam) * m
    ones, size = np.ones_like(m), float(np.linalg.norm(u))
    p = ones - (ones @ u) / (u @ u) * u if size else ones
    p = p / np.linalg.norm(p) if np.linalg.norm(p) > 1e-12 * math.sqrt(len(p)) else 0 * p
    q = math.sin(math.radians(angle)) * p + (math.cos(math.radians(angle)) * u / size if size else 0)
    return moved * pi + (1 - pi) * m + z * q


class PoisonedFLOracle:
    """PoisonedFL over the models w^0, w^1, ... that it is shown; `signs` in {-1, 1}^d."""

    def __init__(self, signs: ArrayLike, c: float, every: int, shrink: float, floor: float, p: float) -> None:
        self.signs, self.c = np.asarray(signs, dtype=np.float64), c
        self.every, self.shrink, self.floor, self.p = every, shrink, floor, p
        self.models: list[Array] = []
        self.row = np.zeros_like(self.signs)

    def see(self, model: ArrayLike) -> Array:
        """The row of the round whose model is shown: zeros in the first."""
        self.models.append(np.asarray(model, dtype=np.float64))
        t = len(self.models) - 1
        if t == 0:
            return self.row
        if t % self.every == 0:
            change = self.models[t - self.every] - self.models[t]
            agreeing = sum(
                (x if x != 0 else -w) * s > 0 for x, w, s in zip(change, self.models[t], self.signs, strict=True)
            )
            d = len(self.signs)
            least = d / 2 + NormalDist().inv_cdf(1 - self.p) * math.sqrt(d) / 2
            if agreeing < least and self.shrink * self.c >= self.floor:
                self.c *= self.shrink
        a = self.models[t - 1] - self.models[t]
        length, before = float(np.linalg.norm(a)), float(np.linalg.norm(self.row))
        v = np.abs(a - self.row * length / before) if before else np.abs(a)
        norm = float(np.linalg.norm(v))
        self.row = self.c * length * v * self.signs / norm if norm > 1e-7 * length else 0 * v
        return self.row


def krum_scores(rows: Array, f: int) -> Array:
    """For each row, the sum of the n - f - 2 smallest squared distances to other rows."""
    distances = squared_distances(rows)
    near = max(0, len(rows) - f - 2)
    return np.array([np.sort(np.delete(distances[i], i))[:near].sum() for i in range(len(rows))])


def krum_chooses(honest: ArrayLike, copies: Array, told: int, slack: float = 1e-9) -> bool:
    """Whether Krum, told f, chooses one of the copies (k, d), which stand first and so win ties."""
    scores = krum_scores(np.concatenate([copies, as_rows(honest)]), told)
    return bool(scores[: len(copies)].min() <= scores[len(copies) :].min() * (1 + slack))


def all_chosen(honest: ArrayLike, copies: Array, told: int, m: int) -> bool:
    """Whether all copies are among the m rows of least score."""
    scores = krum_scores(np.concatenate([copies, as_rows(honest)]), told)
    return int((scores[len(copies) :] < scores[: len(copies)].max() * (1 - 1e-9)).sum()) <= m - len(copies)


def fang_start(honest: ArrayLike, n: int, f: int) -> float:
    """sqrt(min_i S_i / ((n - 2f - 1) d)) + max_i |g_i|/sqrt(d), S_i over the n - f - 2 honest rows nearest to i."""
    honest = as_rows(honest)
    d = honest.shape[1]
    distances = np.sort(squared_distances(honest), axis=1)[:, 1 : n - f - 1]
    return math.sqrt(distances.sum(axis=1).min() / ((n - 2 * f - 1) * d)) + math.sqrt(squared_norms(honest).max() / d)


def fang_krum(honest: ArrayLike, signs: Array, f: int, threshold: float = 1e-5) -> tuple[float, bool]:
    """lambda halved from `fang_start` until Krum chooses a copy of -lambda signs, or lambda < threshold."""
    honest = as_rows(honest)
    strength = fang_start(honest, len(honest) + f, f)
    while not krum_chooses(honest, np.tile(-strength * signs, (f, 1)), f):
        if strength < threshold:
            return strength, False
        strength /= 2
    return strength, True


def fang_krum_partial(own: ArrayLike, threshold: float = 1e-5) -> tuple[float, bool]:
    """The same from 1, for one copy of -lambda sign(mean own) among the own rows, then for two, ..., f - 1."""
    own = as_rows(own)
    signs, strength = np.sign(mean(own)), threshold
    for k in range(1, len(own)) if len(own) > 2 else ():
        strength = 1.0
        while True:
            if krum_chooses(own, np.tile(-strength * signs, (k, 1)), k):
                return strength, True
            if strength < threshold:
                break
            strength /= 2
    return strength, False


def trim_range(column: ArrayLike, a: float, b: float, model: float | None = None) -> tuple[float, float]:
    """The ends of the range of an entry: of rows, or of models w - g where a model is given (`space=model`)."""
    column = np.asarray(column, dtype=np.float64)
    if a == 0:
        return float(column.mean()), float(column.mean())
    if model is None:
        low, high = float(column.min()), float(column.max())
        if a > 0:
            return (low / b, low) if low > 0 else (b * low, low)
        return (high, b * high) if high > 0 else (high, high / b)
    low, high = model - float(column.max()), model - float(column.min())
    if a > 0:
        ends = (high, b * high) if high > 0 else (high, high / b)
    else:
        ends = (low / b, low) if low > 0 else (b * low, low)
    return min(model - ends[0], model - ends[1]), max(model - ends[0], model - ends[1])


def partial_range(column: ArrayLike, a: float, near: float = 3.0, far: float = 4.0) -> tuple[float, float]:
    """mu - sign(a) (3 to 4) sigma over the own entries."""
    column = np.asarray(column, dtype=np.float64)
    ends = sorted(column.mean() - np.sign(a) * k * column.std() for k in (near, far))
    return float(ends[0]), float(ends[1])


Map = Literal["reverse", "shift", "pair", "all"]


def flip_labels(labels: Sequence[int], classes: int, map: Map, of: int = 2, target: int = 7) -> NDArray[np.int64]:
    """The labels after a fixed map."""
    table: dict[str, list[int]] = {
        "reverse": [classes - 1 - y for y in labels],
        "shift": [(y + 1) % classes for y in labels],
        "pair": [target if y == of else y for y in labels],
        "all": [target for _ in labels],
    }
    return np.array(table[map])
