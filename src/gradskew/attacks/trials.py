"""Trials of the server's rule: what it would make of copies of a forged row."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..core.given import largest_entry
from ..core.span import Span
from .answers import Answer, Objective
from .base import View
from .queries import Queries
from .tried_rule import known_rule, scaled_f, vectors_of

FAR = 1e4  # times the distance of the farthest honest row
ROUNDING = 2.0**-23  # of the aggregate: distances below this share of the rows' length are 0


class Trials:
    """The server's rule on the known honest rows behind f' copies of a forged row, in any number of trials.

    How many copies, and what the rule is told: `scaled_f`. Every trial draws from a new generator with seed 0:
    the server's draws are not known. mean: of the known honest rows (d,), float64. radius: the distance of the farthest
    of them from it.
    """

    def __init__(self, view: View):
        assert view.context is not None
        self.honest, self.rule = view.honest, view.context.rule
        self.copies, self.f = scaled_f(view, view.context.rule, view.context.f)
        self.mean = view.honest.mean(torch.float64)
        self.radius = float(view.honest.squared_distances_to(self.mean).max().sqrt())
        self.failed = 0

    def answer(self, row: Tensor) -> Answer:
        """Return the answer of the rule to copies of a finite row (d,)."""
        matrix = torch.cat([row.to(self.honest.updates.dtype).expand(self.copies, -1), self.honest.updates])
        outcome = self.rule.explain(matrix, self.f, generator=torch.Generator().manual_seed(0))
        weights = None if outcome.weights is None else outcome.weights[None]
        return Answer(outcome.value.double()[None], self.mean, weights, self.copies)

    def along(self, direction: Tensor) -> Callable[[Sequence[float], Objective], list[float]]:
        """Return a function of strengths and an objective: its value for copies of mean + strength direction, for each.

        direction: (d,), float64. -inf where the rule fails, where the aggregate is not finite, and where a
        row may not be.
        """
        span = Span(self.honest, [self.mean, direction, *vectors_of(self.rule)], mean=self.mean)
        queries = Queries(span, self.rule, self.f, self.copies)
        room = largest_entry(self.honest.updates.dtype) - float(self.mean.abs().max())
        longest = float(room / direction.abs().max())  # beyond it an entry of a row may overflow

        def ask(strengths: Sequence[float], objective: Objective) -> list[float]:
            steps = torch.tensor(strengths, dtype=torch.float64)
            scores, sendable = torch.full_like(steps, -math.inf), steps.abs() <= longest
            if sendable.any():
                points = span.vector(0) + steps[sendable, None] * span.vector(1)
                scores[sendable] = queries.scores(points.unsqueeze(1).expand(-1, self.copies, -1), objective)
            self.failed = queries.failed
            return scores.tolist()

        return ask

    def distance(self, answer: Answer) -> Tensor:
        """Return |R - m| of the tries (P,), 0 where it is rounding."""
        distance = answer.distance()
        floor = ROUNDING * (float(torch.linalg.vector_norm(self.mean)) + self.radius)
        return torch.where(distance <= floor, 0.0, distance)  # NaN stays

    def row(self, direction: Tensor, strength: float) -> Tensor:
        """Return mean + strength direction: (d,), in the type of the rows."""
        return (self.mean + strength * direction).to(self.honest.updates.dtype)


def turned(view: View, u: Tensor) -> Tensor | None:
    """Return -u, but u in columns where only far rows along u move the aggregate against u, and 0 where none do: (d,).

    A rule that votes on signs, such as `rlr`, turns columns round. None for a rule that is not per coordinate, for one
    that far rows along -u do not move beyond the honest ones, and for one that they move against u in all columns.
    """
    assert view.context is not None
    rule, _ = known_rule(view.context.rule, 0)
    if rule.batched != "columns" or rule.monotone or not u.any():
        return None
    trials, steps = Trials(view), []
    for direction in (-u, u):
        row = trials.row(direction / torch.linalg.vector_norm(u), FAR * trials.radius)
        try:
            steps.append(trials.answer(row).values[0] - trials.mean)
        except Exception:  # of a user's rule: the search goes on without
            return None
        if torch.linalg.vector_norm(steps[0]) <= trials.radius:
            return None
    against = [step * u < 0 for step in steps]
    signs = torch.where(against[0], -1.0, torch.where(against[1], 1.0, 0.0))
    return None if against[0].logical_or(u == 0).all() else signs * u
