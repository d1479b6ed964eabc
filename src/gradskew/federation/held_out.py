"""What is held out of the training inputs, for validation and as the server's root data, and the split of the rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..core.errors import check
from ..core.randomness import generator
from ..data import Dataset
from ..data.partition import Parts
from ..data.preparation import held_out
from .run import Run


def for_evaluation(run: Run, dataset: Dataset) -> Dataset:
    """Return the data set with the validation part as its test part, if the run has one."""
    if not run.validation:
        return dataset
    return replace(dataset, test=dataset.train.select(_in_validation(dataset, run.validation).nonzero()[:, 0]))


def deal(run: Run, dataset: Dataset) -> tuple[Parts, Tensor]:
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
    return replace(dataset, train=train.select(rest)), root, rest


def _in_validation(dataset: Dataset, share: float) -> Tensor:
    """Return which training inputs are the validation part, (N,) bool: the share of each writer's, or of all."""
    labels, writers = dataset.train.labels.cpu().numpy(), dataset.train.writers
    clients = None if writers is None else np.unique(writers.cpu().numpy(), return_inverse=True)[1]
    chosen = held_out(labels, clients, share, 0)
    few = f"validation = {share} holds out none of {len(labels)} training inputs: each client has one, and keeps it"
    check(bool(chosen.any()), few)
    return torch.from_numpy(chosen)
