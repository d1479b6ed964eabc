"""Move rows within the matrix of updates, so that it is never copied."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from ..core.given import finite_rows


def keep_finite(
    updates: Tensor, buffers: Tensor, clients: list[int], changed: int | None = None
) -> tuple[Tensor, Tensor, list[int]]:
    """Remove the clients whose row or buffers have a non-finite entry; return updates, buffers and clients of the rest.

    The other rows move towards the end of the matrix, in the same order. changed: only so many of the first rows may
    have such an entry; None means all.
    """
    good = buffers.isfinite().all(1)
    good[:changed] &= finite_rows(updates[:changed]).cpu()
    kept = good.nonzero()[:, 0].tolist()
    if len(kept) == len(clients):
        return updates, buffers, clients
    first = len(clients) - len(kept)
    for target, source in zip(range(len(clients) - 1, first - 1, -1), reversed(kept), strict=True):
        if target != source:
            updates[target] = updates[source]
    return updates[first:], buffers[good], [clients[i] for i in kept]


@contextmanager
def move_to_front(rows: Tensor, chosen: list[int]) -> Iterator[None]:
    """Move the chosen rows (rising indices) to the front of the matrix inside the block, by swaps of two rows."""
    pairs = [[target, source] for target, source in enumerate(chosen) if target != source]
    for pair in pairs:
        rows[pair] = rows[pair[::-1]]
    try:
        yield
    finally:
        for pair in reversed(pairs):
            rows[pair] = rows[pair[::-1]]
