"""Compiled sums, moments and order statistics of the columns of a wide float32 matrix on the CPU.

Eight rows at a time are added to a strip of columns, whose float64 sums stay in the cache. torch cannot sort short
columns without writing a copy of the matrix; here strips are sorted by the comparisons of a sorting network: see
columns.py. `_add_rows` lies beside all that call it: numba keeps compiled code until the file of the caller changes.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from .compiled import compiled, over_columns

STRIP = 4096  # columns whose sums are in the cache together
SORTED = 256  # columns of all rows that are in the cache together, to be sorted


def combine(
    updates: Tensor, weights: Tensor, divisor: int, vector: Tensor | None, factor: float, value: Tensor
) -> None:
    """Write the weighted sum of the rows / divisor + factor * vector to value (d,). Rows of weight 0 are not read."""
    rows, out = updates.numpy(), value.numpy()
    added = rows[0, :0] if vector is None else vector.numpy()
    used = np.flatnonzero(weights.numpy())
    factors = weights.numpy()[used]
    parts = over_columns(
        rows.shape, lambda a, b: _combine(rows, a, used, factors, divisor, added[a:b], factor, out[a:b])
    )
    list(parts)


def mean_and_deviations(updates: Tensor, factor: float, value: Tensor) -> None:
    """Write mean + factor std of every column to value (d,); std is the biased one."""
    rows, out = updates.numpy(), value.numpy()
    list(over_columns(rows.shape, lambda a, b: _mean_and_deviations(rows, a, factor, out[a:b])))


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
    mixture = _sparse(mixing, len(rows))
    empty = (rows if mixing is None else out)[:0].ravel()  # of the dtype in which entries are compared
    parts = over_columns(
        rows.shape, lambda a, b: _sorted_mean(rows, a, mixture, empty, low, high, first, last, out[a:b])
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
    mixture = _sparse(mixing, len(rows))
    empty = (rows if mixing is None else out)[:0].ravel()
    parts = over_columns(
        rows.shape, lambda a, b: _nearest_mean(rows, a, mixture, empty, low, high, first, last, count, out[a:b])
    )
    list(parts)


def _sparse(mixing: Tensor | None, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each of m mixed rows the n rows, those of weight 0 last, their weights, and the number of others."""
    weights = np.empty((0, n)) if mixing is None else mixing.numpy()
    order = np.argsort(weights == 0, axis=1, kind="stable")
    return order, np.take_along_axis(weights, order, 1), np.count_nonzero(weights, axis=1)


@compiled
def _add_rows(rows, used, weights, begin, end, sums):  # type: ignore[no-untyped-def]
    """Add the columns begin, ..., end - 1 of the rows `used`, times their weights, to sums."""
    last = len(used) // 8 * 8
    for i in range(0, last, 8):
        i0, i1, i2, i3 = used[i], used[i + 1], used[i + 2], used[i + 3]
        i4, i5, i6, i7 = used[i + 4], used[i + 5], used[i + 6], used[i + 7]
        x0, x1, x2, x3 = rows[i0, begin:end], rows[i1, begin:end], rows[i2, begin:end], rows[i3, begin:end]
        x4, x5, x6, x7 = rows[i4, begin:end], rows[i5, begin:end], rows[i6, begin:end], rows[i7, begin:end]
        w0, w1, w2, w3 = weights[i], weights[i + 1], weights[i + 2], weights[i + 3]
        w4, w5, w6, w7 = weights[i + 4], weights[i + 5], weights[i + 6], weights[i + 7]
        for k in range(end - begin):
            low = w0 * x0[k] + w1 * x1[k] + w2 * x2[k] + w3 * x3[k]
            sums[k] += low + (w4 * x4[k] + w5 * x5[k] + w6 * x6[k] + w7 * x7[k])
    for i in range(last, len(used)):
        row, weight = rows[used[i], begin:end], weights[i]
        for k in range(end - begin):
            sums[k] += weight * row[k]


@compiled
def _combine(rows, begin, used, weights, divisor, vector, factor, out):  # type: ignore[no-untyped-def]
    sums = np.empty(STRIP)
    for start in range(0, len(out), STRIP):
        target = out[start : start + STRIP]
        sums[:] = 0.0
        _add_rows(rows, used, weights, begin + start, begin + start + len(target), sums)
        for k in range(len(target)):
            sums[k] /= divisor
        added = vector[start : start + STRIP]
        for k in range(len(added)):
            sums[k] += factor * added[k]
        target[:] = sums[: len(target)]


