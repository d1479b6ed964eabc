"""Compiled sums along the rows of a wide float32 matrix on the CPU, at the speed of memory, with products in float64.

torch forms float64 sums of float32 rows from a float64 copy. Here four or eight rows at a time go through a strip of
columns that stays in the cache. The rows that are left over go through a loop of their own, which may add in another
order: sums of bitwise equal rows may differ in the last bit, so compare them with a slack.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .compiled import compiled, over_columns

STRIP = 4096  # columns whose sums are in the cache together
TILES = 256  # columns of all rows that are in the cache together, in float64


def gram(updates: Tensor, centre: int) -> Tensor:
    """Return the inner products of the rows minus the row `centre`: (n, n) float64."""
    rows, m = updates.numpy(), -(-len(updates) // 4) * 4
    parts = over_columns(rows.shape, lambda a, b: _gram(rows, a, b, centre, np.zeros((m, m))))
    lower = np.tril(sum(parts))[: len(rows), : len(rows)]
    return torch.from_numpy(lower + np.tril(lower, -1).T)


def squared_distances_to(updates: Tensor, centre: Tensor | None) -> Tensor:
    """Return the squared distances of the rows to a vector (d,), None for the origin: (n,) float64."""
    rows = updates.numpy()
    middle = rows[0, :0] if centre is None else centre.numpy()
    parts = over_columns(rows.shape, lambda a, b: _squares(rows, a, b, middle, np.zeros(len(rows))))
    return torch.from_numpy(sum(parts))


def products_with(updates: Tensor, vector: Tensor, centre: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return <row - centre, vector> and |row - centre|^2 of the rows: (n,) float64 each; no centre: the origin."""
    rows, direction = updates.numpy(), vector.numpy()
    middle = rows[0, :0] if centre is None else centre.numpy()
    parts = over_columns(rows.shape, lambda a, b: _products(rows, a, b, direction, middle, np.zeros((2, len(rows)))))
    products, squares = torch.from_numpy(sum(parts))
    return products, squares


@compiled
def _gram(rows, begin, end, centre, out):  # type: ignore[no-untyped-def]
    n = len(rows)
    strip = np.zeros((len(out), TILES))
    for start in range(begin, end, TILES):
        width = min(TILES, end - start)
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
                for k in range(TILES):
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


@compiled
def _squares(rows, begin, end, centre, out):  # type: ignore[no-untyped-def]
    middle, last = np.zeros(STRIP), len(rows) // 8 * 8
    for a in range(begin, end, STRIP):
        b = min(a + STRIP, end)
        part = centre[a:b]
        for k in range(len(part)):
            middle[k] = part[k]
        for i in range(0, last, 8):
            x0, x1, x2, x3 = rows[i, a:b], rows[i + 1, a:b], rows[i + 2, a:b], rows[i + 3, a:b]
            x4, x5, x6, x7 = rows[i + 4, a:b], rows[i + 5, a:b], rows[i + 6, a:b], rows[i + 7, a:b]
            s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
            for k in range(b - a):
                y = middle[k]
                y0, y1, y2, y3 = x0[k] - y, x1[k] - y, x2[k] - y, x3[k] - y
                y4, y5, y6, y7 = x4[k] - y, x5[k] - y, x6[k] - y, x7[k] - y
                s0, s1, s2, s3 = s0 + y0 * y0, s1 + y1 * y1, s2 + y2 * y2, s3 + y3 * y3
                s4, s5, s6, s7 = s4 + y4 * y4, s5 + y5 * y5, s6 + y6 * y6, s7 + y7 * y7
            out[i] += s0
            out[i + 1] += s1
            out[i + 2] += s2
            out[i + 3] += s3
            out[i + 4] += s4
            out[i + 5] += s5
            out[i + 6] += s6
            out[i + 7] += s7
        for i in range(last, len(rows)):
            row, total = rows[i, a:b], 0.0
            for k in range(b - a):
                total += (row[k] - middle[k]) ** 2
            out[i] += total
    return out


@compiled
def _products(rows, begin, end, vector, centre, out):  # type: ignore[no-untyped-def]
    along, middle, last = np.empty(STRIP), np.zeros(STRIP), len(rows) // 4 * 4
    products, squares = out
    for a in range(begin, end, STRIP):
        b = min(a + STRIP, end)
        part = centre[a:b]
        for k in range(len(part)):
            middle[k] = part[k]
        for k in range(b - a):
            along[k] = vector[a + k]
        for i in range(0, last, 4):
            x0, x1, x2, x3 = rows[i, a:b], rows[i + 1, a:b], rows[i + 2, a:b], rows[i + 3, a:b]
            p0 = p1 = p2 = p3 = s0 = s1 = s2 = s3 = 0.0
            for k in range(b - a):
                y, z = middle[k], along[k]
                y0, y1, y2, y3 = x0[k] - y, x1[k] - y, x2[k] - y, x3[k] - y
                p0, p1, p2, p3 = p0 + y0 * z, p1 + y1 * z, p2 + y2 * z, p3 + y3 * z
                s0, s1, s2, s3 = s0 + y0 * y0, s1 + y1 * y1, s2 + y2 * y2, s3 + y3 * y3
            products[i] += p0
            products[i + 1] += p1
            products[i + 2] += p2
            products[i + 3] += p3
            squares[i] += s0
            squares[i + 1] += s1
            squares[i + 2] += s2
            squares[i + 3] += s3
        for i in range(last, len(rows)):
            row, product, square = rows[i, a:b], 0.0, 0.0
            for k in range(b - a):
                y = row[k] - middle[k]
                product += y * along[k]
                square += y * y
            products[i] += product
            squares[i] += square
    return out
