"""Steps that attacks share: models of the rounds as rows, rows scaled or cut, and the rule at the end of a pipeline."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..core.given import largest_entry
from ..core.rows import Rows
from .base import View


def padded(vector: Tensor, row: Tensor) -> Tensor:
    """Return a vector of parameters with zeros for the buffers that a row (d,) has after them."""
    return torch.cat([vector, row.new_zeros(len(row) - len(vector), dtype=vector.dtype)])


def model(view: View, origin: Tensor | None = None) -> Tensor:
    """Return the row (d,), float64, that takes the model from w^t to 0, or to the origin: (w^t - origin) / rate."""
    assert view.context is not None
    own = view.own.updates
    change = view.context.params.to(own.device).double()
    if origin is not None:
        change = change - origin.to(own.device).double()
    return padded(change / view.context.rate, own[0])


def last_step(view: View) -> Tensor | None:
    """Return the last step of the server, (w^{t-1} - w^t) / rate: a row (d,), float64. None in the first round."""
    if view.context is None or view.context.previous is None:
        return None
    own = view.own.updates
    previous, params = (each.to(own.device).double() for each in (view.context.previous, view.context.params))
    return padded((previous - params) / view.context.rate, own[0])


def as_row(value: Tensor, rows: Tensor) -> Tensor:
    """Return a float64 vector or matrix in the type of the rows, with entries cut where that type would overflow."""
    bound = largest_entry(rows.dtype)
    return value.clamp(-bound, bound).to(rows.dtype)


def scaled(rows: Rows, factor: float) -> Tensor:
    """Return rows times a factor, computed in float64: (n, d), in the type of the rows."""
    result = torch.empty_like(rows.updates)
    for part, block in rows.blocks():
        result[:, part] = factor * block
    return result


def last_rule(rule: Any) -> Any:
    """Return the rule at the end of a pipeline, also of one that an attack was given to try."""
    while hasattr(rule, "rule"):
        rule = rule.rule
    return rule
