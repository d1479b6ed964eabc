"""Local training of all clients of a round: (params, data) -> updates.

Two engines, the same numbers to float32 accuracy. `batched` trains all clients as one computation, `loop` one after
another. Both train in place, in the rows of one matrix, with one fused optimiser step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from ..core.errors import check, check_choice
from ..core.randomness import drawing, generator, torch_seed
from ..data import Dataset
from ..models import Flat, Model, stacked
from .loss import loss_gradient, mean_loss
from .optimizer import SGD

WHOLE = 1 << 26  # entries of the updates up to which the batched engine trains all clients of a round at once
PART = 1 << 24  # entries of each of its matrices where it does not


@dataclass(frozen=True)
class Shard:
    """A client's data: its id, the indices of its images, and its labels (flipped, if it attacks that way)."""

    client: int
    index: Tensor
    labels: Tensor

    def orders(self, epochs: int, seed: int, round: int) -> list[Tensor]:
        """The order of its samples in each epoch, drawn from (seed, round, client)."""
        rng = generator(seed, "batches", round, self.client)
        return [torch.randperm(len(self.index), generator=rng) for _ in range(epochs)]


@dataclass(frozen=True)
class Training:
    """What local training keeps from round to round. precision: `bf16` is that of the passes, never of the weights."""

    flat: Flat
    dataset: Dataset
    sgd: SGD
    seed: int
    precision: str = "float32"

    def casting(self) -> AbstractContextManager[Any]:
        """Where a forward pass belongs; its backward pass has the same types."""
        if self.precision != "bf16":
            return nullcontext()
        device = self.dataset.train.inputs.device.type
        return torch.autocast(device, torch.bfloat16, cache_enabled=False)  # a cache would hold on to old weights

    def cast(self, tensor: Tensor) -> Tensor:
        """What goes into `vmap`: there autocast does not reach convolutions on a CPU."""
        return tensor.bfloat16() if self.precision == "bf16" else tensor


def train_loop(training: Training, params: Tensor, shards: Sequence[Shard], round: int, updates: Tensor) -> Tensor:
    """Train the clients one after another; fills updates (n, d), returns their floating buffers (n, b).

    A module that draws (dropout) does so from a generator seeded per round and client.
    """
    flat, dataset, sgd, seed = training.flat, training.dataset, training.sgd, training.seed
    start = flat.read_buffers()
    after = start.repeat(len(shards), 1)
    others = [buffer.clone() for buffer in flat.other_buffers]
    grads, momentum = torch.empty_like(params), torch.empty_like(params)
    flat.module.train()
    for shard, row, buffers in zip(shards, updates, after, strict=True):
        row.copy_(params)
        momentum.zero_()
        flat.bind(row, grads)
        flat.write_buffers(start, others)
        with drawing(torch_seed(seed, "module", round, shard.client), params.device):
            for order in shard.orders(sgd.epochs, seed, round):
                index, labels = shard.index[order].to(params.device), shard.labels[order].to(params.device)
                for chosen, wanted in zip(index.split(sgd.batch), labels.split(sgd.batch), strict=True):
                    if len(chosen) == 1 and flat.has_batch_norm:
                        continue  # no variance to normalise by
                    grads.zero_()
                    with training.casting():
                        scores = flat.module(dataset.inputs(dataset.train.inputs[chosen]))
                    mean_loss(scores, wanted).backward()
                    sgd.step(row[None], grads[None], momentum[None])
        buffers.copy_(flat.read_buffers())
    flat.bind(params)
    flat.write_buffers(start, others)
    torch.sub(params, updates, out=updates)
    return after


def train_batched(training: Training, params: Tensor, shards: Sequence[Shard], round: int, updates: Tensor) -> Tensor:
    """Train all clients as one computation; fills updates (n, d), returns their buffers (n, b), which nothing changes.

    Clients stand in order of falling size, so that those that still have a batch are always the first rows, and batch
    sizes fall along them. Clients whose batches differ much are computed apart (`_groups`), so that padding never costs
    more than the work. Many clients of a large network are trained `together` in parts, so that what training needs
    beside the updates is bounded; batches and their padding are those of all.
    """
    n = len(shards)
    ranked = sorted(range(n), key=lambda i: -len(shards[i].index))
    batches = list(_batches([len(shards[i].index) for i in ranked], training.sgd.batch))
    training.flat.module.train()
    at_once = together(n, training.flat.d)
    for start in range(0, n, at_once):
        rows = slice(start, min(start + at_once, n))
        trained = _train_rows(training, params, [shards[i] for i in ranked[rows]], rows, batches, round)
        for row, i in zip(trained, ranked[rows], strict=True):
            torch.sub(params, row, out=updates[i])
    return training.flat.read_buffers().repeat(n, 1)


