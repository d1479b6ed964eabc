"""Partitions by their definitions, one input at a time in Python: what is right without the package's arithmetic."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np


def pieces(labels, count):
    """The sorted labels cut into `count` pieces whose sizes differ by one at most, the larger ones first."""
    rest, cut = sorted(labels), []
    for i in range(count):
        size = len(rest) // (count - i) + (len(rest) % (count - i) > 0)
        cut.append(rest[:size])
        rest = rest[size:]
    return cut


def proportional(weights, total, least):
    """max(least, c w) with the c at which they add up to the total, by bisection of Fractions."""
    exact = [Fraction(float(weight)) for weight in weights]
    low, high = Fraction(0), Fraction(total) / max(exact)
    for _ in range(120):
        middle = (low + high) / 2
        enough = sum(max(Fraction(least), middle * weight) for weight in exact) > total
        low, high = (low, middle) if enough else (middle, high)
    return [float(max(Fraction(least), low * weight)) for weight in exact]


def split_equally(count, owners):
    """One input after the other to the owners in turn: how many each gets."""
    got = Counter(owners[i % len(owners)] for i in range(count)) if owners else Counter()
    return [got[owner] for owner in owners]


def one_by_one(mixes, sizes, left, generator):
    """In each turn each client, in a random order, draws from its mix among the classes that have inputs left."""
    left, counts = [*left], [[0] * len(left) for _ in sizes]
    for turn in range(max(sizes)):
        for client in generator.permutation(len(sizes)).tolist():
            if sizes[client] > turn:
                shares = [mix if have else 0.0 for mix, have in zip(mixes[client], left, strict=True)]
                shares = shares if sum(shares) else [float(have) for have in left]
                drawn = int(generator.choice(len(left), p=np.array(shares) / sum(shares)))
                counts[client][drawn] += 1
                left[drawn] -= 1
    return counts
