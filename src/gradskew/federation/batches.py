"""What a client trains on in a round: its inputs in their order, its batches beside those of the other clients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..core.randomness import generator
from .optimizer import SGD
from .terms import PLAIN, Terms

Batch = tuple[slice, slice, list[int]]  # ranks of the clients, columns of their samples, batch size of each client


@dataclass(frozen=True)
class Shard:
    """What a client trains on in a round.

    client: its id. index: the indices (m,) of its inputs. labels: of these (m,), maybe changed by an attack. terms: of
    its steps.
    """

    client: int
    index: Tensor
    labels: Tensor
    terms: Terms = PLAIN

    def orders(self, sgd: SGD, seed: int, round: int) -> Iterator[Tensor]:
        """Yield the order of the samples in each pass, (m,) each, drawn from (seed, round, client).

        With `local_steps` the last pass ends after the batch of the last step.
        """
        rng = generator(seed, "batches", round, self.client)
        size = len(self.index)
        of_pass = -(-size // sgd.batch)
        steps = sgd.local_steps or sgd.epochs * of_pass
        for done in range(0, steps, of_pass):
            yield torch.randperm(size, generator=rng)[: (steps - done) * sgd.batch]

    def rows(self, sgd: SGD, seed: int, round: int) -> list[Tensor]:
        """Return the same orders as rows of the columns that `batches` names.

        Those of `local_steps` are one row, in which each batch has `sgd.batch` columns, filled up with zeros.
        """
        orders = list(self.orders(sgd, seed, round))
        if sgd.local_steps is None:
            return orders
        return [torch.cat([pad(order, (0, -len(order) % sgd.batch)) for order in orders])]


def num_steps(sgd: SGD, size: int, *, skips_single: bool = False) -> int:
    """Return how many steps a client with `size` samples makes in a round. skips_single: not on batches of one sample.

    >>> num_steps(SGD(epochs=2, batch=4), 9), num_steps(SGD(epochs=2, batch=4), 9, skips_single=True)
    (6, 4)
    >>> num_steps(SGD(local_steps=5, batch=4), 9), num_steps(SGD(local_steps=5, batch=4), 9, skips_single=True)
    (5, 4)
    """
    starts = range(0, size, sgd.batch)
    steps = sgd.local_steps or sgd.epochs * len(starts)
    if not skips_single:
        return steps
    made = [min(sgd.batch, size - start) > 1 for start in starts]
    return steps // len(starts) * sum(made) + sum(made[: steps % len(starts)])


def batches(sizes: list[int], sgd: SGD) -> Iterator[Batch]:
    """Yield the batches of a pass for clients with these numbers of samples, the largest first.

    An epoch is a pass, in which clients with fewer samples end earlier. All `local_steps` are one pass; a client with
    fewer batches begins again. The columns of a batch are those of its largest part.
    """
    batch, first_pass = sgd.batch, -(-sizes[0] // sgd.batch)
    for step in range(sgd.local_steps or first_pass):
        first = step * batch
        if sgd.local_steps is None:
            counts = [min(batch, size - first) for size in sizes if size > first]
        else:
            counts = [min(batch, size - step % -(-size // batch) * batch) for size in sizes]
        for group in groups(counts):
            yield group, slice(first, first + max(counts[group])), counts[group]


def groups(counts: list[int]) -> Iterator[slice]:
    """Yield slices of the batch sizes; padding each slice to its largest size at most doubles the work."""
    start, work, most = 0, 0, 0
    for k, count in enumerate(counts):
        most = max(most, count)
        if most * (k - start + 1) > 2 * (work + count):
            yield slice(start, k)
            start, work, most = k, 0, count
        work += count
    yield slice(start, len(counts))
