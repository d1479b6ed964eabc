"""Clients with different numbers of inputs, and the same mix of classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.errors import check, check_choice, check_number
from .base import Split
from .partition import Partition, Parts, check_enough

LAWS = ("power", "linear", "exponential", "lognormal", "dirichlet")

LARGEST = 1e300  # of s: a larger one gives the same sizes, and its multiples overflow


@dataclass(frozen=True, kw_only=True)
class Sizes(Partition):
    """Clients have different numbers of inputs by a law, and labels IID; a size below `min_samples` is raised to it.

    law: of the weights w of the ranks r = 1, ..., n. `power`: r^-s. `linear`: r, without s. `exponential`: exp(-s r).
    `lognormal`: exp(s z), z standard normal. `dirichlet`: drawn from Dirichlet(s). Sizes are max(min_samples, c w) with
    the c for which they add up to all inputs; they are rounded down, and the places that are left go to the largest
    fractions. Ranks go to the clients at random, as the first clients are the Byzantine ones.

    11 inputs, 3 clients, power with s = 1, min_samples = 1: weights 1, 1/2, 1/3 and sizes 6, 3, 2.
    """

    key: ClassVar[str] = "sizes"
    source: ClassVar[str] = "Li et al., 2022"
    law: str = "power"
    s: float = 1.5
    min_samples: int = 10

    def __post_init__(self) -> None:
        check_choice("law", self.law, LAWS)
        check_number("s", self.s, above=0)
        check(self.law != "linear" or self.s == type(self).s, "the law linear has no s")
        check_number("min_samples", self.min_samples, at_least=1, whole=True)

    def deal(self, split: Split, num_classes: int, clients: int, generator: np.random.Generator) -> Parts:
        check_enough(split.labels.cpu().numpy(), clients, self.min_samples)
        sizes = apportioned(self._weights(clients, generator), len(split), self.min_samples)
        return Parts(generator.permutation(len(split)), generator.permutation(sizes))

    def _weights(self, clients: int, generator: np.random.Generator) -> np.ndarray:
        """Return the weights of the ranks (clients,), the largest above 0."""
        ranks, s = np.arange(1, clients + 1, dtype=np.float64), min(float(self.s), LARGEST)
        if self.law == "dirichlet":
            return generator.dirichlet(np.full(clients, s))
        if self.law == "linear":
            return ranks
        powers = -s * (np.log(ranks) if self.law == "power" else ranks)
        if self.law == "lognormal":
            powers = s * generator.standard_normal(clients)
        weights: np.ndarray = np.exp(powers - powers.max())  # the largest is 1, whatever s is
        return weights


def apportioned(weights: np.ndarray, total: int, least: int) -> np.ndarray:
    """Return whole sizes (n,) in proportion to weights (n,), none below `least`, which add up to `total`: see `Sizes`.

    >>> apportioned(np.array([6.0, 3.0, 2.0]), 11, 1).tolist(), apportioned(np.array([6.0, 3.0, 2.0]), 11, 3).tolist()
    ([6, 3, 2], [5, 3, 3])
    """
    order = np.argsort(weights, kind="stable")
    rising = weights[order]
    behind = np.cumsum(rising[::-1])[::-1]  # the sum of each weight and those above it
    factors = (total - least * np.arange(len(weights))) / np.where(behind > 0, behind, np.inf)
    fits = factors * rising >= least
    fits[-1] = True  # up to rounding
    raised = int(fits.argmax())  # so many of the least weights have the least size
    sizes = np.maximum(least, factors[raised] * weights)
    sizes[order[:raised]] = least
    whole: np.ndarray = np.maximum(least, np.floor(sizes)).astype(np.int64)
    whole[np.argsort(whole - sizes, kind="stable")[: total - whole.sum()]] += 1
    return whole
