"""The loss of local training: cross entropy, for one client and for many at once."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy


def mean_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross entropy of one client's batch: scores (batch, classes), labels (batch,)."""
    return cross_entropy(scores.float(), labels)


def loss_gradient(scores: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Return the gradient of each client's weighted cross entropy with respect to its scores: (k, batch, classes).

    (softmax(scores) - one_hot(labels)) weights. labels (k, batch); weights (k, batch): 1 / (batch size), 0 at padding.
    """
    by_class = scores.detach().float().transpose(1, 2).contiguous()  # a softmax over short rows is slow
    gradient = by_class.softmax(1).transpose(1, 2)
    minus_one = gradient.new_tensor(-1.0).expand_as(gradient)
    gradient.scatter_add_(2, labels[:, :, None], minus_one)
    gradient *= weights[:, :, None]
    return gradient
