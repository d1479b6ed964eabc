"""Order statistics and moments of every column, in one pass over blocks of columns that fit the cache.

Columns are sorted by a sorting network (Batcher's merge exchange: Knuth, The Art of Computer Programming 3, Algorithm
5.2.2M), whose comparisons are minima and maxima of whole rows: vectorised passes over contiguous memory, on a CPU as on
a GPU. For wide matrices on the CPU a compiled kernel makes the same comparisons; NumPy sorts those of few columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import cast

import numpy as np
import torch
from torch import Tensor

from .copies import Copies
from .errors import check_choice
from .rows import Rows, wide
from .tries import SampledTries

FEW = 4096  # columns below which NumPy sorts them, one by one, faster than the network, whose steps have a price each
MIDDLES = ("midpoint", "lower", "upper")


def median(rows: Rows, middle: str = "midpoint", dtype: torch.dtype | None = None) -> Tensor:
    """Return the median of each column: (d,). For even n it is the midpoint, the lower or the upper of the middle two.

    dtype: of the result; that of the rows by default. float64 keeps the midpoint exact.
    """
    return sorted_mean(rows, *middle_ranks(rows.n, middle), dtype)


def middle_ranks(n: int, middle: str) -> tuple[int, int]:
    """Return the first rank and the end of the ranks of n sorted numbers whose mean is their median.

    >>> middle_ranks(4, "midpoint"), middle_ranks(4, "lower"), middle_ranks(5, "upper")
    ((1, 3), (1, 2), (2, 3))
    """
    check_choice("middle", middle, MIDDLES)
    lower, upper = (n - 1) // 2, n // 2
    return (upper if middle == "upper" else lower), (lower if middle == "lower" else upper) + 1


def sorted_mean(rows: Rows, first: int, last: int, dtype: torch.dtype | None = None) -> Tensor:
    """Return the mean of the sorted entries first, ..., last - 1 of each column: (d,). Medians and trimmed means.

    dtype: of the result; that of the rows by default. Entries are added in float64. Mixed rows are first rounded to the
    dtype of the result.
    """
    if isinstance(rows, SampledTries):
        return rows.by_column(lambda each: sorted_mean(each, first, last))
    if isinstance(rows, Copies):
        total = sum(rows.of_rank(rank).double() for rank in range(first, last))
        return cast(Tensor, total / (last - first)).to(dtype or rows.updates.dtype)
    value = rows.updates.new_empty(rows.d, dtype=dtype)
    if wide(rows.updates):
        from . import column_kernels

        column_kernels.sorted_mean(rows.updates, rows.mixing, comparisons(rows.n, first, last), first, last, value)
        return value
    for part, block in rows.blocks(rows.updates.dtype if rows.mixing is None else value.dtype):
        value[part] = sort_rows(block)[first:last].double().mean(0)
    return value


def nearest_mean(rows: Rows, count: int, trim: int | None = None, middle: str = "midpoint") -> Tensor:
    """Return the mean of the `count` entries of each column that are nearest to its centre: (d,).

    The centre is the median, or the mean without the `trim` largest and smallest entries if `trim` is given. Entries at
    exactly the largest distance that counts share the remaining places equally: neither the order of the rows nor their
    sign matters. In a sorted column the nearest entries are consecutive, so that distance is the least over all windows
    of `count` entries of the larger distance of a window's two ends.
    """
    if isinstance(rows, SampledTries):
        return rows.by_column(lambda each: nearest_mean(each, count, trim, middle))
    n = rows.n
    first, last = middle_ranks(n, middle) if trim is None else (trim, n - trim)
    value = rows.updates.new_empty(rows.d)
    if wide(rows.updates):
        from . import column_kernels

        column_kernels.nearest_mean(rows.updates, rows.mixing, comparisons(n, 0, n), first, last, count, value)
        return value
    for part, block in rows.blocks(rows.updates.dtype if rows.mixing is None else value.dtype):
        value[part] = nearest_mean_of_sorted(sort_rows(block), first, last, count)
    return value


def nearest_mean_of_sorted(block: Tensor, first: int, last: int, count: int) -> Tensor:
    """Return `nearest_mean` of a block (n, ...) sorted along its first axis: (...), float64."""
    block = block.double()
    centre = block[first:last].mean(0)
    radius = torch.maximum(centre - block[: len(block) - count + 1], block[count - 1 :] - centre).amin(0)
    distances = (block - centre).abs_()
    inside, edge = distances < radius, distances == radius
    places = (count - inside.sum(0)) / edge.sum(0)
    return ((inside * block).sum(0) + places * (edge * block).sum(0)) / count


@lru_cache(maxsize=64)
def comparisons(n: int, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the comparisons of the sorting network that the sorted rows first, ..., last - 1 depend on, in order.

    Of each comparison: the index of the row that gets the smaller entries, and of the row that gets the larger.
    """
    pairs = [(i, i + gap) for p, r, gap in merge_exchange(n) for i in range(n - gap) if i & p == r]
    needed, kept = set(range(first, last)), []
    for low, high in reversed(pairs):
        if low in needed or high in needed:
            needed |= {low, high}
            kept.append((low, high))
    smaller, larger = np.array(kept[::-1], dtype=np.int64).reshape(-1, 2).T.copy()
    return smaller, larger


