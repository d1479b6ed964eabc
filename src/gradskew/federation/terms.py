"""The linear terms of a step of local training, which make FedProx, SCAFFOLD and gradient ascent out of plain SGD."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Terms:
    """The linear terms of a client's steps: its clipped gradient g becomes scale g + mu (w - w^t) + offset.

    Momentum and weight decay follow, as in plain SGD. offset: (d,), None for 0. The defaults are plain SGD.
    """

    scale: float = 1.0
    mu: float = 0.0
    offset: Tensor | None = None

    @property
    def plain(self) -> bool:
        """Whether nothing is added."""
        return self.scale == 1 and self.mu == 0 and self.offset is None


PLAIN = Terms()


@dataclass(frozen=True)
class Stacked:
    """The terms of k clients in a round: a step is m <- momentum m + scales g + decays w + offsets.

    scales, decays (k, 1): decays are weight decay + mu. offsets (k, d), or (1, d) for all clients: offset - mu w^t.
    """

    scales: Tensor
    decays: Tensor
    offsets: Tensor

    def of(self, group: slice) -> Stacked:
        """Return the terms of some of the clients."""
        offsets = self.offsets if len(self.offsets) == 1 else self.offsets[group]
        return Stacked(self.scales[group], self.decays[group], offsets)


def stack(terms: Sequence[Terms], params: Tensor, weight_decay: float) -> Stacked | None:
    """Return the terms of clients that start at the parameters w^t (d,); None if nothing is added for any of them."""
    if all(each.plain for each in terms):
        return None
    scales = params.new_tensor([[each.scale] for each in terms])
    decays = params.new_tensor([[weight_decay + each.mu] for each in terms])
    mus = {each.mu for each in terms}
    if len(mus) == 1 and all(each.offset is None for each in terms):
        return Stacked(scales, decays, params[None] * -mus.pop())
    offsets = torch.stack([params.new_zeros(len(params)) if each.offset is None else each.offset for each in terms])
    if any(mus):
        offsets.addcmul_(params[None], params.new_tensor([[-each.mu] for each in terms]))
    return Stacked(scales, decays, offsets)
