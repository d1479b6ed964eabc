"""Read the end of a learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from .schema import LAST

FEWEST = 5  # tests at the end of a curve, at least, that tell whether it still rises
SLIGHT = 1.0  # points of accuracy that a tenth more rounds may add to a curve that does not rise
CONFIDENCE = 0.95
RISING = "↑"  # behind an accuracy whose curve still rises


def last_rounds(rounds: int) -> int:
    """Return how many rounds at the end the reported accuracy is averaged over: min(5, ceil(rounds / 5)).

    >>> [last_rounds(rounds) for rounds in (60, 21, 6, 5)]
    [5, 5, 2, 1]
    """
    return min(LAST, -(-rounds // 5))


def describe_end(rounds: int) -> str:
    """Return over which rounds the reported accuracy is averaged, as text.

    >>> describe_end(60), describe_end(5)
    ('mean of the last 5 of 60 rounds', 'after the last of 5 rounds')
    """
    last, of = last_rounds(rounds), "1 round" if rounds == 1 else f"{rounds} rounds"
    return f"after the last of {of}" if last == 1 else f"mean of the last {last} of {of}"


def at_end(values: Sequence[float], rounds: int) -> float:
    """Return the mean of the values of the last min(5, ceil(rounds / 5)) rounds, each of which has one.

    values: in the order of the rounds; earlier rounds may lack one.
    """
    return fmean(values[-last_rounds(rounds) :])


def has_ended(rounds: Sequence[int], values: Sequence[float]) -> bool:
    """Return whether a curve is known to have ended: it has at least two values, and no longer rises."""
    return len(rounds) > 1 and not still_rises(rounds, values)


def still_rises(rounds: Sequence[int], values: Sequence[float]) -> bool:
    """Return whether a curve of percentages still rises at its end: a tenth more rounds would add more than a point.

    rounds: in which a value was measured, counted from 0. A line is fitted by least squares to the m values in the last
    third of the rounds, at least five (all if there are fewer). Its slope b must exceed 10 / R points a round for R
    rounds, and 0 beyond the scatter round the line: b > t s / sqrt(sum (x - mean x)^2), where s^2 is the sum of squared
    residuals over m - 2 and t the 95 % quantile of Student's distribution with m - 2 degrees of freedom. Two values
    have no scatter: the slope alone decides. Fewer do not rise.

    >>> still_rises(range(6), [20.0, 40.0, 55.0, 68.0, 76.0, 83.0])
    True
    >>> still_rises(range(9), [20.0, 60.0, 81.0, 80.0, 82.0, 81.0, 80.0, 82.0, 81.0])
    False
    """
    from scipy.special import stdtrit  # takes a quarter of a second

    if len(rounds) < 2:
        return False
    total = rounds[-1] + 1
    late = sum(number >= total - total / 3 for number in rounds)
    m = min(len(rounds), max(FEWEST, late))
    x, y = np.array(rounds[-m:], dtype=float), np.array(values[-m:])
    x, y = x - x.mean(), y - y.mean()
    slope = x @ y / (x @ x)
    if slope * total <= 10 * SLIGHT or m == 2:
        return bool(slope * total > 10 * SLIGHT)
    scatter = np.sqrt(np.square(y - slope * x).sum() / (m - 2) / (x @ x))
    return bool(slope > stdtrit(m - 2, CONFIDENCE) * scatter)
