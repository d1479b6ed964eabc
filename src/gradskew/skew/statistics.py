"""How lopsided numbers are: two measures of skewness, and how sure one can be of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from ..core.randomness import numpy_generator

Floats = NDArray[np.float64]

RESAMPLES = 1000
CONFIDENCE = 0.95
SEED = 0


def above(samples: Floats) -> Floats:
    """The part of the samples above 0, which their projections' mean is: samples (..., h) -> (...)."""
    return np.asarray((samples > 0).mean(-1))


def skewness(samples: Floats) -> Floats:
    """The standardised third moment, mean((x - mean)^3) / std^3, std divided by the count: (..., h) -> (...).

    Below 0: a long tail of low values, and most values above the mean. NaN where all samples are equal.

    >>> float(skewness(np.array([0.0, 3.0, 3.0, 3.0])))  # deviations -9/4, 3/4: (-9^3 + 3 * 3^3) / 4 over (27/16)^1.5
    -1.1547005383792515
    """
    deviations = samples - samples.mean(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((deviations**3).mean(-1) / (deviations**2).mean(-1) ** 1.5)


def pearson(samples: Floats) -> Floats:
    """Pearson's second coefficient of skewness, 3 (mean - median) / std, std divided by the count: (..., h) -> (...).

    Of the same sign as the skewness where the median lies on the side of the mass. NaN where all samples are equal.

    >>> round(float(pearson(np.array([0.0, 3.0, 3.0, 3.0]))), 6)  # 3 (9/4 - 3) / (27/16)^0.5
    -1.732051
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(3 * (samples.mean(-1) - np.median(samples, -1)) / samples.std(-1))


Statistic = Callable[[Floats], Floats]


def resampled(statistic: Statistic, samples: Sequence[float] | Floats, resamples: int = RESAMPLES) -> Floats:
    """The statistic of so many resamples, drawn from the h samples with replacement: (resamples,).

    The draws depend on h alone: rounds with equally many clients are resampled alike, so that a mean over rounds, whose
    clients are the same, can be resampled as a whole.
    """
    drawn = np.asarray(samples, dtype=np.float64)
    return statistic(drawn[_draws(len(drawn), resamples)])


@lru_cache(maxsize=8)
def _draws(h: int, resamples: int) -> NDArray[np.int64]:
    return numpy_generator(SEED, "bootstrap", h).integers(h, size=(resamples, h))


@dataclass(frozen=True)
class Estimate:
    """A number, with the 95 % bootstrap interval of it; None where the number is no statistic of clients."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def text(self) -> str:
        """As it is printed: `0.62 [0.58, 0.66]`."""
        return f"{self.value:.2f}" + ("" if self.low is None else f" [{self.low:.2f}, {self.high:.2f}]")


def averaged(estimates: Iterable[Estimate | None]) -> Estimate | None:
    """The means of the numbers and of the ends of their intervals, over those that there are; None if there is none."""
    found = [each for each in estimates if each is not None]
    if not found:
        return None
    ends = [(each.low, each.high) for each in found if each.low is not None and each.high is not None]
    low, high = (fmean(end) for end in zip(*ends, strict=True)) if ends else (None, None)
    return Estimate(fmean(each.value for each in found), low, high)


def interval(values: Floats) -> tuple[float, float] | None:
    """The range that holds the middle 95 % of the resampled values (the percentile bootstrap); None if all are NaN."""
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)
