"""Local optimisers: the step of a client in local training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..core.errors import check
from ..core.names import Named
from ..core.options import check_options, option

if TYPE_CHECKING:  # the command line reads the options, and does not wait for torch
    from torch import Tensor

    from .terms import Stacked


@dataclass(frozen=True, kw_only=True)
class SGD(Named):
    """Local training by SGD with momentum: `epochs` passes over the client's data, or `local_steps` steps.

    The steps take the batches of one pass in shuffled order, then those of the next. The momentum starts at 0 in each
    round. clip: bound on the norm of a gradient, applied before weight decay is added (as torch's clip_grad_norm_ and
    SGD do); None means no clipping.
    """

    key: ClassVar[str] = "sgd"
    epochs: int = option(1, at_least=1, help="Local epochs in a round.")
    batch: int = option(128, at_least=1, help="Batch size of local training.")
    lr: float = option(0.1, above=0, help="Local learning rate.")
    momentum: float = option(0.9, at_least=0, below=1, help="Local momentum.")
    weight_decay: float = option(1e-4, at_least=0, help="Local weight decay. Default 1e-4.")
    clip: float | None = option(2.0, above=0, help="Bound on a local gradient's norm. Default 2.")
    local_steps: int | None = option(None, at_least=1, help="Local steps in a round, in place of epochs.")

    def __post_init__(self) -> None:
        check_options(self)
        both = f"local_steps = {self.local_steps} and epochs = {self.epochs} are both given: a round has one of them"
        check(self.local_steps is None or self.epochs == 1, both)

    def step(self, params: Tensor, grads: Tensor, momenta: Tensor, terms: Stacked | None = None) -> None:
        """Update params and momenta of k clients in place by one step; params, grads and momenta are (k, d).

        m <- momentum m + g + decay w, w <- w - lr m, with the clipped gradient g; terms: what is added to that. By a
        compiled kernel where `core.rows.wide` says so, by torch's operators elsewhere.
        """

        from ..core.rows import wide

        if all(map(wide, (params, grads, momenta))):
            from .sgd_kernel import sgd_step, sgd_step_with

            rates = {"lr": self.lr, "momentum": self.momentum}
            if terms is None:
                sgd_step(params, grads, momenta, **rates, weight_decay=self.weight_decay, clip=self.clip)
            else:
                sgd_step_with(terms, params, grads, momenta, **rates, clip=self.clip)
            return
        factors = None if self.clip is None else _clip_factors(grads, self.clip)
        if terms is not None:
            factors = terms.scales if factors is None else factors * terms.scales
        momenta.mul_(self.momentum)
        if factors is None:
            momenta.add_(grads)
        else:
            momenta.addcmul_(grads, factors)
        if terms is None:
            momenta.add_(params, alpha=self.weight_decay)
        else:
            momenta.addcmul_(params, terms.decays).add_(terms.offsets)
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
