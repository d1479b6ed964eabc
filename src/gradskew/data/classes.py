"""A few classes for each client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.errors import InputError, check, check_choice, check_number
from .base import Split
from .partition import MAX_DRAWS, Partition, Parts, check_enough, dealt, equal_sizes, members_of


@dataclass(frozen=True, kw_only=True)
class Classes(Partition):
    """Each client has k classes, drawn at random; a class is split equally among the clients that have it.

    first: `random` draws all k of them; `turn` gives client i the class i modulo the number of classes, and draws the
    other k - 1. Drawn again, at most 1,000 times, until each class with inputs has a client and each client has
    `min_samples` inputs; InputError if no draw does.

    Six inputs of class 0 and four of class 1, k = 1, three clients: with two clients of class 0, they have three
    inputs each, and the third has four.
    """

    key: ClassVar[str] = "classes"
    source: ClassVar[str] = "Li et al., 2022"
    k: int = 2
    first: str = "random"
    min_samples: int = 10

    def __post_init__(self) -> None:
        check_number("k", self.k, at_least=1, whole=True)
        check_choice("first", self.first, ("random", "turn"))
        check_number("min_samples", self.min_samples, at_least=1, whole=True)

    def deal(self, split: Split, num_classes: int, clients: int, generator: np.random.Generator) -> Parts:
        labels = split.labels.cpu().numpy()
        check(self.k <= num_classes, f"a client cannot have {self.k} classes: there are {num_classes}")
        check_enough(labels, clients, self.min_samples)
        members = members_of(labels, num_classes, generator)
        present = np.array([len(inputs) > 0 for inputs in members])
        few = f"{clients} clients with {self.k} classes each cannot have all of {present.sum()} classes"
        check(clients * self.k >= present.sum(), f"{few}; use more clients or a larger k")
        for _ in range(MAX_DRAWS):
            owned = self._draw(num_classes, clients, generator)
            if owned[:, present].any(0).all():
                counts = np.array([_shared(len(inputs), of) for inputs, of in zip(members, owned.T, strict=True)])
                if counts.sum(0).min() >= self.min_samples:
                    return dealt(members, counts)
        raise InputError(
            f"in {MAX_DRAWS} draws of {self.k} classes for each of {clients} clients a class had no client or a client "
            f"less than {self.min_samples} inputs; use a larger k, first=turn, fewer clients or a smaller min_samples"
        )

    def _draw(self, num_classes: int, clients: int, generator: np.random.Generator) -> np.ndarray:
        """Draw the classes of each client: (clients, classes) bool, k of them True in each row."""
        ranks = generator.random((clients, num_classes))
        if self.first == "turn":
            ranks[np.arange(clients), np.arange(clients) % num_classes] = -1
        owned = np.zeros(ranks.shape, dtype=bool)
        np.put_along_axis(owned, np.argsort(ranks, axis=1)[:, : self.k], True, axis=1)
        return owned


def _shared(count: int, owners: np.ndarray) -> np.ndarray:
    """Return how many of `count` inputs each client gets (clients,), equally many for the owners (clients,) bool."""
    counts = np.zeros(len(owners), dtype=np.int64)
    if owners.any():
        counts[owners] = equal_sizes(count, int(owners.sum()))
    return counts
