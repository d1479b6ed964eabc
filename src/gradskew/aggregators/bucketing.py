from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.errors import check_choice, check_number
from ..core.rows import Rows
from .base import Aggregator
from .mixing import Mixing


@dataclass(frozen=True, kw_only=True)
class Bucketing(Mixing):
    """Replace the rows by the means of random buckets of s rows.

    The rows are permuted at random and cut into m = ceil(n / s) buckets; the last one may be smaller.

    shuffle: False cuts the rows in the order in which they are given.

    told_f: the f' that the rule behind is called with. `f`: min(f, max_f(m)), as each Byzantine row may be in another
    bucket. `f/s`: ceil(f / s), the fewest buckets that can hold f rows (the STRIKE authors' scripts).
    """

    key: ClassVar[str] = "bucketing"
    title: ClassVar[str] = "Bucketing"
    source: ClassVar[str] = "Karimireddy et al., ICLR 2022"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "strike-authors": {"told_f": "f/s"},
        "byzfl": {"s": 1},
    }
    isometric: ClassVar[bool] = True
    batched: ClassVar[str] = "span"
    s: int = 2
    told_f: str = "f"
    shuffle: bool = True

    def __post_init__(self) -> None:
        check_number("s", self.s, at_least=1, whole=True)
        check_choice("told_f", self.told_f, ("f", "f/s"))
        check_choice("shuffle", self.shuffle, (True, False))

    def matrix(self, rows: Rows, f: int, generator: torch.Generator) -> Tensor:
        order = torch.randperm(rows.n, generator=generator) if self.shuffle else torch.arange(rows.n)
        matrix = torch.zeros(self.size(rows.n), rows.n, dtype=torch.float64)
        for bucket, members in enumerate(order.split(self.s)):
            matrix[bucket, members] = 1 / len(members)
        return matrix.to(rows.updates.device)

    def size(self, n: int) -> int:
        return -(-n // self.s)

    def mixed_f(self, f: int) -> int:
        return f if self.told_f == "f" else -(-f // self.s)

    def rule_f(self, n: int, f: int, rule: Aggregator, m: int | None = None) -> int:
        mixed_f = self.mixed_f(f)
        return min(mixed_f, rule.max_f(self.size(n))) if self.told_f == "f" else mixed_f
