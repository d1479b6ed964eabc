"""Measures on a round: the skew of the honest replies, the strategy's result, and the results of rules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..aggregators import Aggregator, Outcome
from ..core.randomness import generator
from ..core.rows import Rows
from ..skew import Skew, digits, kappa, look, selection
from .interface import log
from .rows import Layout
from .weights import recover_weights


@dataclass(frozen=True)
class Scene:
    """The usable rows of a round. What the attack computes on `honest` is not computed again to measure them.

    number: of the round, from 1. rows (n, d): Byzantine ones first. nodes: ids of the rows. byzantine: how many rows
    are. layout: of the round's model.
    """

    number: int
    rows: Tensor
    nodes: Sequence[int]
    byzantine: int
    layout: Layout

    @cached_property
    def honest(self) -> Rows:
        return Rows(self.rows[self.byzantine :])

    def honest_mean(self) -> Tensor:
        """Return the mean of the honest rows: (d,) float64."""
        return self.honest.mean(torch.float64)


@dataclass
class Meter:
    """Measures rounds, for the strategy and for rules on the same rows. failed: the rules that raised."""

    rules: Sequence[Aggregator]
    seed: int
    failed: set[str] = field(default_factory=set)

    def measure(self, scene: Scene, step: Tensor | None, weights: Tensor | None) -> tuple[dict[str, Any], Skew]:
        """Return a JSON object and the skew of the honest rows; there must be one.

        step (d,): what the strategy subtracted from the model, None if it gave none. weights (n,): as it reports them;
        without, they are computed from the step, if that is an average of the rows. `lens` of the result is that of a
        record, on the strategy; `rules` has the same in short for each rule, None for one that raises.
        """
        b, n, round = scene.byzantine, len(scene.rows), scene.layout.round(scene.number, scene.nodes)
        mean, rows = scene.honest_mean(), Rows(scene.rows, round=round)
        value = torch.full_like(mean, math.nan) if step is None else step
        if step is not None and weights is None:
            weights = recover_weights(step, rows)
        outcome = Outcome(value, weights)
        skew, lens = look(rows, scene.honest, scene.nodes, outcome, distance=_distance(value, mean), bound=None)
        results = {rule.name: self._try(scene, rows, rule, mean, skew.spread) for rule in self.rules}
        share = outcome.share(b)
        return {"rows": n, "byzantine_rows": b, "byzantine_share": share, "lens": lens, "rules": results}, skew

    def _try(self, scene: Scene, rows: Rows, rule: Aggregator, mean: Tensor, spread: float) -> dict[str, Any] | None:
        """Measure a rule whose f is the number of Byzantine rows, or the most that it tolerates."""
        try:
            f = min(scene.byzantine, rule.max_f(rows.n))
            outcome = rule.explain(rows, f, generator=generator(self.seed, "rule", scene.number))
            value = kappa(_distance(outcome.value, mean), spread)
            share, (selected, shut_out) = outcome.share(scene.byzantine), selection(outcome.shares, scene.byzantine)
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
