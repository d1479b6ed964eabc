"""The loss of local training: cross entropy, for one client and for many at once."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy


def mean_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross entropy of one client's batch: scores (batch, classes), labels (batch,)."""
    return cross_entropy(scores.float(), labels)


def loss_gradient(scores: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Return the gradient of each client's weighted loss by its scores: (k, batch, classes).

    That of the cross entropy is softmax minus one-hot. labels (k, batch); weights (k, batch): 1 / (batch size), and 0
    where the batch is padded.
    """
    gradient = scores.detach().softmax(2)
    minus_one = gradient.new_tensor(-1.0).expand_as(gradient)
    gradient.scatter_add_(2, labels[:, :, None], minus_one)
    gradient *= weights[:, :, None]
    return gradient
