from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.errors import check, check_number
from ..core.rows import BLOCK_BYTES, Rows
from .base import Aggregator, WeightedRule, check_rule
from .multikrum import MultiKrum
from .ties import uniform_lowest

NARROW = 128  # columns of a group up to which the groups are computed together, as a call for each takes longer


@dataclass(frozen=True, kw_only=True)
class GAS(WeightedRule):
    """Gradient splitting: average the n - f rows that are nearest to a base rule's aggregates on groups of columns.

    The columns are dealt at random into p groups of ceil(d / p); score_i = the sum over the groups of the distance of
    row i, on the group, to the aggregate of the base rule. Ties go to the lower index. The base rule is called with
    min(f, the most that it tolerates).

    base: a rule. p: at most d.

    >>> from gradskew.aggregators import Median
    >>> GAS(base=Median())(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 9.0]]), f=1)
    tensor([0.3333, 0.3333])
    """

    key: ClassVar[str] = "gas"
    title: ClassVar[str] = "GAS"
    source: ClassVar[str] = "Liu et al., ICML 2023"
    base: Aggregator = field(default_factory=MultiKrum)
    p: int = 1000

    def __post_init__(self) -> None:
        check_rule("base", self.base)
        check_number("p", self.p, at_least=1, whole=True)
        check(not self.base.needs, f"base must need nothing besides the rows: {self.base.name} does")
        check(not self.base.has_state, f"base must not depend on earlier rounds: {self.base.name} does")

    def weigh(self, rows: Rows, f: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Any]]:
        scores = torch.zeros(rows.n, dtype=torch.float64, device=rows.updates.device)
        base_f = min(f, self.base.max_f(rows.n))
        width = -(-rows.d // self.p)
        order = torch.randperm(rows.d, generator=generator)
        whole, base = 0, self.base
        if type(base) is MultiKrum and base.batched and width <= NARROW:
            whole = rows.d - rows.d % width
            for index in order[:whole].split(width * max(1, BLOCK_BYTES // (8 * rows.n**2))):
                scores += _distances(rows.columns(index).unflatten(1, (-1, width)), base, base_f)
        for group in order[whole:].split(width) if whole < rows.d else ():
            part = Rows(rows.columns(group))
            aggregate = base.outcome(part, base_f, generator).value
            scores += part.squared_distances_to(aggregate).sqrt()
        return uniform_lowest(scores, rows.n - f), {f"f of {base.name}": base_f}

    def least(self, n: int, f: int) -> int | None:
        return n - f


def _distances(groups: Tensor, base: MultiKrum, f: int) -> Tensor:
    """Return the sum over groups of columns (n, groups, width) of the distances to the base rule's aggregate: (n,)."""
    points = groups.movedim(1, 0).contiguous()
    pairs = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    aggregates = base.from_distances(pairs.square_(), f).unsqueeze(1) @ points
    distances: Tensor = torch.linalg.vector_norm(points - aggregates, dim=2)
    return distances.sum(0)