@compiled
def _mean_and_deviations(rows, begin, factor, out):  # type: ignore[no-untyped-def]
    """Add deviations from the first row, whose mean square is at most n + 1 times their variance, and their squares."""
    n, last = len(rows), len(rows) // 8 * 8
    shift, sums, squares = np.empty(STRIP), np.empty(STRIP), np.empty(STRIP)
    for start in range(0, len(out), STRIP):
        target = out[start : start + STRIP]
        a, b = begin + start, begin + start + len(target)
        sums[:], squares[:] = 0.0, 0.0
        row = rows[0, a:b]
        for k in range(len(target)):
            shift[k] = row[k]
        for i in range(0, last, 8):
            x0, x1, x2, x3 = rows[i, a:b], rows[i + 1, a:b], rows[i + 2, a:b], rows[i + 3, a:b]
            x4, x5, x6, x7 = rows[i + 4, a:b], rows[i + 5, a:b], rows[i + 6, a:b], rows[i + 7, a:b]
            for k in range(len(target)):
                y = shift[k]
                y0, y1, y2, y3 = x0[k] - y, x1[k] - y, x2[k] - y, x3[k] - y
                y4, y5, y6, y7 = x4[k] - y, x5[k] - y, x6[k] - y, x7[k] - y
                sums[k] += (y0 + y1 + y2 + y3) + (y4 + y5 + y6 + y7)
                low = y0 * y0 + y1 * y1 + y2 * y2 + y3 * y3
                squares[k] += low + (y4 * y4 + y5 * y5 + y6 * y6 + y7 * y7)
        for i in range(last, n):
            row = rows[i, a:b]
            for k in range(len(target)):
                y = row[k] - shift[k]
                sums[k] += y
                squares[k] += y * y
        for k in range(len(target)):
            mean = sums[k] / n
            target[k] = shift[k] + mean + factor * np.sqrt(max(squares[k] / n - mean * mean, 0.0))


@compiled
def _sort_strip(rows, begin, width, mixture, low, high, source, total, strip):  # type: ignore[no-untyped-def]
    """Write `width` columns of the rows, or of their mixtures, to strip (n, SORTED), each column sorted."""
    order, weights, counts = mixture
    for i in range(len(rows)):
        part = rows[i, begin : begin + width]
        if len(counts):
            source[i, :width] = part
        else:
            strip[i, :width] = part
    for i in range(len(counts)):
        total[:] = 0.0
        _add_rows(source, order[i, : counts[i]], weights[i], 0, SORTED, total)
        strip[i, :] = total
    for step in range(len(low)):
        a, b = strip[low[step]], strip[high[step]]
        for k in range(SORTED):
            x, y = a[k], b[k]
            a[k], b[k] = min(x, y), max(x, y)


@compiled
def _mean(strip, first, last, out):  # type: ignore[no-untyped-def]
    """Write the mean of the rows first, ..., last - 1 of a strip to out (SORTED,)."""
    out[:] = 0.0
    for i in range(first, last):
        row = strip[i]
        for k in range(SORTED):
            out[k] += row[k]
    for k in range(SORTED):
        out[k] /= last - first


@compiled
def _sorted_mean(rows, begin, mixture, kind, low, high, first, last, out):  # type: ignore[no-untyped-def]
    n = len(mixture[2]) or len(rows)
    strip, total = np.zeros((n, SORTED), kind.dtype), np.zeros(SORTED)
    source = np.zeros((len(rows), SORTED))
    for start in range(0, len(out), SORTED):
        target = out[start : start + SORTED]
        _sort_strip(rows, begin + start, len(target), mixture, low, high, source, total, strip)
        _mean(strip, first, last, total)
        target[:] = total[: len(target)]


@compiled
def _nearest_mean(rows, begin, mixture, kind, low, high, first, last, count, out):  # type: ignore[no-untyped-def]
    n = len(mixture[2]) or len(rows)
    strip, total, source = np.zeros((n, SORTED), kind.dtype), np.zeros(SORTED), np.zeros((len(rows), SORTED))
    centre, radius, edge = np.zeros(SORTED), np.zeros(SORTED), np.zeros(SORTED)
    inside, tied = np.zeros(SORTED), np.zeros(SORTED)
    for start in range(0, len(out), SORTED):
        target = out[start : start + SORTED]
        _sort_strip(rows, begin + start, len(target), mixture, low, high, source, total, strip)
        _mean(strip, first, last, centre)
        radius[:] = np.inf
        for i in range(n - count + 1):
            a, b = strip[i], strip[i + count - 1]
            for k in range(SORTED):
                radius[k] = min(radius[k], max(centre[k] - a[k], b[k] - centre[k]))
        total[:], edge[:], inside[:], tied[:] = 0.0, 0.0, 0.0, 0.0
        for i in range(n):
            row = strip[i]
            for k in range(SORTED):
                distance = abs(row[k] - centre[k])
                nearer, same = distance < radius[k], distance == radius[k]
                inside[k] += nearer
                tied[k] += same
                total[k] += row[k] if nearer else 0.0
                edge[k] += row[k] if same else 0.0
        for k in range(len(target)):
            target[k] = (total[k] + (count - inside[k]) / tied[k] * edge[k]) / count
