"""What is measured on a round: the skew of the honest replies, what the strategy made of all, what rules would have."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..aggregators import Aggregator, Outcome
from ..core.randomness import generator
from ..core.rows import Rows
from ..skew import Skew, digits, kappa, look, selection
from .weights import recovered


@dataclass(frozen=True)
class Scene:
    """The rows (n, d) that the strategy is given, Byzantine ones first, with their nodes; at least one is honest.

    known: what the attack computed on the honest rows, if it did.
    """

    rows: Tensor
    nodes: Sequence[int]
    byzantine: int
    known: Rows | None

    def honest_mean(self) -> Tensor:
        weights = torch.zeros(len(self.rows), dtype=torch.float64)
        weights[self.byzantine :] = 1 / (len(self.rows) - self.byzantine)
        return Rows(self.rows).combine(weights, dtype=torch.float64)


def measured(
    scene: Scene,
    step: Tensor | None,
    weights: Tensor | None,
    rules: Sequence[Aggregator],
    seed: int,
    round: int,
    failed: Callable[[str, Exception], None],
) -> tuple[dict[str, Any], Skew]:
    """A JSON object: `lens`, as a record of the bench has it, on the strategy; `rules`, the same in short for each.

    step: what the strategy took off the model, (d,), None if nothing came out. weights: those that it says it gave;
    else they are found from the step, if it is an average of the rows. failed: told of each rule that raises, which has
    None in `rules`.
    """
    mean, rows = scene.honest_mean(), Rows(scene.rows)
    b, n = scene.byzantine, len(scene.rows)
    value = torch.full_like(mean, math.nan) if step is None else step
    if step is not None and weights is None:
        weights = recovered(step, rows)
    outcome, honest = Outcome(value, weights), scene.known or Rows(scene.rows[b:])
    skew, lens = look(rows, honest, scene.nodes, outcome, distance=_distance(value, mean), bound=None)
    tried: dict[str, dict[str, float | int | None] | None] = {}
    for rule in rules:
        try:
            tried[rule.name] = _tried(scene, rule, mean, skew.spread, seed, round)
        except Exception as error:  # a user's own rule may fail in any way: it is only measured here
            tried[rule.name] = None
            failed(rule.name, error)
    return {"rows": n, "byzantine_rows": b, "byzantine_share": outcome.share(b), "lens": lens, "rules": tried}, skew


def _tried(
    scene: Scene, rule: Aggregator, mean: Tensor, spread: float, seed: int, round: int
) -> dict[str, float | int | None]:
    """What a rule, told how many rows are Byzantine or as many as it tolerates, makes of the rows."""
    told = min(scene.byzantine, rule.max_f(len(scene.rows)))
    outcome = rule.explain(scene.rows, told, generator=generator(seed, "rule", round))
    value = kappa(_distance(outcome.value, mean), spread)
    share, (selected, shut_out) = outcome.share(scene.byzantine), selection(outcome.weights, scene.byzantine)
    return {
        "f": told,
        "kappa": None if value is None else digits(value),
        "byzantine_share": None if share is None else digits(share),
        "selected": selected,
        "shut_out": None if shut_out is None else len(shut_out),
    }


def _distance(value: Tensor, mean: Tensor) -> float | None:
    distance = float(torch.linalg.vector_norm(value.double() - mean))
    return distance if math.isfinite(distance) else None
