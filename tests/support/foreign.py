"""Users' rules and attacks, good and bad, which the tests name by path."""

from __future__ import annotations

import ctypes
import os
import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from gradskew.aggregators import Mean, WeightedRule
from gradskew.attacks import Attack, Forgery


def mean(updates):
    """The plain mean, in float32."""
    return updates.mean(0)


def same_mean(updates):
    return Mean()(updates, 0)


def mean_in_float64(updates):
    return updates.double().mean(0).to(updates.dtype)


def running_mean(updates):
    """The sum row by row."""
    total = torch.zeros_like(updates[0])
    for row in updates:
        total = total + row
    return total / len(updates)


def clipped_far(updates):
    """The mean of rows of which those of norm above 10^5 are shrunk to it."""
    norms = updates.norm(dim=1, keepdim=True)
    return (updates * (1e5 / norms).clamp(max=1)).mean(0)


def almost_mean(updates):
    """The mean in which the row of largest norm has 0.999 of its weight."""
    weights = torch.ones(len(updates))
    weights[updates.norm(dim=1).argmax()] = 0.999
    return (weights @ updates) / weights.sum()


class Late:
    """The mean in its first three calls, then the median."""

    def __init__(self):
        self.calls = 0

    def __call__(self, updates):
        self.calls += 1
        return updates.mean(0) if self.calls <= 3 else updates.median(0).values


def median(rows):
    return np.median(rows, axis=0)


def spread(rows):
    """Differs between arrays and tensors: NumPy's std divides by n, torch's by n - 1."""
    return rows.mean(0) + float(np.sqrt(1.0)) * rows.std(0)


def trimmed(updates, f, extra=0):
    k = f + extra
    return updates.sort(0).values[k : len(updates) - k].mean(0)


def by_place(updates, num_byzantine, /):
    return updates[num_byzantine]


def lower(updates, num_byzantine, /):
    """Return in each coordinate the value of rank f + 1 from below."""
    return updates.sort(0).values[num_byzantine]


def without_the_first(rows, f):
    """Drop the first f rows, which are Byzantine unless the rows are shuffled."""
    return rows[f:].mean(0)


def make_scaled(factor=2.0):
    def scaled(updates):
        return factor * updates.mean(0)

    return scaled


def make_counting():
    """Return a closure with state, which no copy can hold."""
    count = 0

    def counting(updates):
        nonlocal count
        count += 1
        return count * updates.mean(0)

    return counting


def backwards(rows):
    return np.median(rows, axis=0)[::-1]


class Server:
    """Has a method as a rule, with its state in the object."""

    def __init__(self):
        self.rounds = 0

    def rule(self, updates):
        self.rounds += 1
        return updates.mean(0) / self.rounds


server = Server()


def torn(rows):
    """Works on NumPy arrays alone."""
    rows -= 1.0
    if isinstance(rows, torch.Tensor):
        raise TypeError("no tensors")
    return rows.mean(0)


def as_list(updates):
    return [float(x) for x in updates.mean(0)]


def wrong_shape(updates):
    return updates.mean(1)


def words(updates):
    return "mean"


def nothing(updates):
    return None


def nan(updates):
    return updates.mean(0) * float("nan")


def raises(updates):
    raise RuntimeError("not\ntoday")


def needy(updates, f, beta):
    return updates.mean(0) * beta


def transposes(updates):
    return updates.transpose().mean(axis=1)


def quits(updates):
    raise SystemExit(0)


def sleeps(updates):
    time.sleep(1000)


def spins(updates):
    while True:
        try:
            time.sleep(0.001)
        except Exception:
            continue


def in_place(updates):
    updates -= 1.0
    return updates.mean(0)


def draws(updates):
    return updates.mean(0) + np.random.rand()  # noqa: NPY002 (what a user might do)


def draws_from_torch(updates):
    return updates[torch.randint(len(updates), ())]


def seldom_finite(updates):
    return updates.mean(0) * (torch.nan if torch.rand(()) < 0.3 else 1)


class Delayed:
    """The median of the rows of its last call; nothing in the first."""

    last = None

    def __call__(self, updates):
        before, self.last = self.last, updates.median(0).values
        return torch.zeros(updates.shape[1]) if before is None else before


def constant(updates):
    return torch.ones(updates.shape[1])


def draws_an_order(updates):
    return torch.randperm(updates.shape[1]).to(updates)


calls: list[int] = []


def shared(updates):
    calls.append(0)
    return len(calls) * updates.mean(0)


def exits(updates):
    os._exit(3)


def crashes(updates):
    return ctypes.string_at(0)


class Momentum:
    """Keeps its last answer as state, as ByzFL's centred clipping does."""

    def __init__(self, weight=0.5):
        self.weight, self.last, self.count = weight, None, np.zeros(2)

    def __call__(self, updates):
        now = updates.mean(0)
        self.last = now if self.last is None else self.weight * now + (1 - self.weight) * self.last
        self.count += 1
        return self.last


class Trimmed:
    """Like ByzFL's aggregators: an object with its own f, called with the rows alone."""

    def __init__(self, f=0):
        self.f = f

    def __call__(self, vectors):
        return np.sort(vectors, axis=0)[self.f : len(vectors) - self.f].mean(axis=0)


ready = Trimmed(f=1)
lambdas = [lambda updates: updates.mean(0)]
first = lambdas[0]
number = 3


@dataclass(frozen=True, kw_only=True)
class Heaviest(WeightedRule):
    """A subclass of our base class: all weight on the first row."""

    key: ClassVar[str] = "heaviest"

    def weigh(self, rows, f, generator):
        return torch.eye(rows.n, dtype=torch.float64)[0], {}


@dataclass(frozen=True, kw_only=True)
class FalseMedian(Heaviest):
    key: ClassVar[str] = "median"


def against_mean(honest, f):
    return -f * honest.mean(0)


def one_argument(honest):
    return np.zeros(honest.shape[1])


def mirrored(honest, own):
    return -own


def changes_honest(honest, f):
    honest *= 0
    return honest[0]


def wrong_rows(honest, f):
    return honest[: f + 1]


@dataclass(frozen=True, kw_only=True)
class Copycat(Attack):
    """A subclass of our base class."""

    key: ClassVar[str] = "copycat"

    def forge(self, view):
        return Forgery(view.honest.updates[:1].expand(view.f, -1))


def narrow(updates):
    """Works on the small matrices of a check, and fails on a model."""
    if updates.shape[1] > 64:
        raise MemoryError("too wide")
    return updates.mean(0)


def narrow_too(updates):
    return narrow(updates)


def nan_if_wide(updates):
    return updates.mean(0) * (float("nan") if updates.shape[1] > 64 else 1.0)
