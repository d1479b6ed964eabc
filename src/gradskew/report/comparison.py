"""Compare accuracies seed by seed: paired Student intervals, no narrower than the error of the test inputs.

Two runs of one seed share partition, initial parameters and test inputs, so differences are taken within a seed. For n
seeds with the differences d_1, ..., d_n, of mean m and sample standard deviation s, and two accuracies p and q, means
over the seeds, on the same N test inputs:

- Student: (m - 0) / (s / sqrt(n)) has n - 1 degrees of freedom if the true difference is 0.
- Binomial: let D_i in [-1, 1] be the difference of the two models' hits on input i, averaged over seeds and rounds. Its
  mean is m, and E |D_i| is at most P(one is right and the other wrong) <= min(1, p + q, 2 - p - q), so that
  Var D_i = E D_i^2 - m^2 <= E |D_i| - m^2 <= v = min(1, p + q, 2 - p - q) - m^2. The standard error of m is at most
  sqrt(v / N), however the hits of the two models depend on each other.

The p-value of a difference is the larger of the two: neither chance may explain it. The interval is as wide as the
wider of the two. Without N only the first counts; with one seed nothing is told apart.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations
from statistics import fmean, stdev
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Key = TypeVar("Key", bound=Hashable)
Floats = NDArray[np.float64]
Column = Mapping[int, float]  # accuracies in % by seed

LEVEL = 0.05  # probability, at most, of calling any two equals different
EXACT = 9  # decimals of a difference in points; what is below comes from rounding


def half_width(accuracies: Column, test_size: int | None) -> float | None:
    """Return half the width of the 95 % interval of a mean accuracy, in points; None if nothing is known of it.

    The larger of t s / sqrt(n), with n - 1 degrees of freedom, for several seeds, and 1.96 sqrt(p (1 - p) / (N + 4))
    with p = (N accuracy + 2) / (N + 4) for N test inputs (Agresti and Coull, The American Statistician, 1998).
    """
    from scipy.special import ndtri, stdtrit

    values, n = list(accuracies.values()), len(accuracies)
    widths = [float(stdtrit(n - 1, 1 - LEVEL / 2)) * stdev(values) / math.sqrt(n)] if n > 1 else []
    if test_size is not None:
        p = (test_size * fmean(values) / 100 + 2) / (test_size + 4)
        widths.append(100 * float(ndtri(1 - LEVEL / 2)) * math.sqrt(p * (1 - p) / (test_size + 4)))
    return max(widths, default=None)


def difference(
    first: Column, other: Column, first_size: int | None, other_size: int | None, *, same_inputs: bool
) -> tuple[float, float | None]:
    """Return the mean difference over the common seeds, other - first, in points, and half of its 95 % interval.

    The half width is the larger of Student's and the normal one of the test inputs; None with one seed. sizes: numbers
    of test inputs. same_inputs: both are tested on the same ones; else the variance is p (1 - p) / N + q (1 - q) / M.
    """
    from scipy.special import ndtri, stdtrit

    seeds = [seed for seed in first if seed in other]
    points = [round(other[seed] - first[seed], EXACT) for seed in seeds]
    mean, n = fmean(points), len(points)
    if n < 2:
        return mean, None
    widths = [float(stdtrit(n - 1, 1 - LEVEL / 2)) * stdev(points) / math.sqrt(n)]
    if first_size is not None and other_size is not None:
        p, q = (fmean(column[seed] for seed in seeds) / 100 for column in (first, other))
        variance = (min(1, p + q, 2 - p - q) - (p - q) ** 2) / first_size
        if not same_inputs:
            variance = p * (1 - p) / first_size + q * (1 - q) / other_size
        widths.append(100 * float(ndtri(1 - LEVEL / 2)) * math.sqrt(max(0.0, variance)))
    return mean, max(widths)


def p_above(first: Floats, second: Floats, test_size: int | None) -> Floats:
    """Return the p-values of accuracies being higher than others: (..., n), (..., n) -> (...), one-sided.

    NaN: a seed that one of the two lacks. 1 with fewer than two common seeds.
    """
    from scipy.special import ndtr, stdtr

    first, second = np.broadcast_arrays(first, second)
    common = np.isfinite(first) & np.isfinite(second)
    n = common.sum(-1)
    p, q = (np.where(common, each, 0).sum(-1) / np.maximum(n, 1) / 100 for each in (first, second))
    differences = np.where(common, np.round(first - second, EXACT), 0) / 100
    mean = differences.sum(-1) / np.maximum(n, 1)
    squares = np.where(common, differences - mean[..., None], 0) ** 2
    error = np.sqrt(squares.sum(-1) / np.maximum(n - 1, 1) / np.maximum(n, 1))
    result = stdtr(np.maximum(n - 1, 1), -_ratio(mean, error))
    if test_size is not None:
        bound = np.minimum(1, np.minimum(p + q, 2 - p - q)) - mean**2
        result = np.maximum(result, ndtr(-_ratio(mean, np.sqrt(np.maximum(bound, 0) / test_size))))
    return np.where(n > 1, result, 1.0)


def _ratio(mean: Floats, error: Floats) -> Floats:
    """Return mean / error; where the error is 0, an infinity, or 0 for no mean."""
    sure = np.where(mean == 0, 0.0, np.copysign(np.inf, mean))
    return np.divide(mean, error, out=sure, where=error > 0)


def p_higher(first: Floats, others: Sequence[Floats], test_size: int | None) -> list[float]:
    """Return for each of the others the p-value of the worst case of the first being higher, one-sided.

    first: (attacks, n). others: of each the rows of its attacks that may be its worst, from `_lowest`.

    The worst case of a rival is the lowest of its true mean accuracies, and is not known to be that of the attack with
    the lowest observed mean. The first has the higher worst case if there is an attack b on the second such that it is
    higher under each of its attacks a: the p-value is B min_b max_a p(a, b). The maximum needs no correction, since all
    must hold (Berger, Technometrics, 1982); the minimum is chosen from the B attacks on the second that may be its
    worst, those not above the lowest observed one at a p-value of 0.05, so that it needs Bonferroni's.
    """
    of_rows = p_above(first[:, None], np.concatenate(others)[None], test_size).max(0)
    of_others = np.split(of_rows, np.cumsum([len(rows) for rows in others])[:-1])
    return [min(1.0, float(len(of_other) * of_other.min())) for of_other in of_others]


def p_pairs(rivals: Mapping[Key, Sequence[Column]], test_size: int | None) -> dict[frozenset[Key], float]:
    """Return for each pair of rivals the two-sided p-value of their worst cases being equal.

    rivals: for each the accuracies under each of its attacks. Twice the smaller of the two one-sided p-values: see
    `p_higher`.
    """
    tables = _tables(rivals)
    lowest = [_lowest(table, test_size) for table in tables.values()]
    higher = {key: dict(zip(tables, p_higher(table, lowest, test_size), strict=True)) for key, table in tables.items()}
    return {frozenset((a, b)): min(1.0, 2 * min(higher[a][b], higher[b][a])) for a, b in combinations(tables, 2)}


def _tables(rivals: Mapping[Key, Sequence[Column]]) -> dict[Key, Floats]:
    """Return the accuracies of each rival (attacks, seeds), NaN for a seed that an attack lacks."""
    seeds = sorted({seed for columns in rivals.values() for column in columns for seed in column})
    return {
        key: np.array([[column.get(seed, math.nan) for seed in seeds] for column in columns], dtype=np.float64)
        for key, columns in rivals.items()
    }


def _lowest(table: Floats, test_size: int | None) -> Floats:
    """Return the rows of a table (attacks, seeds) that may have the lowest mean: not above the lowest observed one."""
    worst = table[np.argmin(np.nanmean(table, -1))]
    return table[p_above(table, worst, test_size) > LEVEL]


def holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """Return p-values adjusted for their number: the i-th smallest of m times m - i + 1, and none below a smaller one.

    The probability that any true hypothesis has one of 0.05 or less is at most 5 % (Holm, 1979).

    >>> holm({"a": 0.02, "b": 0.01, "c": 0.5})
    {'b': 0.03, 'a': 0.04, 'c': 0.5}
    """
    adjusted: dict[Key, float] = {}
    largest = 0.0
    for i, (key, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = min(1.0, max(largest, (len(p_values) - i) * p))
        adjusted[key] = largest
    return adjusted


def level_with(best: Key, rivals: Mapping[Key, Sequence[Column]], test_size: int | None) -> list[Key]:
    """Return the rivals whose worst case cannot be told from that of the best, in the order of the rivals.

    Holm's correction is over all pairs of rivals, since which of them is the best comes from the same accuracies.
    """
    adjusted = holm(p_pairs(rivals, test_size))
    return [key for key in rivals if key != best and adjusted[frozenset((best, key))] > LEVEL]


def better_than(reference: Key, rivals: Mapping[Key, Sequence[Column]], test_size: int | None) -> list[Key]:
    """Return the rivals whose worst case can be told from that of the reference as better, in the order of the rivals.

    Two-sided as `level_with`, with Holm's correction over the rivals of the reference.
    """
    tables = _tables(rivals)
    lowest = [_lowest(tables.pop(reference), test_size)]
    adjusted = holm({key: min(1.0, 2 * p_higher(table, lowest, test_size)[0]) for key, table in tables.items()})
    return [key for key in tables if adjusted[key] <= LEVEL]


def differ(first: Sequence[Column], second: Sequence[Column], test_size: int | None) -> bool:
    """Return whether the worst cases of two rivals can be told apart."""
    (p,) = p_pairs({"first": first, "second": second}, test_size).values()
    return p <= LEVEL
