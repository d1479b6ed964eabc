from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.errors import check_choice, check_number
from ..core.rows import Rows
from .base import Aggregator, Mixing


@dataclass(frozen=True, kw_only=True)
class Bucketing(Mixing):
    """Means of s consecutive rows of a random permutation.

    The last of the m = ceil(n / s) buckets may be smaller. The rule behind is told f' = min(f, max_f(m)), since every
    Byzantine row may spoil a bucket of its own.

    told: `f`, or `f/s` for f' = ceil(f / s), the fewest buckets that f rows can spoil (the STRIKE authors' scripts).
    """

    key: ClassVar[str] = "bucketing"
    source: ClassVar[str] = "Karimireddy et al., ICLR 2022"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"strike-authors": {"told_f": "f/s"}}
    s: int = 2
    told_f: str = "f"

    def __post_init__(self) -> None:
        check_number("s", self.s, at_least=1, whole=True)
        check_choice("told_f", self.told_f, ("f", "f/s"))

    def matrix(self, rows: Rows, f: int, generator: torch.Generator) -> Tensor:
        order = torch.randperm(rows.n, generator=generator)
        matrix = torch.zeros(self.size(rows.n), rows.n, dtype=torch.float64)
        for bucket, members in enumerate(order.split(self.s)):
            matrix[bucket, members] = 1 / len(members)
        return matrix.to(rows.updates.device)

    def size(self, n: int) -> int:
        return -(-n // self.s)

    def spoiled(self, f: int) -> int:
        return f if self.told_f == "f" else -(-f // self.s)

    def told(self, n: int, f: int, rule: Aggregator) -> int:
        spoiled = self.spoiled(f)
        return min(spoiled, rule.max_f(self.size(n))) if self.told_f == "f" else spoiled
