"""Local optimisers: how a client takes a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..core.errors import check_number
from ..core.names import Named


@dataclass(frozen=True, kw_only=True)
class SGD(Named):
    """Local training: `epochs` passes over the client's own data by SGD.

    The momentum buffer is fresh in each round. clip: bound on the norm of a gradient, before weight decay is added (as
    torch's clip_grad_norm_ and SGD do); None means none.
    """

    key: ClassVar[str] = "sgd"
    epochs: int = 1
    batch: int = 128
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    clip: float | None = 2.0

    def __post_init__(self) -> None:
        check_number("epochs", self.epochs, at_least=1, whole=True)
        check_number("batch", self.batch, at_least=1, whole=True)
        check_number("lr", self.lr, above=0)
        check_number("momentum", self.momentum, at_least=0, below=1)
        check_number("weight_decay", self.weight_decay, at_least=0)
        if self.clip is not None:
            check_number("clip", self.clip, above=0)

    def step(self, params: Tensor, grads: Tensor, momenta: Tensor) -> None:
        """One step of k clients at once: params, grads and momenta are (k, d)."""
        if self.clip is not None:
            norms = torch.linalg.vector_norm(grads, dim=1, keepdim=True)
            grads.mul_((self.clip / (norms + 1e-6)).clamp_(max=1))
        grads.add_(params, alpha=self.weight_decay)
        momenta.mul_(self.momentum).add_(grads)
        params.sub_(momenta, alpha=self.lr)
