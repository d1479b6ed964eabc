"""Compiled order statistics of the columns of a wide float32 matrix on the CPU.

torch cannot sort short columns without writing a copy of the matrix. These kernels sort strips of columns that stay in
the cache, by the comparisons of a sorting network: see columns.py.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from .compiled import compiled, over_columns
from .sum_kernels import add_rows

STRIP = 256  # columns that are in the cache together


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
def _sort_strip(rows, begin, width, mixture, low, high, source, total, strip):  # type: ignore[no-untyped-def]
    """Write `width` columns of the rows, or of their mixtures, to strip (n, STRIP), each column sorted."""
    order, weights, counts = mixture
    for i in range(len(rows)):
        part = rows[i, begin : begin + width]
        if len(counts):
            source[i, :width] = part
        else:
            strip[i, :width] = part
    for i in range(len(counts)):
        total[:] = 0.0
        add_rows(source, order[i, : counts[i]], weights[i], 0, STRIP, total)
        strip[i, :] = total
    for step in range(len(low)):
        a, b = strip[low[step]], strip[high[step]]
        for k in range(STRIP):
            x, y = a[k], b[k]
            a[k], b[k] = min(x, y), max(x, y)


@compiled
def _mean(strip, first, last, out):  # type: ignore[no-untyped-def]
    """Write the mean of the rows first, ..., last - 1 of a strip to out (STRIP,)."""
    out[:] = 0.0
    for i in range(first, last):
        row = strip[i]
        for k in range(STRIP):
            out[k] += row[k]
    for k in range(STRIP):
        out[k] /= last - first


@compiled
def _sorted_mean(rows, begin, mixture, kind, low, high, first, last, out):  # type: ignore[no-untyped-def]
    n = len(mixture[2]) or len(rows)
    strip, total = np.zeros((n, STRIP), kind.dtype), np.zeros(STRIP)
    source = np.zeros((len(rows), STRIP))
    for start in range(0, len(out), STRIP):
        target = out[start : start + STRIP]
        _sort_strip(rows, begin + start, len(target), mixture, low, high, source, total, strip)
        _mean(strip, first, last, total)
        target[:] = total[: len(target)]


@compiled
def _nearest_mean(rows, begin, mixture, kind, low, high, first, last, count, out):  # type: ignore[no-untyped-def]
    n = len(mixture[2]) or len(rows)
    strip, total, source = np.zeros((n, STRIP), kind.dtype), np.zeros(STRIP), np.zeros((len(rows), STRIP))
    centre, radius, edge = np.zeros(STRIP), np.zeros(STRIP), np.zeros(STRIP)
    inside, tied = np.zeros(STRIP), np.zeros(STRIP)
    for start in range(0, len(out), STRIP):
        target = out[start : start + STRIP]
        _sort_strip(rows, begin + start, len(target), mixture, low, high, source, total, strip)
        _mean(strip, first, last, centre)
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
