"""Searches for the strength at which a forged row does most: maxima of a function of one number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import frexp, isfinite, ldexp

Curve = Callable[[Sequence[float]], list[float]]  # of strengths, as many values; -inf where there is none

PEAKS = 3  # that are refined
DECADES = 3  # of strengths below a bound of 1 or above it, that the grid covers on each side
BITS = 20  # values that agree in so many leading bits, one in a million, tie
LAST = 0.999  # of the largest strength: a best one beyond may rise further


@dataclass(frozen=True)
class Found:
    """The best strength, its value, the number of tries, and whether the value may still rise beyond the last one."""

    strength: float
    value: float
    tries: int
    unbounded: bool


def grid_search(
    objective: Curve, unit: float, cap: float, signs: Sequence[int], tries: int, *, outward: bool = False
) -> Found:
    """Return the best of 0 and of strengths of either sign up to cap units, refined by halving.

    Two thirds of the tries are a grid, geometric from a thousandth of the lesser of cap and 1 units up to the cap. The
    others halve the intervals on both sides of the three best peaks in turn: that finds a maximum beside a jump, where
    a rule begins to drop the rows. Ties go to the strength nearest to 0, or farthest if `outward`, then to plus.
    """
    count = max(1, round((tries - 1) * 2 / 3 / len(signs)))
    ratio = (max(1.0, cap) * 10.0**DECADES) ** (-1 / max(1, count - 1))
    sizes = [unit * cap * ratio**i for i in range(count)]
    points = sorted([0.0, *(sign * size for sign in signs for size in sizes)])
    values = dict(zip(points, objective(points), strict=True))

    def rank(strength: float) -> tuple[float, float, float]:
        size = abs(strength)
        return _leading(values[strength]), size if outward else -size, strength

    rising = [rank(a) < rank(b) for a, b in pairwise(points)]
    peaks = [i for i in range(len(points)) if all(rising[i - 1 : i] or [True]) and not any(rising[i : i + 1])]
    best = sorted(peaks, key=lambda i: rank(points[i]))[-PEAKS:]
    brackets = [[points[max(i - 1, 0)], points[i], points[min(i + 1, len(points) - 1)]] for i in best]
    for step in range((tries - len(points)) // len(brackets)):
        middles = [_halve(bracket, step % 2) for bracket in brackets]
        values |= zip(middles, objective(middles), strict=True)
        brackets = [_narrowed(bracket, middle, rank) for bracket, middle in zip(brackets, middles, strict=True)]
    strength = max(values, key=rank)
    used = len(points) + len(brackets) * ((tries - len(points)) // len(brackets))
    return Found(strength, values[strength], used, abs(strength) > LAST * sizes[0])


def _leading(value: float) -> float:
    """Return a number rounded to its leading bits, so that rounding of what a rule computes decides no tie."""
    if not isfinite(value):
        return value
    mantissa, exponent = frexp(value)
    return ldexp(round(ldexp(mantissa, BITS)), exponent - BITS)


def _halve(bracket: Sequence[float], side: int) -> float:
    """Return the middle of the lower (0) or the upper (1) part of a bracket; of the other part if that is empty."""
    low, best, high = bracket
    lower = low < best if side == 0 else best == high
    return (low + best) / 2 if lower else (best + high) / 2


def _narrowed(bracket: Sequence[float], middle: float, rank: Callable[[float], tuple[float, ...]]) -> list[float]:
    """Return the bracket around the better of its best point and a middle of one of its parts."""
    low, best, high = bracket
    if rank(middle) > rank(best):
        return [low, middle, best] if middle < best else [best, middle, high]
    return [middle, best, high] if middle < best else [low, best, middle]


def line_search(objective: Curve, step: float, tries: int, *, returns: bool) -> Found:
    """Return the best strength from 0 on: the step doubles while that improves, then shrinks by 0.8 with each try.

    returns: the shrinking steps go back from the last point, or up again below the best one, as in the code of EPFL's
    papers; else each goes up from the best one, as in ByzFL, so that nothing below a point once taken is tried.
    """
    best = last = 0.0
    (most,) = objective([0.0])
    grows = True
    for _ in range(tries - 1):
        if grows or not returns:
            point = best + step
        else:
            point = last + step if last < best else last - step
            while point < 0:
                point = (point + last) / 2
        (value,) = objective([point])
        if value > most:
            best, most = point, value
        else:
            grows = False
        step *= 2 if grows else 0.8
        last = point
    return Found(best, most, tries, grows)
