from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core import columns
from ..core.errors import check_choice, check_number
from ..core.rows import Rows
from .base import Aggregator, Outcome
from .clipping import clip_factors, clipped_average


@dataclass(frozen=True, kw_only=True)
class ClippedClustering(Aggregator):
    """Average the larger of two clusters by cosine distance, its rows clipped to the median norm of all rounds.

    T = min(tau, the median of the norms of all rows so far, these included); y_i = g_i min(1, T / |g_i|). The distance
    of two rows is 1 - cos(y_i, y_j), 2 with a row of zeros; agglomerative clustering forms two clusters. Of equal ones
    that with the lowest row is taken. f is not used.

    linkage: `average` or `single`. agg: the `mean` of the cluster, or its `median`.

    >>> ClippedClustering()(torch.tensor([[1.0, 0.0], [2.0, 0.2], [1.0, 0.1], [0.0, 5.0]]), f=1)
    tensor([1.1667, 0.0833])
    """

    key: ClassVar[str] = "clippedclustering"
    title: ClassVar[str] = "ClippedClustering"
    source: ClassVar[str] = "Li, Ngai and Voigt, IEEE TBD 2023"
    tau: float = 1e5
    linkage: str = "average"
    agg: str = "mean"

    def __post_init__(self) -> None:
        check_number("tau", self.tau, above=0)
        check_choice("linkage", self.linkage, ("average", "single"))
        check_choice("agg", self.agg, ("mean", "median"))

    @property
    def isometric(self) -> bool:  # type: ignore[override]
        return self.agg == "mean"

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        norms = rows.norms.cpu()
        radius = torch.cat([self._past, norms]).quantile(0.5).clamp(max=self.tau)
        chosen = self._cluster(rows)
        notes = {"kept": int(chosen.sum())}
        if self.agg == "median":
            return Outcome(columns.median(rows.mix(clip_factors(norms, radius).diag()[chosen])), None, notes)
        weights = clipped_average(norms, radius, chosen).to(rows.updates.device)
        return Outcome(rows.combine(weights), weights, notes)

    def _cluster(self, rows: Rows) -> Tensor:
        """Return which rows are in the larger cluster: (n,) bool. Clipping does not change the cosines."""
        from scipy.cluster.hierarchy import linkage

        if rows.n == 1:
            return torch.ones(1, dtype=torch.bool)
        zero = (rows.norms == 0).cpu()
        distances = (1 - rows.cosines).cpu().masked_fill(zero[:, None] | zero, 2.0)
        pairs = distances[tuple(torch.triu_indices(rows.n, rows.n, 1))].clamp(min=0).numpy()
        first = _first_cluster(linkage(pairs, self.linkage))
        twice = 2 * int(first.sum())
        return first if twice > rows.n or (twice == rows.n and first[0]) else ~first

    @property
    def _past(self) -> Tensor:
        """The norms of the rows of all past rounds."""
        past: Tensor = self._state.get("norms", torch.empty(0, dtype=torch.float64))
        return past

    def observe(self, aggregate: Tensor, *, rows: Rows | None = None) -> None:
        if rows is not None:
            self._state["norms"] = torch.cat([self._past, rows.norms.cpu()])

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict({name: value.cpu() for name, value in state.items()})  # it stays on the CPU

    def is_valid_state(self, state: Mapping[str, Any], d: int) -> bool:
        if not state:
            return True
        norms = state.get("norms")
        good = isinstance(norms, Tensor) and norms.ndim == 1 and norms.dtype == torch.float64
        return state.keys() == {"norms"} and good and bool((norms >= 0).all() and norms.isfinite().all())  # type: ignore[union-attr,operator]

    def kappa_bound(self, n: int, f: int) -> float | None:
        """Return infinity for f > 0: shorter rows in the direction of equal honest ones are averaged."""
        return math.inf if f else None


def _first_cluster(merges: NDArray[np.float64]) -> Tensor:
    """Return which of n points are in the first of the two clusters that the last of n - 1 merges joins: (n,) bool."""
    n = len(merges) + 1
    members, nodes = torch.zeros(n, dtype=torch.bool), [int(merges[-1, 0])]
    while nodes:
        node = nodes.pop()
        if node < n:
            members[node] = True
        else:
            nodes += [int(child) for child in merges[node - n, :2]]
    return members
