"""The coordinate engine: order statistics and moments of every column, in one pass over cache-sized blocks.

Columns are sorted by a network of minima and maxima of whole rows (Batcher's merge exchange: Knuth, The Art of Computer
Programming 3, Algorithm 5.2.2M). Each comparison is a vectorised pass over contiguous memory, on a CPU as on a GPU, so
nothing has to be compiled or transposed.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .checks import check_choice
from .geometry import Rows

MIDDLES = ("midpoint", "lower", "upper")


def median(rows: Rows, middle: str = "midpoint") -> Tensor:
    """The median of each column (d,); for even n the midpoint of the middle two, or the lower or upper of them."""
    value = rows.updates.new_empty(rows.d)
    for part, block in rows.blocks(rows.updates.dtype):
        value[part] = middle_row(sort_rows(block), middle)
    return value


def squared_distances_to_median(rows: Rows, middle: str = "midpoint") -> Tensor:
    """Squared distances of the rows to their median, which is never rounded to float32: (n,) float64."""
    total = torch.zeros(rows.n, dtype=torch.float64, device=rows.updates.device)
    for _, block in rows.blocks(rows.updates.dtype if rows.mixing is None else torch.float64):
        total += (block.double() - middle_row(sort_rows(block), middle)).square_().sum(1)
    return total


def trimmed_mean(rows: Rows, f: int) -> Tensor:
    """The mean of each column without its f largest and f smallest entries (d,)."""
    value = rows.updates.new_empty(rows.d)
    for part, block in rows.blocks(rows.updates.dtype):
        value[part] = sort_rows(block)[f : rows.n - f].double().mean(0)
    return value


def middle_row(ordered: Tensor, middle: str) -> Tensor:
    """The median row, in float64, of a block whose columns are sorted.

    In float32, the midpoint of two rows of 3e38 would not be finite, and that of close rows would be one of them.
    """
    check_choice("middle", middle, MIDDLES)
    lower, upper = ordered[(len(ordered) - 1) // 2].double(), ordered[len(ordered) // 2].double()
    if middle == "midpoint":
        return (lower + upper) / 2
    return lower if middle == "lower" else upper


def moments(block: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased standard deviation of the columns of a float64 block."""
    mean = block.mean(0)
    return mean, (block - mean).square_().mean(0).sqrt_()


def sort_rows(block: Tensor) -> Tensor:
    """A copy of an (n, columns) block with every column sorted ascending.

    >>> sort_rows(torch.tensor([[3.0, 1.0], [1.0, 2.0], [2.0, 0.0]])).tolist()
    [[1.0, 0.0], [2.0, 1.0], [3.0, 2.0]]
    """
    block = block.clone(memory_format=torch.contiguous_format)
    spare = torch.empty_like(block)
    for low, high in _comparisons(block):
        smaller = spare[: low.shape[:-1].numel()].view(low.shape)
        torch.minimum(low, high, out=smaller)
        torch.maximum(low, high, out=high)
        low.copy_(smaller)
    return block


def _comparisons(block: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The network's steps as pairs of views of equal shape: rows i and i + distance, for i with bit p equal to r."""
    n = len(block)
    top = 1 << max(0, (n - 1).bit_length() - 1)
    p = top
    while p and n > 1:
        q, r, distance = top, 0, p
        while True:
            end = n - distance
            runs = max(0, end - r) // (2 * p)  # whole runs of p rows, one in every 2 p
            if runs:
                yield _runs(block, r, runs, p), _runs(block, r + distance, runs, p)
            start = r + 2 * p * runs
            length = min(p, end - start)
            if length > 0:
                yield block[start : start + length], block[start + distance : start + distance + length]
            if q == p:
                break
            distance, q, r = q - p, q // 2, p
        p //= 2


def _runs(block: Tensor, start: int, runs: int, p: int) -> Tensor:
    """The rows start, ..., start + p - 1 and their like every 2 p rows, as a (runs, p, columns) view."""
    stride = block.stride(0)
    return block.as_strided(
        (runs, p, block.shape[1]), (2 * p * stride, stride, 1), block.storage_offset() + start * stride
    )
