"""Which training images each client holds, and which the server holds for itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..core.errors import check
from ..core.randomness import generator
from ..data import Dataset, Split
from ..data.partition import Parts
from .run import Run


def deal(run: Run, dataset: Dataset) -> tuple[Sequence[Tensor], Tensor]:
    """Return the indices of each client's training images, and those of the server's root data (root_examples,).

    The root data is drawn uniformly before the partition deals the rest: the same draw for every seed and partition.
    """
    if not run.root_examples:
        return run.partition(dataset, run.clients, run.seed), torch.empty(0, dtype=torch.int64)
    train = dataset.train
    few = f"root_examples = {run.root_examples} leaves none of {len(train)} training images to the clients"
    check(run.root_examples < len(train), few)
    order = torch.randperm(len(train), generator=generator(0, "root examples"))
    root, rest = order[: run.root_examples], order[run.root_examples :].sort().values
    writers = None if train.writers is None else train.writers[rest]
    pool = Split(train.inputs[rest.to(train.inputs.device)], train.labels[rest.to(train.labels.device)], writers)
    parts = run.partition(replace(dataset, train=pool), run.clients, run.seed)
    return Parts.of([rest[part].numpy() for part in parts]), root
