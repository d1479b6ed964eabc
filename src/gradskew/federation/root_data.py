"""The split of the training inputs among the clients, and the server's root data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..core.errors import check
from ..core.randomness import generator
from ..data import Dataset
from ..data.partition import Parts
from .run import Run


def deal(run: Run, dataset: Dataset) -> tuple[Sequence[Tensor], Tensor]:
    """Return the indices of each client's training inputs, and those of the server's root data (root_examples,)."""
    if not run.root_examples:
        return run.partition(dataset, run.clients, run.seed), torch.empty(0, dtype=torch.int64)
    pool, root, rest = hold_out(dataset, run.root_examples)
    parts = run.partition(pool, run.clients, run.seed)
    return Parts.of([rest[part].numpy() for part in parts]), root


def hold_out(dataset: Dataset, count: int) -> tuple[Dataset, Tensor, Tensor]:
    """Draw `count` training inputs for the server uniformly, the same ones for every seed and partition.

    Returns the data set without them, their indices (count,), and the indices of the other inputs, rising.
    """
    train = dataset.train
    few = f"root_examples = {count} leaves none of {len(train)} training inputs to the clients"
    check(count < len(train), few)
    order = torch.randperm(len(train), generator=generator(0, "root examples"))
    root, rest = order[:count], order[count:].sort().values
    return replace(dataset, train=train.select(rest)), root, rest
