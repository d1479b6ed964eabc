"""A user's own rule: a function of the rows, or an object such as ByzFL's aggregators, imported from its path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from ..core.plugin import Plugin
from ..core.randomness import generator as derived
from ..core.randomness import torch_seed
from ..core.rows import Rows
from .base import Aggregator, Outcome


@dataclass(frozen=True, kw_only=True)
class UserRule(Plugin, Aggregator):
    """A user's rule: called with rows (n, d), and with f if it has a parameter for it; returns (d,).

    It gets a copy of the rows in random order, since no server knows that the Byzantine rows come first. Its weights
    are unknown. Behind a mixing, it gets the mixed rows.
    """

    kind: ClassVar[str] = "rule"
    protocol: ClassVar[Mapping[str, str]] = {"rows": "in a drawn order"}

    def extra_rows(self, n: int, clients: int) -> float:
        """Return n: a copy of the rows. What the function takes is not known."""
        return n

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        seed = generator.initial_seed()
        order = torch.randperm(rows.n, generator=derived(seed, "order of rows"))  # independent of the rule's own draws
        own = seed if rows.mixing is None else torch_seed(seed, "user rule")  # a mixing has drawn from the generator
        return Outcome(self.call(rows.copy(order), {"f": f}, own))
