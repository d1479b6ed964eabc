from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from ..core.rows import Rows
from .base import Aggregator, Outcome
from .dnc import DnC
from .pair import Pair
from .ptm import PTM


@dataclass(frozen=True, kw_only=True)
class Average(Pair):
    """Average the aggregates of two rules.

    Both are called with the same rows and the same f; the weights are averaged, too, if both rules have weights. a
    draws first, b goes on with the same generator, so that their draws are independent.

    a, b: rules or pipelines. Notes and state of each have its letter in front: `a.kept`.

    >>> from gradskew.aggregators import Mean, Median
    >>> Average(a=Median(), b=Mean())(torch.tensor([[0.0], [1.0], [5.0]]), f=1)
    tensor([1.5000])
    """

    key: ClassVar[str] = "average"
    title: ClassVar[str] = "average"
    source: ClassVar[str] = "this project"
    a: Aggregator = field(default_factory=DnC)
    b: Aggregator = field(default_factory=PTM)

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        one, other, notes = self.outcomes(rows, f, generator)
        weights = None if one.weights is None or other.weights is None else (one.weights + other.weights) / 2
        parts = None if one.parts is None and other.parts is None else lambda: _shares(one) + _shares(other)
        return Outcome(one.value / 2 + other.value / 2, weights, notes, parts)

    @property
    def isometric(self) -> bool:  # type: ignore[override]
        return self.a.isometric and self.b.isometric

    @property
    def batched(self) -> str:  # type: ignore[override]
        return min(self.a.batched, self.b.batched)  # "" before "columns" before "span"

    @property
    def monotone(self) -> bool:  # type: ignore[override]
        return self.a.monotone and self.b.monotone

    @property
    def by_ranks(self) -> bool:  # type: ignore[override]
        return self.a.by_ranks and self.b.by_ranks

    def least(self, n: int, f: int) -> int | None:
        """Return the larger of the two numbers if both rules select rows: all of them have a positive weight."""
        least = [rule.least(n, f) for rule in self.pair.values()]
        return None if None in least else max(each for each in least if each is not None)

    def kappa_bound(self, n: int, f: int) -> float | None:
        """Return ((sqrt(kappa_a) + sqrt(kappa_b)) / 2)^2, by the triangle inequality; infinity if one of them is.

        None if none is known of one of the rules, or both are infinite: their errors may cancel.
        """
        bounds = [rule.kappa_bound(n, f) for rule in self.pair.values()]
        known = [bound for bound in bounds if bound is not None]
        if len(known) < 2 or known == [math.inf, math.inf]:
            return None
        return max(min(known), (sum(map(math.sqrt, known)) / 2) ** 2)  # at least the smaller one, but for rounding


def _shares(outcome: Outcome) -> Tensor:
    """Return the shares of the rows (n,) in an outcome that has them."""
    shares = outcome.shares
    assert shares is not None
    return shares
