from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.errors import check, check_choice, check_number
from ..core.rows import Rows
from .base import WeightedRule


@dataclass(frozen=True, kw_only=True)
class Mean(WeightedRule):
    """Average all rows: no defence, and the baseline for damage.

    weights: `equal`, or `examples`, the number of training examples that each client claims. cap: no client has more
    than cap/n of that weight before the weights are brought to the sum 1 again, as the claims are not checked (Portnoy,
    Tirosh and Hendler, 2022, truncate them likewise); None means no cap.

    >>> Mean()(torch.tensor([[0.0], [1.0], [5.0]]), f=0)
    tensor([2.])
    """

    key: ClassVar[str] = "mean"
    title: ClassVar[str] = "mean"
    baseline: ClassVar[bool] = True
    monotone: ClassVar[bool] = True
    source: ClassVar[str] = "McMahan et al., AISTATS 2017"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"flower": {"weights": "examples"}}
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {"fedavg": {}}
    late_check: ClassVar[bool] = True
    isometric: ClassVar[bool] = True
    batched: ClassVar[str] = "span"
    weights: str = "equal"  # type: ignore[assignment]  # the option, in place of the method
    cap: float | None = None

    def __post_init__(self) -> None:
        check_choice("weights", self.weights, ("equal", "examples"))
        if self.cap is not None:
            check_number("cap", self.cap, above=0)
            check(self.weights == "examples", "cap is a bound on the weights by examples: it needs weights=examples")

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset({"examples"} if self.weights == "examples" else ())

    def weigh(self, rows: Rows, f: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Any]]:
        if self.weights == "examples":
            return shares_of_examples(rows, self.cap), {}
        return torch.full(rows.shape, 1 / rows.n, dtype=torch.float64, device=rows.updates.device), {}

    def kappa_bound(self, n: int, f: int) -> float:
        """Return 0 for f = 0 and equal weights, else infinity: one Byzantine row moves the mean to any point."""
        return math.inf if f or self.weights == "examples" else 0.0


def shares_of_examples(rows: Rows, cap: float | None = None) -> Tensor:
    """Return the shares of the clients in the examples that they claim: (n,), float64; InputError if they are none.

    cap: each is at most cap/n before they are divided by their sum; None means no cap.
    """
    assert rows.round.examples is not None
    examples = rows.round.examples.to(rows.updates.device, torch.float64)
    good = bool((examples >= 0).all()) and 0 < float(examples.sum()) < math.inf
    check(good, "the example counts must be at least 0, and one of them above 0")
    shares = examples / examples.sum()
    if cap is None:
        return shares
    capped = shares.clamp(max=cap / rows.n)
    return capped / capped.sum()
