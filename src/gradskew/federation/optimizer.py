"""Local optimisers: the step of a client in local training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..core.names import Named
from ..core.options import check_options, option

if TYPE_CHECKING:  # the command line reads the options, and does not wait for torch
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class SGD(Named):
    """Local training by SGD with momentum: `epochs` passes over the client's data.

    The momentum starts at 0 in each round. clip: bound on the norm of a gradient, applied before weight decay is added
    (as torch's clip_grad_norm_ and SGD do); None means no clipping.
    """

    key: ClassVar[str] = "sgd"
    epochs: int = option(1, at_least=1, help="Local epochs in a round.")
    batch: int = option(128, at_least=1, help="Batch size of local training.")
    lr: float = option(0.1, above=0, help="Local learning rate.")
    momentum: float = option(0.9, at_least=0, below=1, help="Local momentum.")
    weight_decay: float = option(1e-4, at_least=0, help="Local weight decay. Default 1e-4.")
    clip: float | None = option(2.0, above=0, help="Bound on a local gradient's norm. Default 2.")

    def __post_init__(self) -> None:
        check_options(self)

    def step(self, params: Tensor, grads: Tensor, momenta: Tensor) -> None:
        """Update params and momenta of k clients in place by one step; params, grads and momenta are (k, d).

        By a compiled kernel where `core.rows.wide` says so, by torch's operators elsewhere.
        """

        from ..core.rows import wide

        if all(map(wide, (params, grads, momenta))):
            from .sgd_kernel import sgd_step

            rates = {"lr": self.lr, "momentum": self.momentum, "weight_decay": self.weight_decay}
            sgd_step(params, grads, momenta, **rates, clip=self.clip)
            return
        momenta.mul_(self.momentum)
        if self.clip is None:
            momenta.add_(grads)
        else:
            momenta.addcmul_(grads, _clip_factors(grads, self.clip))
        momenta.add_(params, alpha=self.weight_decay)
        params.sub_(momenta, alpha=self.lr)


def _clip_factors(grads: Tensor, clip: float) -> Tensor:
    """Return the factors that bound the norms of gradients (k, d): (k, 1); NaN for a norm that is NaN."""
    import torch

    norms = torch.linalg.vector_norm(grads, dim=1, keepdim=True)
    factors: Tensor = (clip / (norms + 1e-6)).clamp_(max=1)
    finite = norms.isfinite()
    if not grads.is_cuda and bool(finite.all()):  # on a GPU the question would wait for the answer
        return factors
    norms = torch.linalg.vector_norm(grads, dim=1, keepdim=True, dtype=torch.float64)  # float32: inf from 1.8e19 on
    return torch.where(finite, factors, (clip / norms).clamp_(max=1).to(factors))
