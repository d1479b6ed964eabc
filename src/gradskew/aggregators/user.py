"""A rule that is not ours: a function of the rows, or an object such as ByzFL's aggregators, by its path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ..geometry import Rows
from ..imported import Imported
from .base import Aggregator, Outcome


@dataclass(frozen=True, kw_only=True)
class UserRule(Imported, Aggregator):
    """Somebody else's rule: called with the rows (n, d), and with f if it takes that; returns (d,).

    It gets a copy of the rows, and weighs none that we could see. Behind a mixing, the mixed rows are made for it.
    """

    kind: ClassVar[str] = "rule"

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        return Outcome(self.ask(rows.copy(), {"f": f}, generator.initial_seed()))
