"""Measures of the skew of honest rows, and the empirical kappa of an aggregate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..attacks.strike import num_skewed, towards_median
from ..core.errors import check, check_number
from ..core.given import as_tensor
from ..core.rows import Given, Rows
from .heterogeneity import dissimilarity, relative_divergence, unit_mean
from .references import Measure
from .statistics import PROJECTED, Estimate, Floats, above, interval, pearson, resampled, skewness

ROUNDING = 1e-12  # times the variance: projections with a smaller deviation are rounding errors


@dataclass(frozen=True)
class Skew:
    """The skew of h honest rows around their mean. S is STRIKE's set of skewed rows (Liu et al., AAAI 2025, Eq. 8).

    f: the number of Byzantine rows that S is made for. skewed: |S|. towards: the h projections of the rows on Eq. 6's
    direction, median - mean; principal: those on the first principal component, which points the same way. Projections
    are centred and divided by their standard deviation; all are 0 if they do not vary. principal_share: the component's
    share of the variance. shift: |mean_S - mean| / spread. density: the mean distance to the nearest other honest row
    of the rows outside S, divided by that of the rows in S; above 1, S is denser; None if S has all rows, or has equal
    rows only. spread: the root of the mean squared distance to the mean, in units of the updates: the gradient
    divergence. farthest: the largest distance to the mean, and mean_norm: the norm of the mean, in the same units.
    cosine: the mean cosine over pairs of rows, with a row of zeros 0; None for one row.
    """

    f: int
    skewed: int
    towards: tuple[float, ...]
    principal: tuple[float, ...]
    principal_share: float
    shift: float
    density: float | None
    spread: float
    farthest: float
    mean_norm: float
    cosine: float | None

    @property
    def above(self) -> float:
        """The share of the rows whose projection on Eq. 6's direction is above the mean."""
        return float(above(self._array(self.towards)))

    @property
    def skewness(self) -> float:
        """The skewness of `towards`; NaN if the rows are equal, as are the three below."""
        return float(skewness(self._array(self.towards)))

    @property
    def pearson(self) -> float:
        """Pearson's second coefficient of skewness of `towards`."""
        return float(pearson(self._array(self.towards)))

    @property
    def principal_skewness(self) -> float:
        """The skewness of `principal`."""
        return float(skewness(self._array(self.principal)))

    @property
    def principal_pearson(self) -> float:
        """Pearson's second coefficient of skewness of `principal`."""
        return float(pearson(self._array(self.principal)))

    @property
    def relative_divergence(self) -> float | None:
        """The gradient divergence over the norm of the mean; None for a mean of zeros, as is the one below."""
        return relative_divergence(self.spread, self.mean_norm)

    @property
    def dissimilarity(self) -> float | None:
        """FedProx's B_t, sqrt(mean |g_i|^2) / |mean|."""
        return dissimilarity(self.spread, self.mean_norm)

    @property
    def unit_mean(self) -> float | None:
        """The length of the mean of the rows, each scaled to length 1; None for one row."""
        return None if self.cosine is None else unit_mean(self.cosine, len(self.towards))

    def estimate(self, name: str) -> Estimate | None:
        """Return the measure `name`, with an interval if it is a statistic of projections; None if it is not finite."""
        value = getattr(self, name)
        if value is None or not math.isfinite(value):
            return None
        if name not in PROJECTED:
            return Estimate(value)
        projections, statistic = PROJECTED[name]
        return Estimate(value, *(interval(resampled(statistic, getattr(self, projections))) or ()))

    def values(self, measures: Iterable[Measure]) -> list[tuple[Measure, Estimate]]:
        """Return those of the measures that are finite, with their estimates."""
        estimates = [(measure, self.estimate(measure.key)) for measure in measures]
        return [(measure, estimate) for measure, estimate in estimates if estimate is not None]

    @property
    def members(self) -> tuple[bool, ...]:
        """Of each row whether it is in S: the |S| largest of `towards`, on ties the lower index (Eq. 8)."""
        order = sorted(range(len(self.towards)), key=lambda i: -self.towards[i])
        chosen = set(order[: self.skewed])
        return tuple(i in chosen for i in range(len(self.towards)))

    def to_json(self) -> dict[str, Any]:
        """Return the fields for a record: projections rounded to four decimals, other numbers to six digits."""
        numbers = ("spread", "principal_share", "shift", "density", "farthest", "mean_norm", "cosine")
        values = {name: getattr(self, name) for name in numbers}
        rounded = {name: None if value is None else digits(value) for name, value in values.items()}
        projections = {"towards": self.towards, "principal": self.principal}
        kept = {name: [round(value, 4) for value in values] for name, values in projections.items()}
        return {"f": self.f, "skewed": self.skewed, **rounded, **kept}

    @staticmethod
    def _array(projections: Sequence[float]) -> Floats:
        return torch.tensor(projections, dtype=torch.float64).numpy()


def measure(honest: Given, f: int | None = None, *, n: int | None = None) -> Skew:
    """Measure the skew of honest rows (h, d), of torch or NumPy. InputError for other rows, n < h or f >= n.

    n: the number of clients in the round, by default h. f: the number of Byzantine clients among them, by default
    n // 5, as in the STRIKE paper's experiments. |S| is h (n - 2 f) // (n - f): three quarters of the rows if h = n and
    a fifth is Byzantine.
    """
    rows = Rows.of(honest, name="honest")
    rows.check("honest")
    n = rows.n if n is None else check_number("n", n, at_least=rows.n, whole=True)
    f = n // 5 if f is None else check_number("f", f, at_least=0, below=n, whole=True)
    return skew_of(rows, rows, f, n)


