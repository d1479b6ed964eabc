"""Inner products, norms and distances of rows and of mixtures of rows, from one Gram matrix.

The Gram matrix is centred on an actual, central row: an offset that all rows share and that is much larger than their
spread would cancel the digits of the differences. The origin is one more row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property

import torch
from torch import Tensor

from .gram import bordered, cosines_of, squared_distances_of

SAMPLE = 256  # most columns of the sample that selects a central row
CLOSE = 1e-7  # squares below this share of the squares that cancel in them are recomputed from the rows
OFF_CENTRE = 1e4  # a row whose median squared distance exceeds the least one by this factor is no centre
OFF_ORIGIN = 1e4  # a row that is longer than another by this factor is no centre for inner products about the origin
NO_WEIGHT = 1e-12  # of the origin in a mixture: rounding of a sum of weights


class InnerProducts(ABC):
    """The part of `Rows` that is computed from inner products; all results are cached."""

    updates: Tensor
    mixing: Tensor | None

    @property
    @abstractmethod
    def base(self) -> InnerProducts: ...

    @property
    @abstractmethod
    def n(self) -> int: ...

    @property
    @abstractmethod
    def d(self) -> int: ...

    @property
    @abstractmethod
    def is_wide(self) -> bool: ...

    @property
    @abstractmethod
    def equal(self) -> Tensor: ...

    @abstractmethod
    def blocks(self) -> Iterator[tuple[slice, Tensor]]: ...

    @abstractmethod
    def projections(self, vector: Tensor) -> Tensor: ...

    @abstractmethod
    def projections_and_norms(self, vector: Tensor) -> tuple[Tensor, Tensor]: ...

    @abstractmethod
    def squared_distances_to(self, centre: Tensor | None) -> Tensor: ...

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
        medians = _row_medians(squared_distances_of(gram))
        central = int(medians.argmin())
        # A row may be central on the sample and huge elsewhere: centred on it, the others would lose their digits.
        if medians[centre] > OFF_CENTRE * medians[central]:
            gram, centre = self._gram_around(central), central
        return gram, centre

    @property
    def centred_gram(self) -> tuple[Tensor, int]:
        """The inner products of the base rows around a central one (n, n), and the index of that row."""
        return self.base._centred

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
        return bordered(gram, column)

    @cached_property
    def _products_with_centre(self) -> Tensor:
        """The inner products of the base rows with the central one: (n,)."""
        return self.projections(self.updates[self._centred[1]])

    @cached_property
    def norms(self) -> Tensor:
        """The norms of the rows: (n,) float64. Of a matrix and of multiples of its rows from one pass over it."""
        if self.mixing is None:
            return self.squared_distances_to(None).sqrt()
        if bool((self.mixing.count_nonzero(1) <= 1).all()):
            return self.mixing.abs() @ self.base.norms
        return self.origin_gram.diagonal().clamp(min=0).sqrt()

    @cached_property
    def origin_gram(self) -> Tensor:
        """Inner products of the rows: (n, n) float64. From `gram` and one more pass.

        Those of mixtures from those of the base rows; from the mixed rows where base rows cancel in one of them.
        """
        if self.mixing is not None:
            inner = self.mixing @ self.base.origin_gram @ self.mixing.T
            sizes = (self.mixing.abs() @ self.base.norms).square()
            return self._gram_around(None) if bool((inner.diagonal() < CLOSE * sizes).any()) else inner
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

    def read_once(self) -> None:
        """Compute the two vectors of `origin_gram` in one pass over the rows, unless one is known: they need two alone.

        The last bits of the norms may differ from those of `norms` alone: call it where no rule or attack follows.
        """
        if self.mixing is None and not {"norms", "_products_with_centre"} & vars(self).keys():
            centre = self.updates[self._centred[1]]
            self._products_with_centre, self.norms = self.projections_and_norms(centre)

    @cached_property
    def cosines(self) -> Tensor:
        """The cosines of the angles between the rows: (n, n) float64; 0 for a row of zeros."""
        return cosines_of(self.origin_gram)

    def _gram_around(self, centre: int | None) -> Tensor:
        """Return the inner products of the rows around the origin, or of base rows around one of them: (n, n)."""
        if self.is_wide and centre is not None:
            from . import sum_kernels

            return sum_kernels.gram(self.updates, centre)
        total = torch.zeros(self.n, self.n, dtype=torch.float64, device=self.updates.device)
        for _, block in self.blocks():
            block = block if centre is None else block - block[centre]
            total.addmm_(block, block.T)
        return (total + total.T) / 2

    @cached_property
    def squared_distances(self) -> Tensor:
        """Squared distances between the rows: (n, n) float64, zero diagonal."""
        norms = self.gram.diagonal()
        distances = squared_distances_of(self.gram)
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
                distances = bordered(distances, squares)
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


def _central_row(updates: Tensor) -> int:
    """Return the index of the row with the least median distance to the others, on a strided sample of columns.

    Not a mean: huge rows would move it, and rows of zeros would move the mean of the rows with small norms.
    """
    sample = updates[:, :: -(-updates.shape[1] // SAMPLE)].double()
    return int(_row_medians(torch.cdist(sample, sample)).argmin())


def _row_medians(distances: Tensor) -> Tensor:
    """Return the lower median of each row (n,). By sorting: `median` with indices is not deterministic on CUDA."""
    return distances.sort(1).values[:, (distances.shape[1] - 1) // 2]
