from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import Attack, Forgery, View


@dataclass(frozen=True, kw_only=True)
class NoAttack(Attack):
    """Send the Byzantine clients' own rows unchanged: the baseline for damage.

    >>> import torch
    >>> NoAttack()(torch.zeros(3, 1), torch.ones(1, 1))
    tensor([[1.]])
    """

    key: ClassVar[str] = "none"
    title: ClassVar[str] = "no attack"
    needs: ClassVar[str] = "own"

    def forge(self, view: View) -> Forgery:
        return Forgery(view.own.updates)
