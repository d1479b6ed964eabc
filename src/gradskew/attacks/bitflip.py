from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .base import Context
from .none import NoAttack


@dataclass(frozen=True, kw_only=True)
class BitFlip(NoAttack):
    """Each Byzantine client sends minus its own row.

    >>> BitFlip()(torch.zeros(3, 2), torch.tensor([[1.0, -2.0]]))
    tensor([[-1.,  2.]])
    """

    key: ClassVar[str] = "bitflip"
    source: ClassVar[str] = "Allen-Zhu et al., ICLR 2021"

    def __call__(
        self,
        honest: Tensor,
        own: Tensor,
        *,
        n: int | None = None,
        generator: torch.Generator | None = None,
        context: Context | None = None,
    ) -> Tensor:
        return -super().__call__(honest, own, n=n)
