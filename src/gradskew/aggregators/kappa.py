"""Bounds on kappa that several rules share. Proofs: docs/semantics.md."""

from __future__ import annotations

import math


def of_trimmed_mean(n: int, f: int, trim: int | None = None) -> float:
    """Return k / (n - f - k), the kappa of the mean without the k >= f largest and smallest numbers; k = f by default.

    >>> of_trimmed_mean(50, 10)
    0.3333333333333333
    """
    k = f if trim is None else trim
    return k / (n - f - k)


def of_median(n: int, f: int, middle: str = "midpoint") -> float:
    """Return the kappa of the median of n numbers, f of them Byzantine: exact for odd n and for the midpoint.

    >>> of_median(50, 10), of_median(50, 10, "lower")
    (1.5, 1.6666666666666667)
    """
    return n / (n - 2 * f) if middle != "midpoint" and n % 2 == 0 else of_trimmed_mean(n, f, (n - 1) // 2)


def nearest_to_centre(n: int, f: int, centre: float) -> float:
    """Return the kappa of the mean of the n - f rows nearest to a centre that has itself a kappa of `centre`.

    sqrt(kappa) = 2 sqrt(f / h) + 2 (f / h) sqrt(centre), h = n - f.
    """
    share = f / (n - f)
    return (2 * math.sqrt(share) + 2 * share * math.sqrt(centre)) ** 2
