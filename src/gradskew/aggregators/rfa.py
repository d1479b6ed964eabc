from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core import columns
from ..core.errors import check, check_choice, check_number
from ..core.rows import Rows
from .base import WeightedRule
from .mean import shares_of_examples


@dataclass(frozen=True, kw_only=True)
class RFA(WeightedRule):
    """Approximate the geometric median of the rows by smoothed Weiszfeld steps.

    v <- sum_i w_i g_i / sum_i w_i with w_i = p_i / max(nu, |g_i - v|), `steps` times. shares: `equal`, p_i = 1/n, or
    `examples`, the client's share of the training examples, as the clients claim them. cap: with `examples`, no p_i is
    above cap/n before all are divided by their sum; None means no cap.

    start: the first v, `mean` (by p), `median` (coordinate-wise, as in ByzPy) or `zero` (as in ByzFL, with 3 steps and
    nu = 0.1). tol: stop once a step moves v by at most tol; None means never. After a fixed number of steps huge rows
    keep their influence: f rows of 1e30 still move the result after 8 steps.

    >>> RFA()(torch.tensor([[0.0], [0.0], [3.0]]), f=1)  # converges to 0
    tensor([0.0058])
    """

    key: ClassVar[str] = "rfa"
    title: ClassVar[str] = "RFA"
    source: ClassVar[str] = "Pillutla et al., 2019 (IEEE TSP 2022)"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "byzfl": {"start": "zero", "steps": 3, "nu": 0.1},
        "byzpy": {"start": "median", "steps": 256, "tol": 1e-6, "nu": 1e-12},
    }
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {"geometric_median": {}, "geomed": {}}
    start: str = "mean"
    steps: int = 8
    nu: float = 1e-7
    tol: float | None = None
    shares: str = "equal"
    cap: float | None = None

    def __post_init__(self) -> None:
        check_choice("shares", self.shares, ("equal", "examples"))
        check_choice("start", self.start, ("mean", "zero", "median"))
        check_number("steps", self.steps, at_least=1, whole=True)
        check_number("nu", self.nu, at_least=1e-300)
        if self.tol is not None:
            check_number("tol", self.tol, at_least=0)
        if self.cap is not None:
            check_number("cap", self.cap, above=0)
            check(self.shares == "examples", "cap is a bound on the shares of the examples: it needs shares=examples")

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset({"examples"} if self.shares == "examples" else ())

    @property
    def isometric(self) -> bool:  # type: ignore[override]
        return self.start != "median"

    @property
    def batched(self) -> str:  # type: ignore[override]
        return "span" if self.tol is None and self.start != "median" else ""

    def weigh(self, rows: Rows, f: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Any]]:
        weights = torch.full(rows.shape, 1 / rows.n, dtype=torch.float64, device=rows.updates.device)
        shares = None
        if self.shares == "examples":
            shares = weights = shares_of_examples(rows, self.cap).expand(rows.shape)
        for step in range(self.steps):
            if step == 0 and self.start == "zero":
                squares = rows.squared_distances_to(None)
            elif step == 0 and self.start == "median":
                squares = rows.squared_distances_to(columns.median(rows, dtype=torch.float64))
            else:
                squares = rows.squared_distances_to_mean(weights)
            before, weights = weights, 1 / squares.sqrt().clamp(min=self.nu)
            weights = weights if shares is None else weights * shares
            weights = weights / weights.sum(-1, keepdim=True)
            if self.tol is not None and (step or self.start == "mean"):
                moved = weights - before
                if float(moved @ rows.gram @ moved) <= self.tol**2:
                    break
        return weights, {} if self.tol is None else {"steps": step + 1}
