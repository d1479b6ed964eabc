"""What is held out of the training inputs, for validation and as the server's root data, and the split of the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..core.errors import check
from ..core.randomness import generator
from ..data import Dataset, Split
from ..data.partition import Parts
from ..data.preparation import held_out
from .run import Run


def dataset_of(run: Run) -> Dataset:
    """Return the data set of a run, whose test part is the validation part where the run has one."""
    dataset = run.source.load()
    if not run.validation:
        return dataset
    return replace(dataset, test=_select(dataset.train, _in_validation(dataset, run.validation).nonzero()[:, 0]))


def deal(run: Run, dataset: Dataset) -> tuple[Sequence[Tensor], Tensor]:
    """Return the indices of each client's training inputs, and those of the server's root data (root_examples,)."""
    pool, root, rest = hold_out(dataset, run.root_examples, run.validation)
    parts = run.partition(pool, run.clients, run.seed)
    return (parts if pool is dataset else Parts.of([rest[part].numpy() for part in parts])), root


def hold_out(dataset: Dataset, count: int, validation: float = 0.0) -> tuple[Dataset, Tensor, Tensor]:
    """Hold out the validation part, then draw `count` training inputs for the server, uniformly.

    Both are the same for every seed and partition. Returns the data set without them, the indices of the server's
    inputs (count,), and those of the inputs that are left, rising.
    """
    train = dataset.train
    rest = (~_in_validation(dataset, validation)).nonzero()[:, 0] if validation else torch.arange(len(train))
    if not count and not validation:
        return dataset, rest[:0], rest
    few = f"root_examples = {count} leaves none of {len(rest)} training inputs to the clients"
    check(count < len(rest), few)
    order = rest[torch.randperm(len(rest), generator=generator(0, "root examples"))]
    root, rest = order[:count], order[count:].sort().values
    return replace(dataset, train=_select(train, rest)), root, rest


def _in_validation(dataset: Dataset, share: float) -> Tensor:
    """Return which training inputs are the validation part, (N,) bool: the share of each writer's, or of all."""
    labels, writers = dataset.train.labels.cpu().numpy(), dataset.train.writers
    clients = None if writers is None else np.unique(writers.cpu().numpy(), return_inverse=True)[1]
    return torch.from_numpy(held_out(labels, clients, share, 0))


def _select(split: Split, index: Tensor) -> Split:
    """Return the inputs with these indices (k,)."""
    writers = None if split.writers is None else split.writers[index]
    return Split(split.inputs[index.to(split.inputs.device)], split.labels[index.to(split.labels.device)], writers)