def together(n: int, d: int) -> int:
    """How many of n clients the batched engine trains at once.

    A spec with fewer than n says so in its digest: a product of fewer matrices may differ in the last bits.
    """
    return n if n * d <= WHOLE else max(1, PART // d)


Batch = tuple[slice, slice, list[int]]


def _train_rows(
    training: Training, params: Tensor, shards: Sequence[Shard], rows: slice, batches: Sequence[Batch], round: int
) -> Tensor:
    """The trained parameters (k, d) of the clients whose rank is in `rows`; batches: those of all clients."""
    flat, dataset, sgd = training.flat, training.dataset, training.sgd
    mine = [batch for batch in batches if batch[0].start < rows.stop and batch[0].stop > rows.start]
    width = max(columns.stop for _, columns, _ in mine)
    trained = params.repeat(len(shards), 1)
    grads, momenta = torch.empty_like(trained), torch.zeros_like(trained)
    forward = stacked(flat)
    orders = [shard.orders(sgd.epochs, training.seed, round) for shard in shards]
    for epoch in range(sgd.epochs):
        picks = [(shard, order[epoch]) for shard, order in zip(shards, orders, strict=True)]
        index = _padded([shard.index[chosen] for shard, chosen in picks], width).to(params.device)
        labels = _padded([shard.labels[chosen] for shard, chosen in picks], width).to(params.device)
        for ranks, columns, counts in mine:
            inside = slice(max(rows.start - ranks.start, 0), rows.stop - ranks.start)
            group = slice(max(ranks.start - rows.start, 0), ranks.stop - rows.start)
            count = torch.tensor(counts[inside], device=params.device)[:, None]
            weights = (torch.arange(columns.stop - columns.start, device=params.device) < count) / count
            inputs = dataset.inputs(dataset.train.inputs[index[group, columns]])
            tensors = [view.detach().requires_grad_() for view in flat.views(trained[group])]
            with training.casting():
                scores = forward([training.cast(tensor) for tensor in tensors], training.cast(inputs)).float()
            slopes = loss_gradient(scores, labels[group, columns], weights)
            gradients = torch.autograd.grad(scores, tensors, slopes, allow_unused=True, materialize_grads=True)
            for view, gradient in zip(flat.views(grads[group]), gradients, strict=True):
                view.copy_(gradient)
            del gradients, gradient
            sgd.step(trained[group], grads[group], momenta[group])
    return trained


def _padded(rows: list[Tensor], width: int) -> Tensor:
    """Rows of uneven length as a matrix, with zeros behind them."""
    matrix = pad_sequence(rows, batch_first=True)
    return pad(matrix, (0, width - matrix.shape[1]))


def _batches(sizes: list[int], batch: int) -> Iterator[Batch]:
    """An epoch's batches, for clients of falling size: who is computed together, on which columns, and how many each.

    The columns are padded to the first of them; clients and columns are slices.
    """
    for first in range(0, sizes[0], batch):
        counts = [min(batch, size - first) for size in sizes if size > first]
        for group in _groups(counts):
            yield group, slice(first, first + counts[group.start]), counts[group]


def _groups(counts: list[int]) -> Iterator[slice]:
    """Cut falling batch sizes into runs that, padded to their largest, cost at most twice the work."""
    start, work = 0, 0
    for k, count in enumerate(counts):
        if counts[start] * (k - start + 1) > 2 * (work + count):
            yield slice(start, k)
            start, work = k, 0
        work += count
    yield slice(start, len(counts))


ENGINES = {"batched": train_batched, "loop": train_loop}
AUTO = {  # (kind of model, device) -> engine, elsewhere the loop; measured: benchmarks/README.md
    ("dense", "cpu"): "batched",
    ("dense", "cuda"): "batched",
    ("convolutional", "cuda"): "batched",
}


def resolve(engine: str, model: Model, device: str) -> str:
    """The engine that trains this model on this device; `auto` looks it up in a fixed table, it never times."""
    check_choice("engine", engine, ("auto", *ENGINES))
    if engine == "auto":
        return AUTO.get((model.kind, torch.device(device).type), "loop") if model.batched else "loop"
    allowed = engine != "batched" or model.batched
    check(allowed, f"the model {model.name} does not declare that its clients can train as a batch: use engine = loop")
    return engine
