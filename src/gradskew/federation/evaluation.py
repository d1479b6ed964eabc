"""The metrics of a model on the test images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..data import Dataset
from ..models import Flat
from ..skew import digits


@dataclass(frozen=True)
class Evaluation:
    """Test accuracy in %: on all images, and on each class (None for a class without one). None: not tested."""

    accuracy: float | None = None
    classes: list[float | None] | None = None


@torch.no_grad()
def evaluate(flat: Flat, dataset: Dataset) -> Evaluation:
    """Return the test accuracy of the network with its current parameters."""
    flat.module.eval()
    test, classes, size = dataset.test, dataset.num_classes, dataset.test_batch_size
    right = torch.zeros(classes, dtype=torch.int64, device=test.labels.device)
    for images, labels in zip(test.inputs.split(size), test.labels.split(size), strict=True):
        hits = labels[flat.module(dataset.inputs(images)).argmax(1) == labels]
        right += hits.bincount(minlength=classes)
    counts = test.labels.bincount(minlength=classes).tolist()
    by_class = [
        digits(100 * hits / count) if count else None for hits, count in zip(right.tolist(), counts, strict=True)
    ]
    return Evaluation(100 * int(right.sum()) / len(test), by_class)


@torch.no_grad()
def scores_of(flat: Flat, dataset: Dataset, index: Tensor) -> Tensor:
    """Return the scores of the network on the training images with these indices (m,): (m, classes)."""
    flat.module.eval()
    inputs = dataset.train.inputs[index.to(dataset.train.inputs.device)]
    return torch.cat([flat.module(dataset.inputs(images)) for images in inputs.split(dataset.test_batch_size)])
