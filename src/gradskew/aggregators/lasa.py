from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..core.errors import ceil_share, check, check_choice, check_number
from ..core.round import Layer, check_layers
from ..core.rows import Rows
from .base import NO_BUFFERS, Aggregator, Outcome
from .clipping import clip_factors
from .largest import deviate_less, largest_entries, matrix_of


@dataclass(frozen=True, kw_only=True)
class LASA(Aggregator):
    """Layer-adaptive sparsified aggregation: in each layer, average the rows of usual norm and usual signs.

    M is the median of the norms, y_i = g_i min(1, M / |g_i|). z_i is y_i with only its floor((1 - s) d) entries of the
    largest absolute value in the d columns of weight tensors (of two or more dimensions); other columns stay. In layer
    l: a_i = |z_i^l|; q_i = (1 + (1 - s) sum sign / sum |sign|) / 2 over the entries of z_i^l, 1/2 if all are 0. The
    deviation of a number is its distance from the median divided by the standard deviation. The aggregate is the mean
    of y_i^l over the rows whose deviations are below lambda_n (of a) and lambda_s (of q), over all rows if there are
    none. f is not used.

    sparsity: s. average: `dense`, or `sparse` for z_i^l instead of y_i^l, as in the authors' code.
    """

    key: ClassVar[str] = "lasa"
    title: ClassVar[str] = "LASA"
    source: ClassVar[str] = "Xu, Zhang and Hu, WACV 2025"
    needs: ClassVar[frozenset[str]] = frozenset({"layers"})
    sparsity: float = 0.3
    lambda_n: float = 1.0
    lambda_s: float = 1.0
    average: str = "dense"

    def __post_init__(self) -> None:
        check_number("sparsity", self.sparsity, at_least=0, below=1)
        check_number("lambda_n", self.lambda_n, at_least=0)
        check_number("lambda_s", self.lambda_s, at_least=0)
        check_choice("average", self.average, ("dense", "sparse"))

    def check_setting(self, *, n: int, buffers: bool) -> None:
        super().check_setting(n=n, buffers=buffers)
        check(not buffers, f"{self.name} {NO_BUFFERS}")

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        layers = check_layers(rows.round, rows.d)
        check(layers[-1].columns.stop == rows.d, f"the layers end before column {rows.d} of the rows")
        matrix, factors = matrix_of(rows), clip_factors(rows.norms, rows.norms.quantile(0.5))[:, None]
        thinned = self._thinned(matrix, layers)
        value, kept = rows.updates.new_empty(rows.d), 0
        for layer in layers:
            passed = self._passed(matrix, thinned, factors, layer.columns)
            kept += int(passed.sum()) * len(value[layer.columns])
            for part, entries, zero in _blocks(matrix, thinned, layer.columns):
                entries = (entries * factors)[passed]
                value[part] = (entries.masked_fill(zero[passed], 0) if self.average == "sparse" else entries).mean(0)
        return Outcome(value, None, {"kept": kept / rows.d})

    def _thinned(self, matrix: Tensor, layers: list[Layer]) -> Tensor:
        """Return which entries are set to 0 in z: (n, d) bool."""
        weights = [layer.columns for layer in layers if len(layer.shape) > 1]
        zero = torch.zeros(matrix.shape, dtype=torch.bool, device=matrix.device)
        if weights and self.sparsity:
            width = sum(part.stop - part.start for part in weights)
            kept = largest_entries(matrix, width - ceil_share(self.sparsity, width), weights)
            for part in weights:
                torch.logical_not(kept[:, part], out=zero[:, part])
        return zero

    def _passed(self, matrix: Tensor, thinned: Tensor, factors: Tensor, columns: slice) -> Tensor:
        """Return which rows are averaged in a layer: (n,) bool."""
        squares, signs, nonzero = (factors.new_zeros(len(matrix)) for _ in range(3))
        for _, entries, zero in _blocks(matrix, thinned, columns):
            entries = (entries * factors).masked_fill_(zero, 0)
            squares += entries.square().sum(1)
            signs += entries.sign().sum(1)
            nonzero += (entries != 0).sum(1)
        balance = (1 + (1 - self.sparsity) * signs / nonzero.clamp(min=1)) / 2
        passed = deviate_less(squares.sqrt(), self.lambda_n) & deviate_less(balance, self.lambda_s)
        return passed if passed.any() else torch.ones_like(passed)

    def extra_rows(self, n: int, clients: int) -> float:
        """Return n / 2: two masks, of the large entries and of those that are set to 0."""
        return n / 2

    def kappa_bound(self, n: int, f: int) -> float | None:
        """Return infinity for f > 0: rows with the entries of equal honest ones in another order are averaged."""
        return math.inf if f else None


def _blocks(matrix: Tensor, thinned: Tensor, columns: slice):  # type: ignore[no-untyped-def]
    """Yield slices of the columns with the entries, in float64, and which of them are set to 0."""
    for part, block in Rows(matrix[:, columns]).blocks():
        place = slice(columns.start + part.start, columns.start + part.stop)
        yield place, block, thinned[:, place]
