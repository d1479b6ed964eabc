"""Local training of all clients of a round: (params, data) -> updates.

Two engines agree to float32 accuracy: `batched` trains all clients as one computation, `loop` one after another. Both
train in place, in the rows of one matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from ..core.errors import check, check_choice
from ..core.randomness import drawing, torch_seed
from ..data import Dataset
from ..models import Flat, Model, check_scores, stacked
from .batches import Batch, Shard, batches
from .loss import LOSSES, Loss
from .optimizer import SGD
from .precision import precision_of
from .terms import stack

WHOLE = 1 << 26  # entries of the updates up to which the batched engine trains all clients of a round at once
PART = 1 << 24  # entries of each matrix, such as the gradients, of the clients trained at once, beyond that


@dataclass(frozen=True)
class Training:
    """The setting of local training, the same in all rounds. precision: of the passes; weights stay float32.

    gradients: rows are the last step m, the gradient of a single one, instead of w^t - w_i^{t+1}. loss: of a batch.
    """

    flat: Flat
    dataset: Dataset
    sgd: SGD
    seed: int
    precision: str = "float32"
    gradients: bool = False
    loss: Loss = LOSSES["cross_entropy"]

    def casting(self, *, together: bool = False) -> AbstractContextManager[None]:
        """Return the context for a forward pass, of one client or of many, which sets the types of its computations."""
        return precision_of(self.precision, self.dataset.train.inputs.device.type, together=together)


def train_loop(training: Training, params: Tensor, shards: Sequence[Shard], round: int, updates: Tensor) -> Tensor:
    """Train the clients one after another: write updates (n, d), return what they send of their buffers (n, b).

    A module that draws (dropout) uses a generator seeded by round and client.
    """
    flat, dataset, sgd, seed, loss = training.flat, training.dataset, training.sgd, training.seed, training.loss
    start = flat.read_buffers()
    after = start.repeat(len(shards), 1)
    before, others = ([buffer.clone() for buffer in listed] for listed in (flat.buffers, flat.other_buffers))
    grads, momentum = torch.empty_like(params), torch.empty_like(params)
    flat.module.train()
    for shard, row, buffers in zip(shards, updates, after, strict=True):
        terms = stack([shard.terms], params, sgd.weight_decay)
        row.copy_(params)
        momentum.zero_()
        flat.bind(row, grads)
        flat.write_buffers(start, others)
        with drawing(torch_seed(seed, "module", round, shard.client), params.device):
            for order in shard.orders(sgd, seed, round):
                index, labels = shard.index[order].to(params.device), shard.labels[order].to(params.device)
                for chosen, wanted in zip(index.split(sgd.batch), labels.split(sgd.batch), strict=True):
                    if len(chosen) == 1 and flat.has_batch_norm:
                        continue  # no variance to normalise by
                    grads.zero_()
                    with training.casting():
                        scores = flat.module(dataset.inputs(dataset.train.inputs.index_select(0, chosen)))
                    check_scores("the model", scores, (len(chosen), *loss.shape(dataset)))
                    loss.mean(scores, loss.targets(dataset.train, chosen, wanted)).backward()
                    sgd.step(row[None], grads[None], momentum[None], terms)
        buffers.copy_(flat.sent_buffers(before))
        if training.gradients:
            row.copy_(momentum)
    flat.bind(params)
    flat.write_buffers(start, others)
    if not training.gradients:
        torch.sub(params, updates, out=updates)
    return after


def train_batched(training: Training, params: Tensor, shards: Sequence[Shard], round: int, updates: Tensor) -> Tensor:
    """Train all clients as one computation: write updates (n, d), return what they send of unchanged buffers (n, b).

    Clients are ranked by size, the largest first, so that those with a batch left in an epoch are always the first
    rows. Clients whose batch sizes differ much are computed separately (`groups`), so that padding at most doubles the
    work. Many clients of a large network are trained in parts (`num_together`), which bounds the
    memory besides the updates; batches and padding do not depend on the parts.
    """
    n = len(shards)
    ranked = sorted(range(n), key=lambda i: -len(shards[i].index))
    listed = list(batches([len(shards[i].index) for i in ranked], training.sgd))
    training.flat.module.train()
    size = num_together(n, training.flat.d)
    for start in range(0, n, size):
        rows = slice(start, min(start + size, n))
        trained = _train_rows(training, params, [shards[i] for i in ranked[rows]], rows, listed, round)
        for row, i in zip(trained, ranked[rows], strict=True):
            if training.gradients:
                updates[i].copy_(row)
            else:
                torch.sub(params, row, out=updates[i])
    return training.flat.sent_buffers(training.flat.buffers).repeat(n, 1)


def num_together(n: int, d: int) -> int:
    """Return how many of n clients with d parameters the batched engine trains at once.

    The digest includes a number below n, since a product of fewer matrices may differ in the last bits.
    """
    return n if n * d <= WHOLE else max(1, PART // d)


def _train_rows(
    training: Training, params: Tensor, shards: Sequence[Shard], rows: slice, listed: Sequence[Batch], round: int
) -> Tensor:
    """Return the trained parameters (k, d) of the clients with the ranks `rows`; with `gradients` their last steps.

    listed: the batches of all clients.
    """
    flat, dataset, sgd, loss = training.flat, training.dataset, training.sgd, training.loss
    own_batches = [batch for batch in listed if batch[0].start < rows.stop and batch[0].stop > rows.start]
    width = max(columns.stop for _, columns, _ in own_batches)
    trained = params.repeat(len(shards), 1)
    grads, momenta = torch.empty_like(trained), torch.zeros_like(trained)
    forward = stacked(flat)
    terms = stack([shard.terms for shard in shards], params, sgd.weight_decay)
    index = torch.cat([shard.index for shard in shards]).to(params.device)
    labels = torch.cat([shard.labels for shard in shards]).to(params.device)
    sizes = torch.tensor([len(shard.index) for shard in shards])
    starts = (sizes.cumsum(0) - sizes)[:, None]  # the place of each client's first input in `index`
    for orders in zip(*(shard.rows(sgd, training.seed, round) for shard in shards), strict=True):
        places = (_padded(orders, width) + starts).to(params.device)
        for ranks, columns, counts in own_batches:
            inside = slice(max(rows.start - ranks.start, 0), rows.stop - ranks.start)
            group = slice(max(ranks.start - rows.start, 0), ranks.stop - rows.start)
            count = torch.tensor(counts[inside], device=params.device)[:, None]
            weights = (torch.arange(columns.stop - columns.start, device=params.device) < count) / count
            place = places[group, columns]
            chosen = index[place.flatten()]
            stored = dataset.train.inputs.index_select(0, chosen)  # faster than a matrix of indices
            inputs = dataset.inputs(stored).unflatten(0, place.shape)
            with training.casting(together=True):
                scores, backward = forward(trained[group], inputs)
            targets = loss.targets(dataset.train, chosen, labels[place.flatten()])
            backward(loss.gradient(scores, targets.unflatten(0, place.shape), weights), grads[group])
            del backward  # and what it holds of this batch
            sgd.step(trained[group], grads[group], momenta[group], None if terms is None else terms.of(group))
    return momenta if training.gradients else trained


def _padded(rows: Sequence[Tensor], width: int) -> Tensor:
    """Return rows of unequal length as a matrix (len(rows), width), with zeros after the end of a row, or cut."""
    matrix = pad_sequence(list(rows), batch_first=True)
    return pad(matrix, (0, width - matrix.shape[1]))


ENGINES = {"batched": train_batched, "loop": train_loop}
AUTO = {  # (kind of model, device) -> engine; loop for all others. Measured: benchmarks/README.md
    ("dense", "cpu"): "batched",
    ("dense", "cuda"): "batched",
    ("convolutional", "cuda"): "batched",
}


def resolve(engine: str, model: Model, device: str) -> str:
    """Return the engine, `batched` or `loop`, for a model on a device; `auto` looks it up in a fixed table."""
    check_choice("engine", engine, ("auto", *ENGINES))
    if engine == "auto":
        return AUTO.get((model.kind, torch.device(device).type), "loop") if model.batched else "loop"
    allowed = engine != "batched" or model.batched
    check(allowed, f"the model {model.name} does not declare that its clients can train as a batch: use engine = loop")
    return engine