def skew_of(rows: Rows, source: Rows, f: int, n: int) -> Skew:
    """Measure the skew of honest rows (h, d).

    source: rows of which these are the last h; their inner products and distances are used. n, f: see `measure`.
    """
    h, first = rows.n, source.n - rows.n
    source.read_once()
    gram, cosines = source.gram[first:, first:], source.cosines[first:, first:]
    gram = gram - gram.mean(0)
    gram = gram - gram.mean(1, keepdim=True)
    squares = gram.diagonal().clamp(min=0)
    variance = float(squares.mean())
    towards = rows.once(towards_median)
    members = towards.argsort(descending=True, stable=True)[: num_skewed(h, n, f)]
    towards = towards - towards.mean()

    weights = torch.full((h,), -1 / h, dtype=torch.float64, device=gram.device)
    weights[members] += 1 / len(members)
    shift = float((weights @ gram @ weights).clamp(min=0))

    values, vectors = torch.linalg.eigh(gram)
    principal = vectors[:, -1] * values[-1].clamp(min=0).sqrt()
    if principal @ towards < 0:
        principal = -principal
    return Skew(
        f=f,
        skewed=len(members),
        towards=_standardised(towards, ROUNDING * variance if variance else math.inf),
        principal=_standardised(principal, 0.0),
        principal_share=float(values[-1].clamp(min=0)) / (h * variance) if variance else 0.0,
        shift=math.sqrt(shift / variance) if variance else 0.0,
        density=_density(source.squared_distances[first:, first:], members),
        spread=math.sqrt(variance),
        farthest=math.sqrt(float(squares.max())),
        mean_norm=float(torch.linalg.vector_norm(rows.once(Rows.mean).double())),
        cosine=float(cosines.sum() - cosines.diagonal().sum()) / (h * (h - 1)) if h > 1 else None,
    )


def _standardised(projections: Tensor, noise: float) -> tuple[float, ...]:
    """Divide projections (h,) by their root mean square; all 0 if that is not above `noise`."""
    scale = projections.square().mean().sqrt()
    return tuple((projections / scale).tolist() if scale > noise else [0.0] * len(projections))


def _density(squared_distances: Tensor, members: Tensor) -> float | None:
    """Return `Skew.density` of the rows with these squared distances (h, h). members: the indices of S."""
    if len(members) == len(squared_distances):
        return None
    nearest = squared_distances.clone().fill_diagonal_(math.inf).min(1).values.sqrt()
    inside = torch.zeros(len(nearest), dtype=torch.bool, device=nearest.device)
    inside[members] = True
    dense, other = float(nearest[inside].mean()), float(nearest[~inside].mean())
    return other / dense if dense else None


def kappa(distance: float | None, spread: float) -> float | None:
    """Return the empirical kappa of an aggregate, (distance / spread)^2 (Definition 1, Eq. 5, G = the honest rows).

    distance: from the aggregate to the honest mean, None if it is not finite. spread: see `Skew`. 0/0 is 0; a kappa
    that is not finite, such as 1/0, is None.

    >>> kappa(3.0, 2.0), kappa(0.0, 0.0), kappa(1.0, 0.0)
    (2.25, 0.0, None)
    """
    if distance is None:
        return None
    if not spread:
        return None if distance else 0.0
    value = (distance / spread) * (distance / spread)
    return value if math.isfinite(value) else None


def progress(aggregate: Tensor, mean: Tensor) -> float | None:
    """Return <aggregate, mean> / |mean|^2 of an aggregate (d,) and the honest mean (d,).

    1: the step that the honest mean would make, along it. Below 0: the step leads back. A mean of zeros, and a value
    that is not finite, give None.

    >>> progress(torch.tensor([2.0, 5.0]), torch.tensor([4.0, 0.0]))
    0.5
    """
    mean = mean.double()
    square = float(mean @ mean)
    value = float(aggregate.double() @ mean) / square if square else math.nan
    return value if math.isfinite(value) else None


def empirical_kappa(aggregate: Given, honest: Given) -> float | None:
    """Return the empirical kappa of an aggregate (d,), given the honest rows (h, d); see `kappa`."""
    rows, vector = Rows.of(honest, name="honest"), as_tensor("the aggregate", aggregate)
    rows.check("honest")
    check(vector.shape == (rows.d,), f"the aggregate must have the shape ({rows.d},), not {tuple(vector.shape)}")
    weights = torch.full((rows.n,), 1 / rows.n, dtype=torch.float64)
    mean = rows.combine(weights, dtype=torch.float64)
    variance = float(rows.squared_distances_to_mean(weights.to(mean.device)).mean())
    distance = float(torch.linalg.vector_norm(vector.double() - mean))
    return kappa(distance if math.isfinite(distance) else None, math.sqrt(variance))


def digits(value: float) -> float:
    """Round a number to six significant digits.

    >>> digits(0.123456789)
    0.123457
    """
    return float(f"{value:.6g}")
