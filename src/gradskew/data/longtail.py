"""Classes of falling frequency, the same mix for every client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.errors import check, check_number
from .base import Split
from .partition import Partition, Parts, equal_sizes, members_of


@dataclass(frozen=True, kw_only=True)
class LongTail(Partition):
    """Class c of C keeps a share gamma^(c / (C - 1)) of its inputs, drawn at random; what is kept is dealt IID.

    Skew of the classes without differences between the clients. The numbers are rounded to the nearest whole one, to
    the even one of two. The other inputs are no client's. InputError where fewer inputs are kept than there are
    clients.

    Three classes of 100 inputs, gamma = 0.01: 100, 10 and 1 are kept.
    """

    key: ClassVar[str] = "longtail"
    source: ClassVar[str] = "Cao et al., 2019"
    gamma: float = 0.1

    def __post_init__(self) -> None:
        check_number("gamma", self.gamma, at_least=0, at_most=1)

    def deal(self, split: Split, num_classes: int, clients: int, generator: np.random.Generator) -> Parts:
        members = members_of(split.labels.cpu().numpy(), num_classes, generator)
        shares = [self.gamma ** (label / (num_classes - 1)) for label in range(num_classes)]
        parts = [inputs[: round(share * len(inputs))] for inputs, share in zip(members, shares, strict=True)]
        kept = np.concatenate(parts)
        few = f"gamma = {self.gamma} keeps {len(kept)} of {len(split)} inputs, too few for {clients} clients"
        check(clients <= len(kept), f"{few}; use a larger gamma or fewer clients")
        return Parts(generator.permutation(kept), equal_sizes(len(kept), clients))
