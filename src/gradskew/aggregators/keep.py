from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from ..core.errors import check
from ..core.rows import Rows
from .base import Aggregator, check_rule
from .mixing import Mixing
from .multikrum import MultiKrum


@dataclass(frozen=True, kw_only=True)
class Keep(Mixing):
    """Keep the rows to which a rule gives a positive weight, unchanged and in order.

    The rule behind is called with f' = min(f, the most that it tolerates among the rows that are kept).

    rule: a rule that selects rows, such as `multikrum`, `cge`, `mda`, `aksel` or `dnc`. keep(rule=multikrum)+median is
    MedKrum.

    >>> rows = torch.tensor([[0.0], [1.0], [2.0], [3.0], [100.0]])
    >>> (Keep().matrix(Rows(rows), 1, torch.Generator()) @ rows.double()).flatten().tolist()
    [0.0, 1.0, 2.0, 3.0]
    """

    key: ClassVar[str] = "keep"
    title: ClassVar[str] = "Keep"
    source: ClassVar[str] = "a selecting rule as a step"
    keeps_rows: ClassVar[bool] = True
    rule: Aggregator = field(default_factory=MultiKrum)

    def __post_init__(self) -> None:
        check_rule("rule", self.rule)
        selects = self.rule.least(1, 0) is not None
        check(selects, f"rule must select rows, as multikrum, cge, mda or dnc do: {self.rule.name} does not")

    @property
    def isometric(self) -> bool:  # type: ignore[override]
        return self.rule.isometric

    def matrix(self, rows: Rows, f: int, generator: torch.Generator) -> Tensor:
        weights = self.rule.outcome(rows, f, generator).weights
        assert weights is not None
        kept = (weights > 0).nonzero()[:, 0]
        return torch.eye(rows.n, dtype=torch.float64, device=weights.device)[kept]

    def least(self, n: int, f: int) -> int:
        return self.rule.least(n, f) or 1

    def rule_f(self, n: int, f: int, rule: Aggregator, m: int | None = None) -> int:
        return min(f, rule.max_f(self.least(n, f) if m is None else m))

    @property
    def needs(self) -> frozenset[str]:
        return self.rule.needs

    def max_f(self, n: int) -> int:
        return self.rule.max_f(n)
