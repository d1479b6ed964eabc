"""The distance engine: squared distances and weighted sums of the rows of a wide matrix.

All sums accumulate in float64 over blocks of columns that fit the cache. A product of two float32 numbers is exact in
float64, and rows of 1e30 have squares of 1e60 without overflow. The Gram matrix is centred on an actual, central row:
an offset that all rows share and that is much larger than their spread would cancel the digits of the differences.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from .errors import check
from .round import Round

BLOCK_BYTES = 4 << 20  # of one float64 block: small enough for the cache, large enough for a full-speed product
LARGEST = 1e140  # exclusive bound on float64 entries
WIDE = 1 << 24  # entries of a matrix from which on the compiled kernels are used
SAMPLE = 256  # columns of the sample that selects a central row
CLOSE = 1e-7  # squared distances below this share of the squared norms are recomputed from differences
OFF_ORIGIN = 1e4  # a row that is longer than another by this factor is no centre for inner products about the origin
NO_WEIGHT = 1e-12  # of the origin in a mixture: rounding of a sum of weights
OFF_CENTRE = 1e4  # a row whose median squared distance exceeds the least one by this factor is no centre


class Rows:
    """The n rows of a (base, d) matrix, or n mixtures of them; mixtures are never materialised.

    mixing: an (n, base) matrix. What a row of it lacks to a sum of 1 is the weight of the origin. All quantities of
    mixtures follow from those of the base rows and the origin, so a pipeline of any depth computes pairwise distances
    once. round: what the server knows besides the rows. Results are cached on the object, for all rules, attacks and
    measures that share it.
    """

    def __init__(
        self,
        updates: Tensor,
        *,
        round: Round | None = None,
        mixing: Tensor | None = None,
        base: Rows | None = None,
    ):
        self.updates, self.mixing, self._base = updates, mixing, base
        self.round = Round() if round is None else round
        self._results: dict[Callable[[Rows], Tensor], Tensor] = {}
        self.mixings: dict[Hashable, Tensor] = {}  # by pipeline: the mixing matrix of its last call

    @classmethod
    def of(cls, updates: Tensor | Rows, round: Round | None = None) -> Rows:
        """Return the rows of a matrix (n, d); `Rows` as they are, or with another round and all that is computed."""
        if not isinstance(updates, Rows):
            return cls(updates.detach(), round=round)
        if round is None:
            return updates
        rows = copy.copy(updates)
        rows.round = round
        return rows

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
        return Rows(self.updates, round=round, mixing=mixing, base=self.base)

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
        return part.clone() if self.mixing is None else (self.mixing @ part.double()).to(part.dtype)

    def columns(self, index: Tensor) -> Tensor:
        """Return the rows on some coordinates: (n, len(index)) float64."""
        chosen = self.updates[:, index.to(self.updates.device)].double()
        return chosen if self.mixing is None else self.mixing @ chosen

    def mean(self, dtype: torch.dtype | None = None) -> Tensor:
        """Return the mean of the rows (d,), in their type by default."""
        return self.combine(torch.full((self.n,), 1 / self.n, dtype=torch.float64), dtype=dtype)

    def combine(self, weights: Tensor, centre: Tensor | None = None, dtype: torch.dtype | None = None) -> Tensor:
        """Return the weighted sum of the rows, or of row - centre: (d,), in the type of the rows; weights (n,)."""
        weights = weights.to(self.updates.device, torch.float64)
        if self.mixing is not None:
            weights = weights @ self.mixing
        value = self.updates.new_empty(self.d, dtype=dtype)
        if centre is None and wide(self.updates):
            from . import kernels

            kernels.combine(self.updates, weights, value)
            return value
        for part, block in self.base.blocks():
            value[part] = weights @ (block if centre is None else block - centre[part].double())
        return value

    def squared_distances_to(self, centre: Tensor) -> Tensor:
        """Return the squared distances of the rows to a vector (d,): (n,) float64. No Gram matrix is needed."""
        if self.mixing is None and wide(self.updates):
            from . import kernels

            return kernels.squared_distances_to(self.updates, centre)
        total = torch.zeros(self.n, dtype=torch.float64, device=self.updates.device)
        for part, block in self.blocks():
            total += (block - centre[part].double()).square_().sum(1)
        return total

    def projections(self, vector: Tensor, centre: Tensor | None = None) -> Tensor:
        """Return the inner products <row - centre, vector>: (n,) float64; centre and vector are (d,)."""
        total = torch.zeros(self.n, dtype=torch.float64, device=self.updates.device)
        for part, block in self.blocks():
            if centre is not None:
                block = block - centre[part].double()
            total += block @ vector[part].double()
        return total

    @cached_property
    def equal(self) -> Tensor:
        """The index of the first bitwise equal base row, for each base row: (base,) int64."""
        updates = self.updates
        stride = max(1, self.d // SAMPLE)
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

    @property
    def has_gram(self) -> bool:
        """Whether the Gram matrix is computed already."""
        return "_centred" in vars(self)

    @cached_property
    def gram(self) -> Tensor:
        """Inner products of the rows around a central base row: (n, n) float64."""
        if self.mixing is None:
            return self._centred[0]
        if self._origin is None:
            return self.mixing @ self.base.gram @ self.mixing.T
        return self._extended @ self.base.gram_with_origin @ self._extended.T

    @cached_property
    def _centred(self) -> tuple[Tensor, int]:
        """The inner products of the base rows around a central one, and the index of that row."""
        centre = _central_row(self.updates)
        gram = self._gram_around(centre)
        medians = _squared_distances(gram).median(1).values
        central = int(medians.argmin())
        # A row may be central on the sample and huge elsewhere: centred on it, the others would lose their digits.
        if medians[centre] > OFF_CENTRE * medians[central]:
            gram, centre = self._gram_around(central), central
        return gram, centre

    @cached_property
    def _origin(self) -> Tensor | None:
        """The weight of the origin in each mixture (n,); None if there is none."""
        if self.mixing is None:
            return None
        weights = 1 - self.mixing.sum(1)
        return weights if bool((weights.abs() > NO_WEIGHT).any()) else None

    @property
    def _extended(self) -> Tensor:
        """The mixing matrix with a last column for the origin: (n, base + 1)."""
        assert self.mixing is not None
        origin = self.mixing.new_zeros(self.n) if self._origin is None else self._origin
        return torch.cat([self.mixing, origin[:, None]], 1)

    @cached_property
    def gram_with_origin(self) -> Tensor:
        """Inner products of the base rows and, last, the origin, around the same row as `gram`: (n + 1, n + 1).

        The origin is one more base row: <g_i - g_k, 0 - g_k> = <g_k, g_k> - <g_i, g_k>, g_k the central row.
        """
        gram, centre = self._centred
        products = self._products_with_centre
        column = torch.cat([products[centre] - products, products[centre, None]])
        return torch.cat([torch.cat([gram, column[None, :-1]]), column[:, None]], 1)

    @cached_property
    def _products_with_centre(self) -> Tensor:
        """The inner products of the base rows with the central one: (n,)."""
        return self.projections(self.updates[self._centred[1]])

    @cached_property
    def norms(self) -> Tensor:
        """The norms of the rows: (n,) float64. Of a matrix from one pass, of mixtures from `origin_gram`."""
        if self.mixing is None:
            return self.squared_distances_to(self.updates.new_zeros(self.d)).sqrt()
        return self.origin_gram.diagonal().clamp(min=0).sqrt()

    @cached_property
    def origin_gram(self) -> Tensor:
        """Inner products of the rows: (n, n) float64. From `gram` and one more pass."""
        if self.mixing is not None:
            return self.mixing @ self.base.origin_gram @ self.mixing.T
        gram, centre = self._centred
        least = self.norms.where(self.norms > 0, torch.inf).min()
        if self.norms[centre] > OFF_ORIGIN * least:  # around a long row the products of short ones lose their digits
            inner = self._gram_around(None)
        else:
            products = self._products_with_centre
            inner = gram + (products[:, None] + products - products[centre])
        zero = self.norms == 0
        inner.masked_fill_(zero[:, None] | zero, 0.0)
        inner.diagonal().copy_(self.norms.square())
        return inner

    @cached_property
    def cosines(self) -> Tensor:
        """The cosines of the angles between the rows: (n, n) float64; 0 for a row of zeros."""
        norms = self.origin_gram.diagonal().clamp(min=0).sqrt()
        scale = torch.where(norms > 0, 1 / norms, 0.0)
        return (self.origin_gram * scale[:, None] * scale).clamp_(-1, 1)

    def _gram_around(self, centre: int | None) -> Tensor:
        """Return the inner products of the base rows around one of them, or around the origin: (n, n)."""
        if wide(self.updates) and centre is not None:
            from . import kernels

            return kernels.gram(self.updates, centre)
        total = torch.zeros(self.n, self.n, dtype=torch.float64, device=self.updates.device)
        for _, block in self.blocks():
            block = block if centre is None else block - block[centre]
            total.addmm_(block, block.T)
        return (total + total.T) / 2

    @cached_property
    def squared_distances(self) -> Tensor:
        """Squared distances between the rows: (n, n) float64, zero diagonal."""
        norms = self.gram.diagonal()
        distances = _squared_distances(self.gram)
        close = (distances < CLOSE * (norms[:, None] + norms)).triu(1).nonzero()
        if len(close):
            exact = self._from_differences(close)
            distances[close[:, 0], close[:, 1]] = exact
            distances[close[:, 1], close[:, 0]] = exact
        return distances.fill_diagonal_(0)

    def _from_differences(self, pairs: Tensor) -> Tensor:
        """Return the squared distances of pairs (k, 2) of rows, without the cancellation in the Gram matrix: (k,)."""
        if self.mixing is not None:
            mixing, distances = self.mixing, self.base.squared_distances
            if self._origin is not None:
                mixing, squares = self._extended, self.base.norms.square()
                squares = torch.cat([squares, squares.new_zeros(1)])
                distances = torch.cat([torch.cat([distances, squares[None, :-1]]), squares[:, None]], 1)
            difference = mixing[pairs[:, 0]] - mixing[pairs[:, 1]]
            squares = -0.5 * ((difference @ distances) * difference).sum(1)
            return squares.clamp_(min=0)
        leader = self.equal.to(pairs.device)[pairs]
        total = torch.zeros(len(pairs), dtype=torch.float64, device=pairs.device)
        differing = (leader[:, 0] != leader[:, 1]).nonzero()[:, 0]
        distinct, back = leader[differing].unique(dim=0, return_inverse=True)
        exact = torch.zeros(len(distinct), dtype=torch.float64, device=pairs.device)
        if len(distinct):
            for _, block in self.blocks():
                for k, (i, j) in enumerate(distinct.tolist()):
                    exact[k] += (block[i] - block[j]).square_().sum()
        total[differing] = exact[back]
        return total

    def squared_distances_to_mean(self, weights: Tensor) -> Tensor:
        """Return the squared distances of the rows to their weighted mean: (n,) float64; weights (n,) sum to 1.

        From inner products, whose terms cancel less than those of pairwise distances if a row is huge.
        """
        products = self.gram @ weights
        return (self.gram.diagonal() - 2 * products + weights @ products).clamp_(min=0)


def wide(updates: Tensor) -> bool:
    """Return whether the compiled kernels take this matrix: large, float32, contiguous, on the CPU.

    For small matrices, importing the compiler would take longer than it saves.
    """
    plain = updates.device.type == "cpu" and updates.dtype == torch.float32 and updates.is_contiguous()
    return plain and updates.numel() >= WIDE


def version(updates: Tensor) -> int:
    """Return how often a tensor was changed in place; 0 for an inference tensor, which has no counter."""
    return 0 if updates.is_inference() else updates._version


def finite_rows(updates: Tensor) -> Tensor:
    """Return which rows have finite entries only: (n,) bool."""
    good = updates.detach().sum(1).isfinite()  # a finite sum has finite terms; a sum may overflow
    for i in (~good).nonzero()[:, 0].tolist():
        good[i] = updates[i].isfinite().all()
    return good


def check_rows(name: str, rows: Tensor) -> None:
    """Raise InputError unless rows is a finite float32 or float64 matrix (n, d), n, d >= 1. name: for the message.

    float64 entries must be below 1e140, so that sums of their squares are finite.
    """
    check(isinstance(rows, Tensor), f"{name} must be a torch tensor, not {type(rows).__name__}")
    good = rows.ndim == 2 and rows.numel() > 0
    check(good, f"{name} must have the shape (n, d) with n, d >= 1, not {tuple(rows.shape)}")
    good = rows.dtype in (torch.float32, torch.float64)
    check(good, f"{name} must be float32 or float64, not {str(rows.dtype).removeprefix('torch.')}")
    bad = (~finite_rows(rows)).nonzero()[:, 0].tolist()
    first = f"{len(bad)} of {len(rows)} rows are not finite, the first is row {(bad or [0])[0]}"
    check(not bad, f"{name}: {first}: remove them first")
    fits = rows.dtype == torch.float32 or max(map(abs, map(float, rows.detach().aminmax()))) < LARGEST
    check(fits, f"{name} has entries of {LARGEST:g} or more, whose squares are too large for float64")


def _squared_distances(gram: Tensor) -> Tensor:
    """Return the squared distances (n, n) from inner products (n, n); close pairs lose digits by cancellation."""
    norms = gram.diagonal()
    return (norms[:, None] + norms - 2 * gram).clamp_(min=0)


def _central_row(updates: Tensor) -> int:
    """Return the index of the row with the least median distance to the others, on a strided sample of columns.

    Not a mean: huge rows would move it, and rows of zeros would move the mean of the rows with small norms.
    """
    sample = updates[:, :: max(1, updates.shape[1] // SAMPLE)].double()
    return int(torch.cdist(sample, sample).median(1).values.argmin())
