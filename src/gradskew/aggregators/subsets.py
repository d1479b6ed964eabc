"""Search for subsets of rows of which no two are far apart, by branching (vertex cover of the graph of far pairs).

A set of rows is an integer with one bit for each row: the arithmetic of Python's integers is fast enough for hundreds
of rows. far[i] is the set of the rows that must not be with row i.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch import Tensor

from ..core.errors import InputError


class Steps:
    """Counts the steps of a search. Raises InputError with the message beyond `limit`."""

    def __init__(self, limit: float, message: str):
        self.limit, self.message, self.count = limit, message, 0

    def add(self) -> None:
        """Count one more step."""
        self.count += 1
        if self.count > self.limit:
            raise InputError(self.message)


def far_pairs(distances: Tensor, radius: float) -> list[int]:
    """Return for each row the set of the rows that are farther than `radius`. distances: (n, n), on the CPU."""
    bits = np.packbits((distances > radius).numpy(), axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in bits]


def members(rows: int) -> Iterator[int]:
    """Yield the indices of a set, rising."""
    while rows:
        bit = rows & -rows
        yield bit.bit_length() - 1
        rows ^= bit


def can_drop(far: Sequence[int], rows: int, budget: int, steps: Steps) -> bool:
    """Return whether no two of `rows` are far apart once at most `budget` of them are dropped.

    Branches on the row with the most far rows: it is dropped, or all of these are. A row with a single far row is no
    branch: dropping the other one is never worse.
    """
    branches = [(rows, budget)]
    while branches:
        rows, budget = branches.pop()
        steps.add()
        if budget < 0:
            continue
        others = {i: far[i] & rows for i in members(rows) if far[i] & rows}
        if not others:
            return True
        degrees = {i: each.bit_count() for i, each in others.items()}
        widest = max(degrees, key=degrees.__getitem__)
        if sum(degrees.values()) > 2 * budget * degrees[widest]:
            continue  # each dropped row removes at most degrees[widest] pairs
        single = next((others[i] for i, degree in degrees.items() if degree == 1), 0)
        if single:
            branches.append((rows & ~single, budget - 1))
            continue
        rows &= ~(1 << widest)
        branches += [(rows & ~others[widest], budget - degrees[widest]), (rows, budget - 1)]
    return False


def subsets(far: Sequence[int], size: int, steps: Steps) -> Iterator[list[int]]:
    """Yield the subsets of `size` rows without a far pair, in lexicographic order of their sorted indices."""
    branches = [(0, (1 << len(far)) - 1)]  # the rows that are chosen, and those behind them that may follow
    while branches:
        chosen, rows = branches.pop()
        missing = size - chosen.bit_count()
        if not missing:
            yield list(members(chosen))
            continue
        spare = rows.bit_count() - missing
        if spare < 0 or not can_drop(far, rows, spare, steps):
            continue
        first = rows & -rows
        rows ^= first
        branches += [(chosen, rows), (chosen | first, rows & ~far[first.bit_length() - 1])]
