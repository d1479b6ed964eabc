"""The measures of each round of a run: the skew of the honest rows, the rule's kappa and the rows that it selects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ..aggregators import Outcome
from ..core.rows import Rows
from .measures import Skew, digits, kappa, progress, skew_of

EVEN = 0.5  # a row with less than this part of an even share of the weight is shut out


def look(
    rows: Rows,
    honest: Rows,
    clients: Sequence[int],
    outcome: Outcome,
    *,
    distance: float | None,
    bound: float | None,
) -> tuple[Skew, dict[str, Any]]:
    """Return the skew of the honest rows, and a JSON object with the measures of a round for the record.

    rows: the n rows that the rule aggregated, Byzantine ones first. honest: the honest rows, at least one. Distances
    that the rule computed on `rows`, or the attack on `honest`, are reused. clients: the ids of all rows. outcome: of
    the rule. distance: of the aggregate from the honest mean; None if the aggregate is not finite. bound: the rule's
    theoretical kappa. Without a Byzantine row, the skew is measured for f = floor(n / 5).
    """
    byzantine = rows.n - honest.n
    skew = skew_of(honest, rows if rows.has_gram else honest, byzantine or rows.n // 5, rows.n)
    selected, shut_out = selection(outcome.shares, byzantine)
    return skew, {
        **skew.to_json(),
        "kappa": _to_json(kappa(distance, skew.spread)),
        "kappa_bound": _to_json(bound),
        "progress": None if distance is None else _to_json(progress(outcome.value, honest.once(Rows.mean))),
        "selected": _to_json(selected),
        "shut_out": None if shut_out is None else [clients[byzantine + i] for i in shut_out],
    }


def _to_json(value: float | None) -> float | str | None:
    """Return a number rounded for a record; infinity as text, which JSON lacks; None for None and NaN."""
    if value is None or math.isnan(value):
        return None
    return digits(value) if math.isfinite(value) else str(value)


def selection(shares: Tensor | None, byzantine: int) -> tuple[float | None, list[int] | None]:
    """Return the share of the Byzantine rows that a rule selects, and the indices of the honest rows that it does not.

    A row is selected with at least half of an even share, 1 / (2 n). shares: those of `Outcome`, (n,), Byzantine rows
    first. The share is None without Byzantine rows; the indices count from the first honest row. Both
    are None for a rule without row weights.
    """
    if shares is None:
        return None, None
    chosen = (shares >= EVEN / len(shares)).cpu()
    shut_out = (~chosen[byzantine:]).nonzero()[:, 0].tolist()
    return float(chosen[:byzantine].double().mean()) if byzantine else None, shut_out
