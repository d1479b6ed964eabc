"""Measures on a round: the skew of the honest replies, the strategy's result, and the results of rules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..aggregators import Aggregator, Outcome
from ..core.randomness import generator
from ..core.rows import Rows
from ..skew import Skew, digits, kappa, look, selection
from .interface import log
from .weights import recover_weights


@dataclass(frozen=True)
class Scene:
    """A round as the strategy got it and what it made of it.

    number: of the round, from 1. rows (n, d): Byzantine ones first, at least one honest. nodes: ids of the rows.
    byzantine: how many rows are. known: the honest rows with what the attack computed on them, if it did. step (d,):
    what the strategy subtracted from the model, None if it gave none. weights (n,): as the strategy reports them.
    """

    number: int
    rows: Tensor
    nodes: Sequence[int]
    byzantine: int
    known: Rows | None
    step: Tensor | None
    weights: Tensor | None

    def honest_mean(self) -> Tensor:
        """Return the mean of the honest rows: (d,) float64."""
        weights = torch.zeros(len(self.rows), dtype=torch.float64)
        weights[self.byzantine :] = 1 / (len(self.rows) - self.byzantine)
        return Rows(self.rows).combine(weights, dtype=torch.float64)


@dataclass
class Meter:
    """Measures rounds, for the strategy and for rules on the same rows. failed: the rules that raised."""

    rules: Sequence[Aggregator]
    seed: int
    failed: set[str] = field(default_factory=set)

    def measure(self, scene: Scene) -> tuple[dict[str, Any], Skew]:
        """Return a JSON object and the skew of the honest rows.

        `lens` is that of a record, on the strategy; `rules` has the same in short for each rule, None for one that
        raises. Weights that the strategy does not report are computed from its step, if that is an average of the rows.
        """
        mean, rows = scene.honest_mean(), Rows(scene.rows)
        b, n, step, weights = scene.byzantine, len(scene.rows), scene.step, scene.weights
        value = torch.full_like(mean, math.nan) if step is None else step
        if step is not None and weights is None:
            weights = recover_weights(step, rows)
        outcome = Outcome(value, weights, {}, rows)
        skew, lens = look(scene.rows, scene.nodes, b, outcome, scene.known, distance=_distance(value, mean), bound=None)
        results = {rule.name: self._try(scene, rule, mean, skew.spread) for rule in self.rules}
        share = outcome.share(b)
        return {"rows": n, "byzantine_rows": b, "byzantine_share": share, "lens": lens, "rules": results}, skew

    def _try(self, scene: Scene, rule: Aggregator, mean: Tensor, spread: float) -> dict[str, Any] | None:
        """Measure a rule whose f is the number of Byzantine rows, or the most that it tolerates."""
        try:
            f = min(scene.byzantine, rule.max_f(len(scene.rows)))
            outcome = rule.explain(scene.rows, f, generator=generator(self.seed, "rule", scene.number))
            value = kappa(_distance(outcome.value, mean), spread)
            share, (selected, shut_out) = outcome.share(scene.byzantine), selection(outcome.weights, scene.byzantine)
        except Exception as error:  # a user's own rule may fail in any way: it is only measured here
            if rule.name not in self.failed:
                self.failed.add(rule.name)
                log.warning("RedTeam: the rule %s fails, and is not measured: %s", rule.name, error)
            return None
        return {
            "f": f,
            "kappa": None if value is None else digits(value),
            "byzantine_share": None if share is None else digits(share),
            "selected": selected,
            "shut_out": None if shut_out is None else len(shut_out),
        }


def _distance(value: Tensor, mean: Tensor) -> float | None:
    distance = float(torch.linalg.vector_norm(value.double() - mean))
    return distance if math.isfinite(distance) else None
