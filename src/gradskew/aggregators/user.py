"""A user's own rule: a function of the rows, or an object such as ByzFL's aggregators, by its path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from ..core.plugin import Plugin
from ..core.randomness import generator as drawn
from ..core.rows import Rows
from .base import Aggregator, Outcome


@dataclass(frozen=True, kw_only=True)
class UserRule(Plugin, Aggregator):
    """A user's rule: called with the rows (n, d), and with f if it has a parameter for it; returns (d,).

    It gets a copy of the rows, in an order drawn for the call: in the simulation the Byzantine ones come first, and no
    server knows that. Its weights are unknown. Behind a mixing, the mixed rows are computed for it.
    """

    kind: ClassVar[str] = "rule"
    protocol: ClassVar[Mapping[str, str]] = {"rows": "in a drawn order"}

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        seed = generator.initial_seed()
        order = torch.randperm(rows.n, generator=drawn(seed, "order of rows"))  # apart from what the rule itself draws
        return Outcome(self.call(rows.copy(order), {"f": f}, seed))
