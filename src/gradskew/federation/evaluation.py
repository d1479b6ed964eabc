"""The metrics of a model on the test inputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..data import Dataset
from ..models import Flat
from ..skew import digits
from .loss import Loss


@dataclass(frozen=True)
class Evaluation:
    """Test accuracy in %: on all inputs, and on each class (None for a class without one). None: not tested.

    success: the share in % of the inputs of the first class of a pair taken for its second; None without a pair
    or without such an input.
    """

    accuracy: float | None = None
    classes: list[float | None] | None = None
    success: float | None = None


@torch.no_grad()
def evaluate(flat: Flat, dataset: Dataset, loss: Loss, pair: tuple[int, int] | None = None) -> Evaluation:
    """Return what a test of the network with its current parameters gives: see `Loss.right`, `Attack.target_pair`."""
    flat.module.eval()
    test, classes = dataset.test, dataset.num_classes
    right, taken = torch.zeros(classes, dtype=torch.float64), 0
    for index in torch.arange(len(test), device=test.labels.device).split(dataset.test_batch_size):
        inputs, labels = (part[index[0] : index[-1] + 1] for part in (test.inputs, test.labels))
        scores = flat.module(dataset.inputs(inputs))
        each = loss.right(scores, loss.targets(test, index, labels), test)
        if pair is not None:
            taken += int((scores.argmax(1)[labels == pair[0]] == pair[1]).sum())
        right += labels.cpu().bincount(each.cpu(), minlength=classes)  # on a GPU such a sum has no fixed order
    counts = test.labels.bincount(minlength=classes).tolist()
    by_class = [
        digits(100 * hits / count) if count and loss.by_class else None
        for hits, count in zip(right.tolist(), counts, strict=True)
    ]
    accuracy = max(0.0, 100 * float(right.sum().nan_to_num(nan=0)) / len(test))
    return Evaluation(accuracy, by_class, digits(100 * taken / counts[pair[0]]) if pair and counts[pair[0]] else None)


@torch.no_grad()
def scores_of(flat: Flat, dataset: Dataset, index: Tensor) -> Tensor:
    """Return the scores of the network on the training inputs with these indices (m,): (m, classes)."""
    flat.module.eval()
    inputs = dataset.train.inputs[index.to(dataset.train.inputs.device)]
    return torch.cat([flat.module(dataset.inputs(part)) for part in inputs.split(dataset.test_batch_size)])
