"""Rows of the matrix of updates change places in it, so that it is never copied."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from ..core.rows import finite_rows


def keep_finite(updates: Tensor, buffers: Tensor, clients: list[int]) -> tuple[Tensor, Tensor, list[int]]:
    """Take out the clients whose row or buffers have a non-finite entry: the others move down, the last ones stay."""
    good = finite_rows(updates).cpu() & buffers.isfinite().all(1)
    kept = good.nonzero()[:, 0].tolist()
    if len(kept) == len(clients):
        return updates, buffers, clients
    first = len(clients) - len(kept)
    for target, source in zip(range(len(clients) - 1, first - 1, -1), reversed(kept), strict=True):
        if target != source:
            updates[target] = updates[source]
    return updates[first:], buffers[good], [clients[i] for i in kept]


@contextmanager
def in_front(rows: Tensor, chosen: list[int]) -> Iterator[None]:
    """Inside, the chosen rows (in rising order) are the first ones; two rows at a time change places."""
    pairs = [[target, source] for target, source in enumerate(chosen) if target != source]
    for pair in pairs:
        rows[pair] = rows[pair[::-1]]
    try:
        yield
    finally:
        for pair in reversed(pairs):
            rows[pair] = rows[pair[::-1]]
