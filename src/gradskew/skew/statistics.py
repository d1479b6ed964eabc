"""Statistics of skewness, and bootstrap intervals for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.randomness import numpy_generator

Floats = NDArray[np.float64]

RESAMPLES = 1000
CONFIDENCE = 0.95
TAILS = ((1 - CONFIDENCE) / 2, 1 - (1 - CONFIDENCE) / 2)
SEED = 0


def above(samples: Floats) -> Floats:
    """Return the share of the samples above 0, the mean of centred projections: (..., h) -> (...)."""
    return np.asarray((samples > 0).mean(-1))


def skewness(samples: Floats) -> Floats:
    """Return the skewness, mean((x - mean)^3) / std^3 with the biased std: (..., h) -> (...).

    Below 0: a long tail of low values, with most values above the mean. NaN where all samples are equal.

    >>> float(skewness(np.array([0.0, 3.0, 3.0, 3.0])))  # deviations -9/4, 3/4: (-9^3 + 3 * 3^3) / 4 over (27/16)^1.5
    -1.1547005383792515
    """
    deviations = samples - samples.mean(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = deviations * deviations
        return np.asarray((squares * deviations).mean(-1) / squares.mean(-1) ** 1.5)


def pearson(samples: Floats) -> Floats:
    """Return Pearson's second coefficient of skewness, 3 (mean - median) / std with the biased std: (..., h) -> (...).

    It has the sign of the skewness if the median is on the side of most values. NaN where all samples are equal.

    >>> round(float(pearson(np.array([0.0, 3.0, 3.0, 3.0]))), 6)  # 3 (9/4 - 3) / (27/16)^0.5
    -1.732051
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(3 * (samples.mean(-1) - np.median(samples, -1)) / samples.std(-1))


Statistic = Callable[[Floats], Floats]
# Of each measure that is a statistic of projections: the field of `Skew` that has them, and the statistic.
PROJECTED: dict[str, tuple[str, Statistic]] = {
    "above": ("towards", above),
    "skewness": ("towards", skewness),
    "pearson": ("towards", pearson),
    "principal_skewness": ("principal", skewness),
    "principal_pearson": ("principal", pearson),
}


def of_each(statistic: Statistic, several: Sequence[Sequence[float]]) -> list[float]:
    """Return a statistic of each of several samples, in one call for those of one size.

    >>> of_each(above, [[1.0, -1.0], [1.0, 2.0, 3.0], [-1.0, -2.0]])
    [0.5, 1.0, 0.0]
    """
    values, by_size = [0.0] * len(several), dict[int, list[int]]()
    for place, samples in enumerate(several):
        by_size.setdefault(len(samples), []).append(place)
    for places in by_size.values():
        found = statistic(np.array([several[place] for place in places]))
        for place, value in zip(places, found.tolist(), strict=True):
            values[place] = value
    return values


def resampled(statistic: Statistic, samples: ArrayLike, resamples: int = RESAMPLES) -> Floats:
    """Return the statistic of bootstrap resamples, drawn with replacement: (..., h) -> (..., resamples).

    The draws depend on h only: rounds with the same number of clients draw the same clients, so that a mean over rounds
    can be resampled as a whole.
    """
    array = np.asarray(samples, dtype=np.float64)
    return statistic(array.take(_draws(array.shape[-1], resamples), -1))


@lru_cache(maxsize=8)
def _draws(h: int, resamples: int) -> NDArray[np.int64]:
    """Draw the indices of the resamples: (resamples, h)."""
    return numpy_generator(SEED, "bootstrap", h).integers(h, size=(resamples, h))


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % bootstrap interval; low and high are None if it is not a statistic of clients."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def text(self) -> str:
        """The number and its interval as text: `0.62 [0.58, 0.66]`."""
        return f"{self.value:.2f}" + ("" if self.low is None else f" [{self.low:.2f}, {self.high:.2f}]")


def mean_estimate(estimates: Iterable[Estimate | None]) -> Estimate | None:
    """Return the means of the numbers, and of the ends of the intervals, that are not None; None if all numbers are."""
    known = [each for each in estimates if each is not None]
    if not known:
        return None
    ends = [(each.low, each.high) for each in known if each.low is not None and each.high is not None]
    low, high = (fmean(end) for end in zip(*ends, strict=True)) if ends else (None, None)
    return Estimate(fmean(each.value for each in known), low, high)


def interval(values: Floats) -> tuple[float, float] | None:
    """Return the 95 % interval of resampled values by the percentile bootstrap; None if no value is finite."""
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return None
    low, high = np.quantile(finite, TAILS)
    return float(low), float(high)


def intervals(several: Floats) -> list[tuple[float, float] | None]:
    """Return the interval of each of several rows of resampled values: see `interval`."""
    if len(several) == 0 or not np.isfinite(several).all():
        return list(map(interval, several))
    return list(zip(*np.quantile(several, TAILS, axis=-1).tolist(), strict=True))
