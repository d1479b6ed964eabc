"""Rows behind copies of one row, for rules by ranks in each column: strengths along a line, tried many times."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from .rows import Rows


class Copies:
    """Rows behind copies of one row: what `Rows` are to a rule with `by_ranks`, at the cost of a few passes.

    ordered: the rows (h, d), every column sorted; copies of one row with other numbers share it. row: (d,), finite.
    """

    def __init__(self, ordered: Tensor, row: Tensor, count: int):
        self.ordered, self.row, self.count = ordered, row, count

    @property
    def as_rows(self) -> Rows:
        """Itself, for the type checker."""
        return cast("Rows", self)

    @property
    def n(self) -> int:
        return len(self.ordered) + self.count

    @property
    def d(self) -> int:
        return self.ordered.shape[1]

    @property
    def updates(self) -> Tensor:
        """The rows, whose type and device are those of the results."""
        return self.ordered

    def of_rank(self, rank: int) -> Tensor:
        """Return the entries of a rank, from 0 on, in each column of all n rows: (d,).

        With c copies it is the row's own entry, but between those of the ranks rank - c and rank among the other rows.
        """
        low, high = rank - self.count, rank
        entries = self.row if low < 0 else torch.maximum(self.row, self.ordered[low])
        return entries if high >= len(self.ordered) else torch.minimum(entries, self.ordered[high])
