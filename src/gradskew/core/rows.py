"""The distance engine: squared distances and weighted sums of the rows of a wide matrix.

All sums accumulate in float64 over blocks of columns that fit the cache. A product of two float32 numbers is exact in
float64, and rows of 1e30 have squares of 1e60 without overflow. The Gram matrix is centred on an actual, central row:
an offset that all rows share and that is much larger than their spread would cancel the digits of the differences.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from .errors import check
from .given import as_tensor, check_rows
from .gram import centred
from .inner_products import SAMPLE
from .round import Round
from .sums import Sums

Given: TypeAlias = "Tensor | np.ndarray[Any, Any] | Rows"
BLOCK_BYTES = 4 << 20  # of one float64 block: small enough for the cache, large enough for a full-speed product
WIDE = 1 << 18  # entries of a matrix from which on the compiled kernels are used


class Rows(Sums):
    """The n rows of a (base, d) matrix, or n mixtures of them; mixtures are never materialised.

    mixing: an (n, base) matrix. What a row of it lacks to a sum of 1 is the weight of the origin. All quantities of
    mixtures follow from those of the base rows and the origin, so a pipeline of any depth computes pairwise distances
    once. round: what the server knows besides the rows. finite: whether the base rows are known to be finite. Results
    are cached on the object, for all rules, attacks and measures that share it.
    """

    def __init__(
        self,
        updates: Tensor,
        *,
        round: Round | None = None,
        mixing: Tensor | None = None,
        base: Rows | None = None,
        finite: bool = False,
    ):
        self.updates = updates.detach() if getattr(updates, "requires_grad", False) else updates
        self.mixing, self._base, self.finite = mixing, base, finite
        self.round = Round() if round is None else round
        self._results: dict[Callable[[Rows], Tensor], Tensor] = {}
        self.mixings: dict[int, Tensor] = {}  # by id of a pipeline: the matrix of its last call, also of mixtures

    @classmethod
    def of(cls, updates: Given, round: Round | None = None, *, name: str = "rows") -> Rows:
        """Return the rows of a matrix (n, d); `Rows` as they are, or with another round and all that is computed.

        name: of the matrix, for the message of an InputError.
        """
        if not isinstance(updates, Rows):
            return cls(as_tensor(name, updates), round=round)
        if round is None:
            return updates
        rows = copy.copy(updates)
        rows.round = round
        return rows

    def check(self, name: str) -> None:
        """Raise InputError unless the base rows are a finite matrix, see `check_rows`, or known to be finite."""
        if not self.base.finite:
            check_rows(name, self.updates)
            self.base.finite = True

    def once(self, compute: Callable[[Rows], Tensor]) -> Tensor:
        """Return `compute(self)`, computed at the first call and cached."""
        if compute not in self._results:
            self._results[compute] = compute(self)
        return self._results[compute]

    @property
    def base(self) -> Rows:
        """The rows that these are mixtures of."""
        return self if self._base is None else self._base  # a reference to itself would keep the matrix in memory

    @property
    def is_wide(self) -> bool:
        """Whether the compiled kernels take the base rows."""
        return wide(self.updates)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a number for each row: (n,)."""
        return (self.n,)

    @property
    def n(self) -> int:
        return len(self.updates) if self.mixing is None else len(self.mixing)

    @property
    def d(self) -> int:
        return self.updates.shape[1]

    def mix(self, matrix: Tensor, *, keeps_rows: bool = False) -> Rows:
        """Return the m rows `matrix @ self`, lazily; matrix is (m, n), and what a row lacks to 1 lies on the origin.

        keeps_rows: each mixed row belongs to the client of its largest weight; else the round of the result has no
        client ids and no example counts.
        """
        matrix = matrix.to(self.updates.device, torch.float64)
        mixing = matrix if self.mixing is None else matrix @ self.mixing
        owners = matrix.abs().argmax(1).tolist() if keeps_rows else None
        round = replace(self.round, **self.round.of_rows(owners))
        mixed = Rows(self.updates, round=round, mixing=mixing, base=self.base)
        mixed.mixings = self.mixings
        return mixed

    def blocks(self, dtype: torch.dtype = torch.float64) -> Iterator[tuple[slice, Tensor]]:
        """Yield slices of the columns with the block of rows (n, columns), which is valid until the next one."""
        rows = max(self.n, len(self.updates))
        step = max(64, BLOCK_BYTES // (8 * rows))
        for start in range(0, self.d, step):
            part = slice(start, min(start + step, self.d))
            block = self.updates[:, part]
            if self.mixing is None:
                yield part, block.to(dtype)
            else:
                yield part, (self.mixing @ block.double()).to(dtype)

    def copy(self, order: Tensor) -> Tensor:
        """Return a copy of the rows (n, d), in this order (n,), in the type of the base rows."""
        order = order.to(self.updates.device)
        if self.mixing is None:
            return self.updates[order]
        rows = self.updates.new_empty(self.n, self.d)
        for part, block in self.blocks():
            rows[:, part] = block[order]
        return rows

    def part(self, columns: slice) -> Tensor:
        """Return a copy of the rows on consecutive columns: (n, columns), in the type of the base rows."""
        part = self.updates[:, columns]
        if self.mixing is None:
            return part.clone()
        rows = part.new_empty(self.n, part.shape[1])
        for place, block in Rows(part, mixing=self.mixing).blocks():
            rows[:, place] = block
        return rows

    def columns(self, index: Tensor) -> Tensor:
        """Return the rows on some coordinates: (n, len(index)) float64."""
        chosen = self.updates[:, index.to(self.updates.device)].double()
        return chosen if self.mixing is None else self.mixing @ chosen

    def centred_products(self, index: Tensor | None) -> Tensor:
        """Return the inner products of the rows minus their mean on some coordinates, None for all: (n, n) float64."""
        if index is None:
            return centred(self.gram)
        sample = self.columns(index)
        sample = sample - sample.mean(0)
        return sample @ sample.T

    def place(self, vector: Tensor) -> Tensor:
        """Return a vector (d,) in the type of the rows, on their device. `Tries` have another form of it."""
        shape = tuple(vector.shape)
        check(shape == (self.d,), f"a vector of shape {shape} does not fit rows of {self.d} columns")
        return vector.to(self.updates)

    @cached_property
    def equal(self) -> Tensor:
        """The index of the first bitwise equal base row, for each base row: (base,) int64."""
        updates = self.updates
        stride = -(-self.d // SAMPLE)
        first = list(range(len(updates)))
        leaders: dict[bytes, list[int]] = {}
        for i, sample in enumerate(updates[:, ::stride].cpu().numpy()):
            for leader in leaders.setdefault(sample.tobytes(), []):
                if torch.equal(updates[i], updates[leader]):
                    first[i] = leader
                    break
            else:
                leaders[sample.tobytes()].append(i)
        return torch.tensor(first)


def wide(updates: Tensor) -> bool:
    """Return whether the compiled kernels take this matrix: large, float32, contiguous, on the CPU.

    For small matrices, importing the compiler would take longer than it saves.
    """
    plain = updates.device.type == "cpu" and updates.dtype == torch.float32 and updates.is_contiguous()
    return plain and updates.numel() >= WIDE
