"""Shards: pieces of the inputs in the order of the classes, several for each client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.errors import check, check_number
from .base import Split
from .partition import Partition, Parts, equal_sizes, members_of


@dataclass(frozen=True, kw_only=True)
class Shards(Partition):
    """The inputs are sorted by class and cut into n k shards, of which each client gets k at random.

    Shards have equally many inputs, but for one, and none is left over: a shard may span two classes or more. Within a
    class the order is random. InputError for more shards than inputs.
    """

    key: ClassVar[str] = "shards"
    source: ClassVar[str] = "McMahan et al., 2017"
    k: int = 2

    def __post_init__(self) -> None:
        check_number("k", self.k, at_least=1, whole=True)

    def deal(self, split: Split, num_classes: int, clients: int, generator: np.random.Generator) -> Parts:
        labels, shards = split.labels.cpu().numpy(), clients * self.k
        wrong = f"{clients} clients with {self.k} shards each need {shards} inputs or more: there are {len(labels)}"
        check(shards <= len(labels), f"{wrong}; use fewer clients or a smaller k")
        order = np.concatenate(members_of(labels, num_classes, generator))
        owners = generator.permutation(shards) // self.k
        return Parts.owned(order, np.repeat(owners, equal_sizes(len(order), shards)), clients)
