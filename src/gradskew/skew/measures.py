"""The skew of honest rows in numbers, and what a rule made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..attacks.strike import num_skewed, towards_median
from ..core.errors import check, check_number
from ..core.rows import Rows, check_rows
from .statistics import Estimate, Floats, Statistic, above, interval, pearson, resampled, skewness

# From a number to the projections that it is made of, and the statistic.
PROJECTED: dict[str, tuple[str, Statistic]] = {
    "above": ("towards", above),
    "skewness": ("towards", skewness),
    "pearson": ("towards", pearson),
    "principal_skewness": ("principal", skewness),
    "principal_pearson": ("principal", pearson),
}
ROUNDING = 1e-12  # of the variance: projections on a direction that is shorter are noise


@dataclass(frozen=True)
class Skew:
    """How h honest rows lie around their mean.

    f: the Byzantine rows that S, STRIKE's skewed rows, is made for; skewed: their number |S|. towards, principal: the
    projection of each row, around the mean and in their standard deviations (all 0 if they do not vary), on Eq. 6's
    direction (median - mean) and on the first principal component, which points the same way. principal_share: its part
    of the variance. shift: |mean_S - mean| / spread. density: the mean distance to the nearest other honest row, of the
    rows outside S divided by that of S; above 1, S is denser; None if S is all, or has no extent. spread: the root of
    the mean squared distance to the mean. In units of the updates, the only number that has one.
    """

    f: int
    skewed: int
    towards: tuple[float, ...]
    principal: tuple[float, ...]
    principal_share: float
    shift: float
    density: float | None
    spread: float

    @property
    def above(self) -> float:
        """The part of the rows that project above the mean's projection, on Eq. 6's direction."""
        return float(above(self._array(self.towards)))

    @property
    def skewness(self) -> float:
        """The standardised third moment of `towards`; NaN if the rows are equal. So are the three below."""
        return float(skewness(self._array(self.towards)))

    @property
    def pearson(self) -> float:
        """Pearson's second coefficient of `towards`."""
        return float(pearson(self._array(self.towards)))

    @property
    def principal_skewness(self) -> float:
        """The standardised third moment of `principal`."""
        return float(skewness(self._array(self.principal)))

    @property
    def principal_pearson(self) -> float:
        """Pearson's second coefficient of `principal`."""
        return float(pearson(self._array(self.principal)))

    def estimate(self, name: str) -> Estimate | None:
        """One of the numbers; with an interval if it is a statistic of the projections. None if there is none."""
        value = getattr(self, name)
        if value is None or not math.isfinite(value):
            return None
        if name not in PROJECTED:
            return Estimate(value)
        kind, statistic = PROJECTED[name]
        return Estimate(value, *(interval(resampled(statistic, getattr(self, kind))) or ()))

    @property
    def members(self) -> tuple[bool, ...]:
        """Which rows are in S: the |S| of largest projection, on ties the lower index (Eq. 8)."""
        order = sorted(range(len(self.towards)), key=lambda i: -self.towards[i])
        chosen = set(order[: self.skewed])
        return tuple(i in chosen for i in range(len(self.towards)))

    def to_json(self) -> dict[str, Any]:
        """As a record keeps it: projections to four decimals, the other numbers to six digits."""
        numbers = {name: getattr(self, name) for name in ("spread", "principal_share", "shift", "density")}
        rounded = {name: None if value is None else digits(value) for name, value in numbers.items()}
        projections = {"towards": self.towards, "principal": self.principal}
        kept = {name: [round(value, 4) for value in values] for name, values in projections.items()}
        return {"f": self.f, "skewed": self.skewed, **rounded, **kept}

    @staticmethod
    def _array(projections: Sequence[float]) -> Floats:
        return torch.tensor(projections, dtype=torch.float64).numpy()


def measure(honest: Tensor, f: int | None = None, *, n: int | None = None) -> Skew:
    """The skew of honest rows (h, d), float32 or float64.

    n: clients in the round, h if there is none beside the honest. f: how many of them are Byzantine; floor(n / 5), a
    fifth as in the STRIKE paper's experiments, if nothing else is said. |S| is h (n - 2 f) // (n - f): of h = n rows
    with a fifth Byzantine, three quarters.
    """
    check_rows("honest", honest)
    n = len(honest) if n is None else n
    check_number("n", n, at_least=len(honest), whole=True)
    f = n // 5 if f is None else f
    check_number("f", f, at_least=0, below=n, whole=True)
    rows = Rows(honest.detach())
    return skew_of(rows, rows.gram, rows.squared_distances, f, n)


def skew_of(rows: Rows, gram: Tensor, squared_distances: Tensor, f: int, n: int) -> Skew:
    """The skew of honest rows whose inner products around some point (h, h), and distances, are known."""
    h = rows.n
    gram = gram - gram.mean(0)
    gram = gram - gram.mean(1, keepdim=True)
    variance = float(gram.diagonal().mean().clamp(min=0))
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
        density=_density(squared_distances, members),
        spread=math.sqrt(variance),
    )


def _standardised(projections: Tensor, noise: float) -> tuple[float, ...]:
    """Divided by their standard deviation; all 0 if that is no more than noise."""
    scale = projections.square().mean().sqrt()
    return tuple((projections / scale).tolist() if scale > noise else [0.0] * len(projections))


def _density(squared_distances: Tensor, members: Tensor) -> float | None:
    if len(members) == len(squared_distances):
        return None
    nearest = squared_distances.clone().fill_diagonal_(math.inf).min(1).values.sqrt()
    inside = torch.zeros(len(nearest), dtype=torch.bool, device=nearest.device)
    inside[members] = True
    dense, other = float(nearest[inside].mean()), float(nearest[~inside].mean())
    return other / dense if dense else None


def kappa(distance: float | None, spread: float) -> float | None:
    """Empirical kappa of an aggregate: squared error over mean squared deviation (Definition 1, Eq. 5, G = the honest).

    distance: of the aggregate from the honest mean, None if there is no finite one. 0/0 counts as 0; x/0 is None, as is
    what has no finite quotient.

    >>> kappa(3.0, 2.0), kappa(0.0, 0.0), kappa(1.0, 0.0)
    (2.25, 0.0, None)
    """
    if distance is None:
        return None
    if not spread:
        return None if distance else 0.0
    value = (distance / spread) * (distance / spread)
    return value if math.isfinite(value) else None


def empirical_kappa(aggregate: Tensor, honest: Tensor) -> float | None:
    """Empirical kappa of an aggregate (d,) of rows of which these (h, d) are honest; see `kappa`."""
    check_rows("honest", honest)
    good = aggregate.shape == honest.shape[1:]
    check(good, f"the aggregate must have the shape ({honest.shape[1]},), not {tuple(aggregate.shape)}")
    rows = Rows(honest.detach())
    weights = torch.full((rows.n,), 1 / rows.n, dtype=torch.float64)
    mean = rows.combine(weights, dtype=torch.float64)
    variance = float(rows.squared_distances_to_mean(weights.to(honest.device)).mean())
    distance = float(torch.linalg.vector_norm(aggregate.detach().double() - mean))
    return kappa(distance if math.isfinite(distance) else None, math.sqrt(variance))


def digits(value: float) -> float:
    """Six significant digits of a number.

    >>> digits(0.123456789)
    0.123457
    """
    return float(f"{value:.6g}")
