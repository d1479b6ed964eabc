"""A user's own attack: a function of the honest rows, or an object such as ByzFL's attacks, by its path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..core.errors import check
from ..core.plugin import Plugin
from .base import Attack, Context, check_both


@dataclass(frozen=True, kw_only=True)
class UserAttack(Plugin, Attack):
    """A user's attack: called with the honest rows, and with f or `own` if it has parameters for them.

    It gets copies; it returns one row (d,), which all f clients send, or f rows (f, d).
    """

    kind: ClassVar[str] = "attack"

    def __call__(
        self,
        honest: Tensor,
        own: Tensor,
        *,
        n: int | None = None,
        generator: torch.Generator | None = None,
        context: Context | None = None,
    ) -> Tensor:
        check_both(honest, own, n)
        seed = 0 if generator is None else generator.initial_seed()
        sent = self.call(honest.detach().clone(), {"f": len(own), "own": own.detach().clone()}, seed)
        good = tuple(sent.shape) in ((own.shape[1],), tuple(own.shape))
        check(good, f"{self.name} returned the shape {tuple(sent.shape)}, not (d,) or (f, d) = {tuple(own.shape)}")
        return sent.expand(len(own), -1)
