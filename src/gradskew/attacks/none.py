from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .base import Attack, Context, check_both


@dataclass(frozen=True, kw_only=True)
class NoAttack(Attack):
    """The Byzantine clients behave: their own rows, unchanged. The reference for damage.

    >>> NoAttack()(torch.zeros(3, 1), torch.ones(1, 1))
    tensor([[1.]])
    """

    key: ClassVar[str] = "none"

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
        return own
