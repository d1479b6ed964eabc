from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ..core.columns import moments
from ..core.errors import STRENGTH, check_choice, check_number
from .base import Attack, Forgery, View


@dataclass(frozen=True, kw_only=True)
class Gaussian(Attack):
    """Send noise: row = base + mu + sigma e with e ~ N(0, I), drawn for each Byzantine client.

    sigma: a number in the units of the rows, where 1 is enormous for a network's updates of 1e-3, or `std`, the
    deviation of the known honest rows in each coordinate. around: the base, `zero`, the client's `own` row, or the
    `mean` of the known honest rows. same: whether all clients send one draw, as in ByzFL and ByzPy.

    >>> Gaussian(mu=2, sigma=0)(torch.zeros(3, 2), torch.ones(1, 2))
    tensor([[2., 2.]])
    """

    key: ClassVar[str] = "gaussian"
    title: ClassVar[str] = "Gaussian"
    source: ClassVar[str] = "Blanchard et al., NeurIPS 2017"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"byzfl": {"same": True}, "byzpy": {"same": True}}
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {"noise": {}}
    mu: float = 0.0
    sigma: float | str = 1.0
    around: str = "zero"
    same: bool = False

    def __post_init__(self) -> None:
        check_number("mu", self.mu, at_least=-STRENGTH, at_most=STRENGTH)
        if self.sigma != "std":
            check_number("sigma", self.sigma, at_least=0, at_most=STRENGTH)
        check_choice("around", self.around, ("zero", "own", "mean"))
        check_choice("same", self.same, (True, False))

    @property
    def needs(self) -> str:  # type: ignore[override]
        if self.around == "mean" or self.sigma == "std":
            return "honest"
        return "own" if self.reads_own else "nothing"

    @property
    def reads_own(self) -> bool:
        return self.around == "own"

    def extra_rows(self, f: int) -> int:
        return (1 if self.same else f) + (f if self.reads_own else 0)

    def forge(self, view: View) -> Forgery:
        own, count = view.own.updates, 1 if self.same else view.f
        rows = torch.randn(count, view.own.d, generator=view.generator, dtype=own.dtype).to(own.device)
        if isinstance(self.sigma, str):
            for part, block in view.honest.blocks():
                rows[:, part] *= moments(block)[1]
        else:
            rows *= self.sigma
        rows += self.mu
        if self.around != "zero":
            rows = own + rows if self.reads_own else rows.add_(view.honest.mean())
        return Forgery(rows.expand(view.f, -1))
