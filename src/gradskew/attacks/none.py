from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

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
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {"no_attack": {}}
    needs: ClassVar[str] = "own"

    def forge(self, view: View) -> Forgery:
        return Forgery(view.own.updates)
