"""Compiled passes over a wide float32 matrix on the CPU, at the speed of memory.

torch cannot sort short columns, or form inner products in float64, without writing a copy of the matrix. These kernels
do both on strips of columns that stay in the cache. They are compiled on first use, kept on disk, and used for wide
matrices only, so that a small federation does not wait for the compiler. The chunks of columns and the order in which
their sums are added do not depend on the number of threads, and so the results do not either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

CHUNK = 1 << 16  # columns of one call
STRIP = 256  # columns that are in the cache together


def gram(updates: Tensor, centre: int) -> Tensor:
    """Return the inner products of the rows minus the row `centre`: (n, n) float64."""
    rows, m = updates.numpy(), -(-len(updates) // 4) * 4
    parts = _over_columns(updates.shape[1], CHUNK, lambda a, b: _gram(rows, a, b, centre, np.zeros((m, m))))
    lower = np.tril(sum(parts))[: len(rows), : len(rows)]
    return torch.from_numpy(lower + np.tril(lower, -1).T)


def squared_distances_to(updates: Tensor, centre: Tensor) -> Tensor:
    """Return the squared distances of the rows to a vector (d,): (n,) float64."""
    rows, middle = updates.numpy(), centre.numpy()
    parts = _over_columns(len(middle), CHUNK, lambda a, b: _squares(rows, a, middle[a:b], np.zeros(len(rows))))
    return torch.from_numpy(sum(parts))


def combine(updates: Tensor, weights: Tensor, value: Tensor) -> None:
    """Write the weighted sum of the rows, added in float64, to value (d,)."""
    rows, factors, out = updates.numpy(), weights.numpy(), value.numpy()
    list(_over_columns(len(out), CHUNK, lambda a, b: _combine(rows, a, factors, out[a:b])))


def sorted_mean(
    updates: Tensor,
    mixing: Tensor | None,
    comparisons: tuple[np.ndarray, np.ndarray],
    first: int,
    last: int,
    value: Tensor,
) -> None:
    """Write the mean of the sorted rows first, ..., last - 1 of every column to value (d,).

    mixing: (m, n) float64: sort the mixed rows `mixing @ updates`, formed strip by strip and rounded to the dtype of
    value. comparisons: of each comparison the row that gets the smaller entry and the row that gets the larger.
    """
    rows, out, (low, high) = updates.numpy(), value.numpy(), comparisons
    factors = np.empty((0, 0)) if mixing is None else np.ascontiguousarray(mixing.numpy())
    empty = (rows if mixing is None else out)[:0].ravel()  # of the dtype in which entries are compared
    parts = _over_columns(
        len(out), CHUNK, lambda a, b: _sorted_mean(rows, a, factors, empty, low, high, first, last, out[a:b])
    )
    list(parts)


def nearest_mean(
    updates: Tensor,
    mixing: Tensor | None,
    comparisons: tuple[np.ndarray, np.ndarray],
    first: int,
    last: int,
    count: int,
    value: Tensor,
) -> None:
    """Write the mean of the `count` entries of each column nearest to its centre to value (d,); see columns.py.

    The centre is the mean of the sorted entries first, ..., last - 1. mixing, comparisons: as in `sorted_mean`.
    """
    rows, out, (low, high) = updates.numpy(), value.numpy(), comparisons
    factors = np.empty((0, 0)) if mixing is None else np.ascontiguousarray(mixing.numpy())
    empty = (rows if mixing is None else out)[:0].ravel()
    parts = _over_columns(
        len(out), CHUNK, lambda a, b: _nearest_mean(rows, a, factors, empty, low, high, first, last, count, out[a:b])
    )
    list(parts)


def _over_columns(d: int, step: int, work: Callable[[int, int], Any]) -> Iterator[Any]:
    """Yield the results of work(start, stop) on chunks of columns, in order, from as many threads as torch uses.

    Use each before the next: together they may be as large as the rows.
    """
    starts = range(0, d, step)
    with ThreadPoolExecutor(min(torch.get_num_threads(), len(starts))) as pool:
        yield from pool.map(lambda start: work(start, min(start + step, d)), starts)


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function on first use and keep the machine code on disk, if a folder can be written."""
    flags = {"reassoc", "contract", "nsz"}
    try:
        return njit(nogil=True, fastmath=flags, cache=True)(function)
    except RuntimeError:  # none can
        return njit(nogil=True, fastmath=flags)(function)


