from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ..core.errors import STRENGTH, check_number
from .base import Attack, Forgery, View
from .steps import as_row, last_step


@dataclass(frozen=True, kw_only=True)
class Replay(Attack):
    """Send the server's last step again, (w^{t-1} - w^t) / rate: a client that does no work (lazy worker, free rider).

    0 in the first round, and without a context. noise: the deviation of Gaussian noise, drawn for each client.

    >>> Replay()(torch.zeros(0, 2), torch.ones(1, 2))
    tensor([[0., 0.]])
    """

    key: ClassVar[str] = "replay"
    title: ClassVar[str] = "replay"
    source: ClassVar[str] = "Fraboni et al., AISTATS 2021"
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {"lazy_worker": {}, "free_rider": {}}
    needs: ClassVar[str] = "nothing"
    needs_models: ClassVar[bool] = True
    noise: float = 0.0

    def __post_init__(self) -> None:
        check_number("noise", self.noise, at_least=0, at_most=STRENGTH)

    def extra_rows(self, f: int) -> int:
        return f if self.noise else 0

    def forge(self, view: View) -> Forgery:
        own, step = view.own.updates, last_step(view)
        row = own.new_zeros(view.own.d) if step is None else as_row(step, own)
        if not self.noise:
            return Forgery(row.expand(view.f, -1))
        draws = torch.randn(view.f, view.own.d, generator=view.generator, dtype=own.dtype).to(own.device)
        return Forgery(draws.mul_(self.noise).add_(row))
