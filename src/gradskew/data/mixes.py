"""The classes of clients that draw their inputs one by one, each from a mix of classes of its own."""

from __future__ import annotations

import numpy as np


def draw_counts(mixes: np.ndarray, sizes: np.ndarray, left: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return how many inputs of each class each client draws: (clients, classes) int64.

    mixes: (clients, classes), the shares of the classes. sizes: (clients,), the number of inputs of each client, the
    largest first. left: (classes,), the number of inputs of each class; they add up to the sizes.

    In each turn every client that has not all its inputs draws one, from the part of its mix that has inputs left. If
    more clients draw a class than it has inputs, those that come first in a random order get one, and the others draw
    again. A client whose mix has no inputs left draws from all that are left.
    """
    counts, left = np.zeros(mixes.shape, dtype=np.int64), left.copy()
    for turn in range(int(sizes[0])):
        waiting = generator.permutation(int((sizes > turn).sum()))
        while len(waiting):
            drawn = _draw(mixes[waiting], left, generator)
            got = _places(drawn, len(left)) < left[drawn]
            counts[waiting[got], drawn[got]] += 1  # a client is there once
            left -= np.bincount(drawn[got], minlength=len(left))
            waiting = waiting[~got]
    return counts


def _draw(mixes: np.ndarray, left: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Draw a class for each mix (k, classes), among those with inputs left: (k,)."""
    shares = mixes * (left > 0)
    shares[shares.sum(1) == 0] = left
    edges = shares.cumsum(1)
    drawn: np.ndarray = (edges <= (generator.random(len(mixes)) * edges[:, -1])[:, None]).sum(1)
    return drawn.clip(max=len(left) - 1)  # a product may be rounded up to the last edge


def _places(drawn: np.ndarray, num_classes: int) -> np.ndarray:
    """Return how many entries before each one are the same class: (k,).

    >>> _places(np.array([2, 0, 2, 2]), 3).tolist()
    [0, 0, 1, 2]
    """
    order, counts = np.argsort(drawn, kind="stable"), np.bincount(drawn, minlength=num_classes)
    places = np.empty_like(drawn)
    places[order] = np.arange(len(drawn)) - np.repeat(np.cumsum(counts) - counts, counts)
    return places
