"""Trials of the server's rule: what it would make of forged rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..aggregators import Aggregator
from ..core.given import LARGEST
from ..core.round import Round
from ..core.span import Span
from ..core.tries import Tries
from .base import View
from .queries import BATCH, forged_and_told, known_rule, vectors_of

ROUNDING = 2.0**-23  # of the aggregate: distances below this share of the rows' length are 0


@dataclass(frozen=True)
class Measures:
    """The results of P trials. R is the aggregate, m the mean of the known honest rows.

    distance: |R - m|. progress: <R, m> / |m|^2, 0 for m = 0. share: the Byzantine rows' part of the absolute weights;
    None for a rule without weights. All (P,) float64; NaN for a trial whose rows or aggregate are not finite.
    """

    distance: Tensor
    progress: Tensor
    share: Tensor | None


class Trials:
    """The server's rule on the known honest rows behind f' copies of a forged row, in any number of trials.

    How many copies, and what the rule is told: `forged_and_told`. Every trial draws from a new generator with seed 0:
    the server's draws are not known.
    """

    def __init__(self, view: View):
        assert view.context is not None
        self.honest, self.rule = view.honest, view.context.rule
        self.copies, self.f = forged_and_told(view)
        self.mean = view.honest.mean(torch.float64)
        self.squared_mean = float(self.mean @ self.mean)
        self.radius = float(view.honest.squared_distances_to(self.mean).max().sqrt())
        self.batched = known_rule(self.rule, self.copies)[0].batched == "span"
        self._spans: dict[tuple[int, int], tuple[Span, Aggregator, Round | None]] = {}
        self.matrix = torch.cat([view.honest.updates[:1].expand(self.copies, -1), view.honest.updates])

    def outcome(self, row: Tensor) -> Any:
        """Return the outcome of the rule for copies of a finite row (d,)."""
        self.matrix[: self.copies] = row
        return self.rule.explain(self.matrix, self.f, generator=torch.Generator().manual_seed(0))

    def measure(self, row: Tensor) -> Measures:
        """Return the measures for copies of a row (d,), with P = 1."""
        return self.along(row.double(), torch.zeros_like(self.mean), [0.0])

    def along(self, base: Tensor, direction: Tensor, strengths: Sequence[float]) -> Measures:
        """Return the measures for copies of base + strength direction, both (d,) float64, for each strength."""
        if self.batched:
            return self._in_span(base, direction, strengths)
        tried = [self._measure(self.row(base, direction, strength)) for strength in strengths]
        distance, progress, share = torch.tensor(tried, dtype=torch.float64).T
        return Measures(distance, progress, None if bool(share.isnan().all()) else share)

    def _in_span(self, base: Tensor, direction: Tensor, strengths: Sequence[float]) -> Measures:
        """Return the measures from inner products, for a rule that takes many tries at once."""
        line = (base.data_ptr(), direction.data_ptr())
        if line not in self._spans:
            rule, round = known_rule(self.rule, self.copies)
            self._spans[line] = Span(self.honest, [base, direction, *vectors_of(self.rule)]), rule, round
        span, rule, round = self._spans[line]
        points = span.vector(0) + torch.tensor(strengths, dtype=torch.float64)[:, None] * span.vector(1)
        parts = []
        for part in points.unsqueeze(1).expand(-1, self.copies, -1).split(BATCH):
            tries = Tries.of(span, part, round=round)
            outcome = rule.outcome(tries.as_rows, self.f, torch.Generator().manual_seed(0))
            gaps = outcome.value - span.mean
            distance = span.norms(gaps)
            floor = ROUNDING * (self.squared_mean**0.5 + self.radius)
            progress = span.inner(outcome.value, span.mean) / self.squared_mean if self.squared_mean else 0 * distance
            share = distance * math.nan
            if outcome.weights is not None:
                weights = outcome.weights.abs().expand(len(part), -1)
                share = weights[:, : self.copies].sum(1) / weights.sum(1)
            parts.append(torch.stack([distance.where(distance > floor, 0.0), progress, share]))
        distance, progress, share = torch.cat(parts, 1)
        return Measures(distance, progress, None if bool(share.isnan().all()) else share)

    def row(self, base: Tensor, direction: Tensor, strength: float) -> Tensor:
        """Return base + strength direction: (d,), in the type of the rows."""
        return (base + strength * direction).to(self.matrix.dtype)

    def _measure(self, row: Tensor) -> tuple[float, float, float]:
        """Return distance, progress and share for copies of a row, NaN for what there is not."""
        nothing = float("nan")
        if not float(row.abs().max()) <= largest(row.dtype):
            return nothing, nothing, nothing
        outcome = self.outcome(row)
        value = outcome.value.double()
        if not bool(value.isfinite().all()):
            return nothing, nothing, nothing
        distance = float(torch.linalg.vector_norm(value - self.mean))
        if distance <= ROUNDING * (self.squared_mean**0.5 + self.radius):
            distance = 0.0
        progress = float(value @ self.mean) / self.squared_mean if self.squared_mean else 0.0
        share = outcome.share(self.copies)
        return distance, progress, nothing if share is None else share


def largest(dtype: torch.dtype) -> float:
    """Return the largest entry that rows of this type may have."""
    return torch.finfo(dtype).max if dtype == torch.float32 else LARGEST * (1 - ROUNDING)