def moments(block: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the biased standard deviation of the columns of a float64 block: (columns,) each."""
    mean = block.mean(0)
    return mean, (block - mean).square_().mean(0).sqrt_()


def mean_and_deviations(rows: Rows, factor: float) -> Tensor:
    """Return mean + factor std of each column: (d,), in the type of the rows. std is the biased one."""
    value = rows.updates.new_empty(rows.d)
    if rows.mixing is None and rows.is_wide:
        from . import column_kernels

        column_kernels.mean_and_deviations(rows.updates, factor, value)
    else:
        for part, block in rows.blocks():
            mean, std = moments(block)
            value[part] = mean + factor * std
    rows.notice(value)
    return value


def sort_rows(block: Tensor) -> Tensor:
    """Return a copy of a block (n, columns) with every column sorted in ascending order.

    >>> sort_rows(torch.tensor([[3.0, 1.0], [1.0, 2.0], [2.0, 0.0]])).tolist()
    [[1.0, 0.0], [2.0, 1.0], [3.0, 2.0]]
    """
    known = block.dtype in (torch.float32, torch.float64)  # to NumPy
    if block.device.type == "cpu" and known and block.shape[1] < FEW:
        return sort_last(block.mT.contiguous()).mT.contiguous()
    return sort_by_network(block)


def sort_by_network(block: Tensor) -> Tensor:
    """Return a copy of a block (n, columns) with every column sorted by the sorting network."""
    block = block.clone(memory_format=torch.contiguous_format)
    buffer = torch.empty_like(block)
    for low, high in _compared(block):
        smaller = buffer[: low.shape[:-1].numel()].view(low.shape)
        torch.minimum(low, high, out=smaller)
        torch.maximum(low, high, out=high)
        low.copy_(smaller)
    return block


def sort_last(values: Tensor, *, overwrite: bool = False) -> Tensor:
    """Return values sorted along the last axis; on a CPU by NumPy, which is several times faster on short rows.

    overwrite: the values may be sorted where they lie.
    """
    if values.device.type == "cpu" and not values.requires_grad:
        if not overwrite:
            return torch.from_numpy(np.sort(values.numpy(), axis=-1))
        values.numpy().sort(axis=-1)
        return values
    return values.sort(-1).values


def _compared(block: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield views of the rows to compare, two of one shape: those that get the smaller and the larger entries."""
    for p, r, gap in merge_exchange(len(block)):
        end = len(block) - gap
        runs = max(0, end - r) // (2 * p)  # whole runs of p rows, one in every 2 p
        if runs:
            yield _runs(block, r, runs, p), _runs(block, r + gap, runs, p)
        start = r + 2 * p * runs
        length = min(p, end - start)
        if length > 0:
            yield block[start : start + length], block[start + gap : start + gap + length]


def merge_exchange(n: int) -> Iterator[tuple[int, int, int]]:
    """Yield the steps (p, r, gap) of merge exchange: compare the rows i and i + gap for all i with i & p == r."""
    top = p = 1 << max(0, (n - 1).bit_length() - 1)
    while p and n > 1:
        q, r, gap = top, 0, p
        while True:
            yield p, r, gap
            if q == p:
                break
            gap, q, r = q - p, q // 2, p
        p //= 2


def _runs(block: Tensor, start: int, runs: int, p: int) -> Tensor:
    """Return p rows from `start`, and p rows again after every 2 p rows, as a view (runs, p, columns)."""
    stride = block.stride(0)
    return block.as_strided(
        (runs, p, block.shape[1]), (2 * p * stride, stride, 1), block.storage_offset() + start * stride
    )
