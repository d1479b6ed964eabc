"""A share of the inputs dealt evenly, the rest in the order of the classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.errors import check_number, floor_share
from .base import Split
from .partition import Partition, Parts, equal_sizes


@dataclass(frozen=True, kw_only=True)
class Similarity(Partition):
    """A share gamma of the inputs is dealt IID; the others are sorted by class and cut into a piece for each client.

    The share is drawn at random, gamma N rounded down. The pieces go to the clients in a random order, as the first
    clients are the Byzantine ones. All clients have equally many inputs, but for one. gamma = 1 is IID, gamma = 0 is
    `extreme`: one or two classes a client, where there are more clients than classes.

    Eight inputs of the classes 0 0 0 0 1 1 1 1, four clients, gamma = 0.5: each has one input of any class, and one of
    the four others in their order.
    """

    key: ClassVar[str] = "similarity"
    source: ClassVar[str] = "Karimireddy et al., 2020"
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {"extreme": {"gamma": 0.0}}
    gamma: float = 0.5

    def __post_init__(self) -> None:
        check_number("gamma", self.gamma, at_least=0, at_most=1)

    def deal(self, split: Split, num_classes: int, clients: int, generator: np.random.Generator) -> Parts:
        labels, order = split.labels.cpu().numpy(), generator.permutation(len(split))
        even = floor_share(self.gamma, len(order))
        rest = order[even:]
        sizes = equal_sizes(even, clients)
        pieces, turns = equal_sizes(len(order), clients) - sizes, generator.permutation(clients)
        owners = [np.repeat(np.arange(clients), sizes), np.repeat(turns, pieces[turns])]
        in_order = rest[np.argsort(labels[rest], kind="stable")]
        return Parts.owned(np.concatenate([order[:even], in_order]), np.concatenate(owners), clients)
