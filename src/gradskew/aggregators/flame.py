from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..core.errors import check_choice, check_number
from ..core.gram import cosines_of
from ..core.rows import Rows
from .base import Aggregator, Outcome
from .clipping import clipped_average
from .ties import merge_ties


@dataclass(frozen=True, kw_only=True)
class Flame(Aggregator):
    """Average the rows of the majority cluster by cosine distance, clipped to the median norm, and add noise.

    d_ij = 1 - cos(W_i, W_j), W_i = w^t - g_i the local models. t is the least distance for which the pairs with
    d_ij <= t connect more than n / 2 rows; S is that component. M is the median of all n norms |g_i|. The aggregate is
    the mean over S of g_i min(1, M / |g_i|), plus Gaussian noise of standard deviation noise * M in each coordinate.
    This S is the cluster of HDBSCAN with min_cluster_size = n // 2 + 1 and min_samples = 1.

    of: `models`, or `updates`, where d_ij = 1 - cos(g_i, g_j) and the model is not needed. noise: lambda of the paper;
    0 for none.

    >>> rows = torch.tensor([[1.0, 0.0], [2.0, 0.2], [1.0, 0.1], [0.0, 5.0]])
    >>> Flame(of="updates", noise=0.0)(rows, f=1)
    tensor([1.1667, 0.0833])
    """

    key: ClassVar[str] = "flame"
    title: ClassVar[str] = "FLAME"
    source: ClassVar[str] = "Nguyen et al., USENIX Security 2022"
    of: str = "models"
    noise: float = 0.001

    def __post_init__(self) -> None:
        check_choice("of", self.of, ("models", "updates"))
        check_number("noise", self.noise, at_least=0)

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset({"params"} if self.of == "models" else ())

    @property
    def isometric(self) -> bool:  # type: ignore[override]
        return self.noise == 0

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        inner = rows.origin_gram
        if self.of == "models":
            params = rows.round.params
            assert params is not None
            params = params / rows.round.rate  # cosines of w^t/rate - g_i are those of w^t - rate g_i
            along = rows.projections(params)
            inner = inner + (params.double() @ params.double() - along[:, None] - along)
        chosen = majority(1 - cosines_of(inner))
        radius = rows.norms.quantile(0.5)
        weights = clipped_average(rows.norms, radius, chosen)
        value = rows.combine(weights)
        if self.noise:
            value += self.noise * float(radius) * torch.randn(rows.d, generator=generator).to(value)
        return Outcome(value, weights, {"kept": int(chosen.sum())})

    def least(self, n: int, f: int) -> int | None:
        """Return n // 2 + 1."""
        return n // 2 + 1

    def kappa_bound(self, n: int, f: int) -> float | None:
        """Return infinity for f > 0: rows whose models are parallel to those of equal honest rows are averaged."""
        return math.inf if f else None


def majority(distances: Tensor) -> Tensor:
    """Return which rows are in the first connected component of more than n / 2 rows, as pairs join by distance (n, n).

    The result is (n,) bool.
    """
    n = len(distances)
    first, second = torch.triu_indices(n, n, 1)
    lengths = merge_ties(distances.cpu()[first, second])
    order = lengths.argsort(stable=True)
    component = list(range(n))
    members = {i: [i] for i in range(n)}
    largest, reached = 0, math.inf
    for pair in order.tolist():
        if len(members[largest]) * 2 > n and lengths[pair] > reached:
            break
        a, b = component[int(first[pair])], component[int(second[pair])]
        if a != b:
            for i in members[b]:
                component[i] = a
            members[a] += members.pop(b)
            if b == largest or len(members[a]) > len(members[largest]):
                largest = a
        reached = float(lengths[pair])
    return torch.tensor([i in members[largest] for i in range(n)], device=distances.device)
