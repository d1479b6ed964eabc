"""What clients answer when the server asks for their losses at several models."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..aggregators.vote import elect
from ..data import Dataset
from ..models import Flat
from .gradient import BATCH
from .loss import Loss

WORSE = 1e30  # difference of the losses that a Byzantine client claims


class Votes:
    """The losses that clients claim at models. parts: the training inputs of each client.

    byzantine: how many clients, the first ones. stay: whether every `vote` in the rule may take the present model. The
    network is in the mode of a test, with the buffers of the present model: batch norm uses its statistics.
    """

    def __init__(
        self, flat: Flat, dataset: Dataset, parts: Sequence[Tensor], loss: Loss, byzantine: int, stay: bool = True
    ):
        self.flat, self.dataset, self.parts, self.loss = flat, dataset, parts, loss
        self.byzantine, self.stay = byzantine, stay

    @torch.no_grad()
    def __call__(self, models: Tensor, clients: Sequence[int], *, honestly: bool = False) -> Tensor:
        """Return the losses of clients (n,) at models (k, d), the first of which is the present one: (k, n) float64.

        An honest client says the mean loss on its training inputs; with `honestly` all clients do. Otherwise the
        Byzantine clients, which know these losses, elect the model with the largest mean of the honest losses (of equal
        ones the first) among those that they can: they say that it is by far the best, and the present one by far
        better than any other.
        """
        byzantine = 0 if honestly else self.byzantine
        asked = [client for client in clients if client >= byzantine]
        lengths = torch.tensor([len(self.parts[client]) for client in asked], dtype=torch.int64)
        index = torch.cat([torch.empty(0, dtype=torch.int64), *(self.parts[client] for client in asked)])
        owner = torch.repeat_interleave(torch.arange(len(asked)), lengths)
        honest = torch.zeros(len(models), len(asked), dtype=torch.float64)
        for losses, params in zip(honest, models, strict=True):
            losses.index_add_(0, owner, self._each(params, index))
        honest /= lengths.clamp(min=1)
        answers = torch.empty(len(models), len(clients), dtype=torch.float64)
        byzantine_places = [place for place, client in enumerate(clients) if client < byzantine]
        answers[:, [place for place, client in enumerate(clients) if client >= byzantine]] = honest
        worst_first = honest.nan_to_num(nan=torch.inf).mean(1).argsort(descending=True, stable=True)
        for wanted in worst_first.tolist():
            claimed = torch.full((len(models), 1), 2 * WORSE, dtype=torch.float64)
            claimed[0] = WORSE
            claimed[wanted] = 0.0
            answers[:, byzantine_places] = claimed
            if not byzantine_places or elect(answers, stay=self.stay) == wanted:
                break
        return answers

    def _each(self, params: Tensor, index: Tensor) -> Tensor:
        """Return the loss at a model (d,) on each training input with these indices (m,): (m,) float64."""
        flat, train = self.flat, self.dataset.train
        losses = [torch.empty(0, dtype=torch.float64)]
        flat.module.eval()
        with flat.bound(params.clone()):
            for chosen in index.to(train.inputs.device).split(BATCH):
                scores = flat.module(self.dataset.inputs(train.inputs[chosen]))
                targets = self.loss.targets(train, chosen, train.labels[chosen])
                losses.append(self.loss.each(scores.float(), targets).double().cpu())
        return torch.cat(losses)
