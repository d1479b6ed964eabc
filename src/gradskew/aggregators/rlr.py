from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.errors import check_choice, check_number
from ..core.rows import Rows
from ..core.tries import SampledTries
from .base import Aggregator, Outcome


@dataclass(frozen=True, kw_only=True)
class RLR(Aggregator):
    """Robust learning rate: average the rows, with the opposite sign in the columns in which they disagree.

    In column k the aggregate is mean_k, or -mean_k where |sum_i sign(g_ik)| < theta.

    theta: None means 2 f, so that f = 0 gives the mean. vote: the majority's sign times `scale` in each column (signSGD
    with majority vote, Bernstein et al. 2019). scale: None means the mean absolute entry of all rows.

    >>> rows = torch.tensor([[1.0, -1.0, 2.0], [2.0, -1.0, 1.0], [3.0, 1.0, -1.0], [1.0, -5.0, 0.0]])
    >>> RLR(theta=3)(rows, f=1)
    tensor([ 1.7500,  1.5000, -0.5000])
    """

    key: ClassVar[str] = "rlr"
    title: ClassVar[str] = "RLR"
    source: ClassVar[str] = "Ozdayi, Kantarcioglu and Gel, AAAI 2021"
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {"signsgd": {"vote": True}}
    titles: ClassVar[Mapping[str, str]] = {"signsgd": "signSGD"}
    theta: float | None = None
    vote: bool = False
    scale: float | None = None

    def __post_init__(self) -> None:
        if self.theta is not None:
            check_number("theta", self.theta, at_least=0)
        check_choice("vote", self.vote, (True, False))
        if self.scale is not None:
            check_number("scale", self.scale, above=0)

    @property
    def batched(self) -> str:  # type: ignore[override]
        return "" if self.vote else "columns"

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        if self.vote:
            return Outcome(self._vote(rows))
        theta = 2 * f if self.theta is None else self.theta
        if isinstance(rows, SampledTries):
            return Outcome(_mean_or_opposite(rows.entries.movedim(-2, 0), theta)[0])
        value, flipped = rows.updates.new_empty(rows.d), 0
        for part, block in rows.blocks():
            value[part], against = _mean_or_opposite(block, theta)
            flipped += int(against.sum())
        return Outcome(value, None, {"flipped": flipped / rows.d})

    def _vote(self, rows: Rows) -> Tensor:
        """Return the majority's sign times the scale in each column: (d,)."""
        value, total = rows.updates.new_empty(rows.d), 0.0
        for part, block in rows.blocks():
            value[part] = block.sign().sum(0).sign()
            total += float(block.abs().mean(0).sum())
        return value * (total / rows.d if self.scale is None else self.scale)

    def kappa_bound(self, n: int, f: int) -> float:
        """Return infinity: the aggregate may have the opposite sign of equal honest rows."""
        return math.inf if f or self.vote or self.theta else 0.0


def _mean_or_opposite(block: Tensor, theta: float) -> tuple[Tensor, Tensor]:
    """Return the aggregate of a block (n, ...) and where it is the opposite of the mean: (...) each."""
    against = block.sign().sum(0).abs() < theta
    return block.mean(0) * torch.where(against, -1.0, 1.0), against
