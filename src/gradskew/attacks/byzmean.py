from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from .base import Attack, Forgery, View
from .lie import LIE
from .steps import as_row


@dataclass(frozen=True, kw_only=True)
class ByzMean(Attack):
    """Make the plain mean of all rows the row of `lie`, with two groups of Byzantine clients.

    floor(f / 2) = m1 clients send g1, the row of `lie` with these options; the other m2 = f - m1 send
    g2 = ((n - m1) g1 - sum of the honest rows) / m2, where that sum is (n - f) times the mean of the known ones.

    z, sign, ddof: as in `LIE`; SignGuard's code has z = 0.5 and sign = -1.

    >>> ByzMean(z=0.5)(torch.tensor([[1.0], [3.0]]), torch.zeros(2, 1))  # g1 = 2.5; the mean of the four rows is 2.5
    tensor([[2.5000],
            [3.5000]])
    """

    key: ClassVar[str] = "byzmean"
    title: ClassVar[str] = "ByzMean"
    source: ClassVar[str] = "Xu et al., ICDCS 2022"
    z: float | str | None = 1.5
    sign: int = 1
    ddof: int = 0

    def __post_init__(self) -> None:
        self._lie()

    def _lie(self) -> LIE:
        return LIE(z=self.z, sign=self.sign, ddof=self.ddof)

    def extra_rows(self, f: int) -> int:
        return f + 8  # rows, and a few float64 vectors

    @classmethod
    def idle(cls, name: str, notes: Sequence[Mapping[str, Any]]) -> str:
        return LIE.idle(name, notes)

    def forge(self, view: View) -> Forgery:
        first, notes = self._lie().row(view.honest, view.f, view.n)
        few = view.f // 2
        total = (view.n - view.f) * view.honest.mean(torch.float64)
        rows = torch.empty_like(view.own.updates)
        rows[:few] = first
        rows[few:] = as_row(((view.n - few) * first.double() - total) / (view.f - few), rows)
        return Forgery(rows, notes)
