from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..core.errors import check_number
from ..core.rows import Rows
from .mixing import Mixing
from .ties import lowest_one


@dataclass(frozen=True, kw_only=True)
class Foundation(Mixing):
    """Add m copies of the row that is farthest from the extremes (FoundationFL), before a trimmed mean or a median.

    hi, lo = the largest and the smallest entry of each column; s_i = min(|g_i - hi|, |g_i - lo|); the row of the
    largest s_i is copied, on ties the lower index. The rule behind is called with the same f on n + m rows. If the
    copied row is Byzantine, f + m of them are.

    m: None means n // 2.

    >>> rows = torch.tensor([[0.0], [1.0], [2.0], [10.0]])
    >>> (Foundation(m=2).matrix(Rows(rows), 1, torch.Generator()) @ rows.double()).flatten().tolist()
    [0.0, 1.0, 2.0, 10.0, 2.0, 2.0]
    """

    key: ClassVar[str] = "foundation"
    title: ClassVar[str] = "FoundationFL"
    source: ClassVar[str] = "Fang et al., NDSS 2025"
    keeps_rows: ClassVar[bool] = True
    m: int | None = None

    def __post_init__(self) -> None:
        if self.m is not None:
            check_number("m", self.m, at_least=0, whole=True)

    def matrix(self, rows: Rows, f: int, generator: torch.Generator) -> Tensor:
        high, low = (torch.empty(rows.d, dtype=torch.float64, device=rows.updates.device) for _ in range(2))
        for part, block in rows.blocks():
            high[part], low[part] = block.amax(0), block.amin(0)
        scores = torch.minimum(rows.squared_distances_to(high), rows.squared_distances_to(low))
        order = [*range(rows.n), *[int(lowest_one(-scores))] * (self.size(rows.n) - rows.n)]
        return torch.eye(rows.n, dtype=torch.float64, device=rows.updates.device)[order]

    def size(self, n: int) -> int:
        return n + (n // 2 if self.m is None else self.m)
