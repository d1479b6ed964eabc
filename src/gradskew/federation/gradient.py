"""The gradient of the loss on some of the training inputs."""

from __future__ import annotations

import torch
from torch import Tensor

from ..data import Dataset
from ..models import Flat
from .loss import Loss

BATCH = 1024  # inputs of a pass


class LossGradient:
    """The gradient of the mean loss over training inputs. inputs: those that an attacker names, `all` and `own`.

    The network is in the mode of a test: batch norm uses the statistics of the model.
    """

    def __init__(self, flat: Flat, dataset: Dataset, inputs: dict[str, Tensor], loss: Loss):
        self.flat, self.dataset, self.inputs, self.loss = flat, dataset, inputs, loss

    def __call__(self, params: Tensor, data: str) -> Tensor:
        """Return the gradient (d,) at the parameters (d,) on the inputs with a name."""
        return self.on(params, self.inputs[data])

    def on(self, params: Tensor, index: Tensor) -> Tensor:
        """Return the gradient (d,) at the parameters (d,) on the inputs with these indices (m,), at least one."""
        flat, loss, train = self.flat, self.loss, self.dataset.train
        index = index.to(train.inputs.device)
        params, grads = params.clone(), torch.zeros_like(params)
        flat.module.eval()
        with flat.bound(params, grads):
            for chosen in index.split(BATCH):
                scores = flat.module(self.dataset.inputs(train.inputs[chosen]))
                targets = loss.targets(train, chosen, train.labels[chosen])
                (loss.mean(scores, targets) * (len(chosen) / len(index))).backward()
        return grads
