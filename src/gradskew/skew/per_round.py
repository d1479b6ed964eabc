"""What is measured in every round of a run: the skew of the honest rows, and what the rule made of all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..aggregators import Outcome
from ..core.rows import Rows
from .measures import Skew, digits, kappa, skew_of

EVEN = 0.5  # of an even share of the weight: a row with less is shut out


def look(
    rows: Rows,
    honest: Rows,
    clients: Sequence[int],
    outcome: Outcome,
    *,
    distance: float | None,
    bound: float | None,
) -> tuple[Skew, dict[str, Any]]:
    """Return the skew of the honest rows, and a JSON object with all that a record keeps of a round.

    rows: all that the rule was given, Byzantine ones first. honest: the others, at least one. What the rule computed on
    `rows`, or the attack on `honest`, is not computed again. clients: the ids of all rows. distance: of the aggregate
    from the honest mean, if there is one. bound: the rule's theoretical kappa. Without a Byzantine row, f is
    floor(n / 5).
    """
    byzantine = rows.n - honest.n
    source, first = (rows, byzantine) if rows.has_gram else (honest, 0)
    gram, distances = source.gram[first:, first:], source.squared_distances[first:, first:]
    skew = skew_of(honest, gram, distances, byzantine or rows.n // 5, rows.n)
    selected, shut_out = selection(outcome.weights, byzantine)
    return skew, {
        **skew.to_json(),
        "kappa": _kept(kappa(distance, skew.spread)),
        "kappa_bound": _kept(bound),
        "selected": _kept(selected),
        "shut_out": None if shut_out is None else [clients[byzantine + i] for i in shut_out],
    }


def _kept(value: float | None) -> float | str | None:
    """A number as a record keeps it: JSON has no word for infinity."""
    if value is None or math.isnan(value):
        return None
    return digits(value) if math.isfinite(value) else str(value)


def selection(weights: Tensor | None, byzantine: int) -> tuple[float | None, list[int] | None]:
    """Which rows got at least half of an even share of the absolute weight, 1 / (2 n).

    Returns the part of the Byzantine rows, which come first, that did, None without one; and the indices of the honest
    rows that did not, counted from the first honest one. Both are None for a rule that weighs no rows.
    """
    if weights is None:
        return None, None
    shares = weights.abs() / weights.abs().sum().clamp(min=torch.finfo(weights.dtype).tiny)
    chosen = (shares >= EVEN / len(shares)).cpu()
    shut_out = (~chosen[byzantine:]).nonzero()[:, 0].tolist()
    return float(chosen[:byzantine].double().mean()) if byzantine else None, shut_out