@_compiled
def _gram(rows, begin, end, centre, out):  # type: ignore[no-untyped-def]
    n = len(rows)
    strip = np.zeros((len(out), STRIP))
    for start in range(begin, end, STRIP):
        width = min(STRIP, end - start)
        middle = rows[centre, start : start + width]
        for i in range(n):
            source, target = rows[i, start : start + width], strip[i]
            for k in range(width):
                target[k] = np.float64(source[k]) - np.float64(middle[k])
            target[width:] = 0.0
        for i in range(0, len(out), 4):  # the lower triangle, in tiles of 4 x 4 that stay in registers
            a0, a1, a2, a3 = strip[i], strip[i + 1], strip[i + 2], strip[i + 3]
            for j in range(0, i + 4, 4):
                b0, b1, b2, b3 = strip[j], strip[j + 1], strip[j + 2], strip[j + 3]
                s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = 0.0
                s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = 0.0
                for k in range(STRIP):
                    x0, x1, x2, x3 = a0[k], a1[k], a2[k], a3[k]
                    y0, y1, y2, y3 = b0[k], b1[k], b2[k], b3[k]
                    s00, s01, s02, s03 = s00 + x0 * y0, s01 + x0 * y1, s02 + x0 * y2, s03 + x0 * y3
                    s10, s11, s12, s13 = s10 + x1 * y0, s11 + x1 * y1, s12 + x1 * y2, s13 + x1 * y3
                    s20, s21, s22, s23 = s20 + x2 * y0, s21 + x2 * y1, s22 + x2 * y2, s23 + x2 * y3
                    s30, s31, s32, s33 = s30 + x3 * y0, s31 + x3 * y1, s32 + x3 * y2, s33 + x3 * y3
                tile = out[i : i + 4, j : j + 4]
                tile[0, 0] += s00
                tile[0, 1] += s01
                tile[0, 2] += s02
                tile[0, 3] += s03
                tile[1, 0] += s10
                tile[1, 1] += s11
                tile[1, 2] += s12
                tile[1, 3] += s13
                tile[2, 0] += s20
                tile[2, 1] += s21
                tile[2, 2] += s22
                tile[2, 3] += s23
                tile[3, 0] += s30
                tile[3, 1] += s31
                tile[3, 2] += s32
                tile[3, 3] += s33
    return out


@_compiled
def _squares(rows, begin, centre, out):  # type: ignore[no-untyped-def]
    for i in range(len(rows)):
        row, total = rows[i, begin : begin + len(centre)], 0.0
        for k in range(len(centre)):
            gap = np.float64(row[k]) - np.float64(centre[k])
            total += gap * gap
        out[i] = total
    return out


@_compiled
def _combine(rows, begin, weights, out):  # type: ignore[no-untyped-def]
    total = np.empty(32 * STRIP)
    for start in range(0, len(out), len(total)):
        target = out[start : start + len(total)]
        total[:] = 0.0
        for i in range(len(rows)):
            source, weight = rows[i, begin + start : begin + start + len(target)], weights[i]
            for k in range(len(source)):
                total[k] += weight * source[k]
        for k in range(len(target)):
            target[k] = total[k]


@_compiled
def _sort_strip(rows, begin, width, mixing, low, high, source, total, strip):  # type: ignore[no-untyped-def]
    """Write `width` columns of the rows, or of their mixtures, to strip (n, STRIP), each column sorted."""
    for i in range(len(rows)):
        part = rows[i, begin : begin + width]
        if len(mixing):
            source[i, :width] = part
        else:
            strip[i, :width] = part
    for i in range(len(mixing)):
        total[:] = 0.0
        for j in range(len(rows)):
            if mixing[i, j] != 0.0:
                weight, row = mixing[i, j], source[j]
                for k in range(STRIP):
                    total[k] += weight * row[k]
        strip[i, :] = total
    for step in range(len(low)):
        a, b = strip[low[step]], strip[high[step]]
        for k in range(STRIP):
            x, y = a[k], b[k]
            a[k], b[k] = min(x, y), max(x, y)


@_compiled
def _sorted_mean(rows, begin, mixing, kind, low, high, first, last, out):  # type: ignore[no-untyped-def]
    n = len(mixing) if len(mixing) else len(rows)
    strip, total = np.zeros((n, STRIP), kind.dtype), np.zeros(STRIP)
    source = np.zeros((len(rows), STRIP))
    for start in range(0, len(out), STRIP):
        target = out[start : start + STRIP]
        _sort_strip(rows, begin + start, len(target), mixing, low, high, source, total, strip)
        total[:] = 0.0
        for i in range(first, last):
            row = strip[i]
            for k in range(STRIP):
                total[k] += row[k]
        for k in range(len(target)):
            target[k] = total[k] / (last - first)


@_compiled
def _nearest_mean(rows, begin, mixing, kind, low, high, first, last, count, out):  # type: ignore[no-untyped-def]
    n = len(mixing) if len(mixing) else len(rows)
    strip, total, source = np.zeros((n, STRIP), kind.dtype), np.zeros(STRIP), np.zeros((len(rows), STRIP))
    centre, radius, edge = np.zeros(STRIP), np.zeros(STRIP), np.zeros(STRIP)
    inside, tied = np.zeros(STRIP), np.zeros(STRIP)
    for start in range(0, len(out), STRIP):
        target = out[start : start + STRIP]
        _sort_strip(rows, begin + start, len(target), mixing, low, high, source, total, strip)
        centre[:] = 0.0
        for i in range(first, last):
            row = strip[i]
            for k in range(STRIP):
                centre[k] += row[k]
        for k in range(STRIP):
            centre[k] /= last - first
        radius[:] = np.inf
        for i in range(n - count + 1):
            a, b = strip[i], strip[i + count - 1]
            for k in range(STRIP):
                radius[k] = min(radius[k], max(centre[k] - a[k], b[k] - centre[k]))
        total[:], edge[:], inside[:], tied[:] = 0.0, 0.0, 0.0, 0.0
        for i in range(n):
            row = strip[i]
            for k in range(STRIP):
                distance = abs(row[k] - centre[k])
                nearer, same = distance < radius[k], distance == radius[k]
                inside[k] += nearer
                tied[k] += same
                total[k] += row[k] if nearer else 0.0
                edge[k] += row[k] if same else 0.0
        for k in range(len(target)):
            target[k] = (total[k] + (count - inside[k]) / tied[k] * edge[k]) / count
