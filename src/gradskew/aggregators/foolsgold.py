from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.errors import check, check_choice
from ..core.round import output_columns
from ..core.rows import Rows
from .base import WeightedRule

LARGEST = 0.99  # of a weight before the logit
ALIKE = 1e-12  # a cosine that is closer to 1 is 1 up to rounding


@dataclass(frozen=True, kw_only=True)
class FoolsGold(WeightedRule):
    """Weigh down the rows of clients whose summed updates point the same way.

    A_i = sum of client i's rows so far, this round included, cut at the largest float32. c_ij = cos(A_i, A_j),
    c_ii = 0; v_i = max(0, max_j c_ij); p_ij = c_ij min(1, v_i / v_j) where v_i < v_j, else c_ij;
    a_i = 1 - max(0, max_j p_ij), divided by the largest a; x_i = min(a_i, 0.99); u_i = ln(x_i / (1 - x_i)) + 1/2 cut
    to [0, 1], 0 for x_i = 0. The aggregate is sum u_i g_i / sum u_i; 0 if all u_i are 0. f is not used.

    features: `all` columns, or those of the `output` layer, the last weight tensor and what follows it. memory: False
    compares the rows of this round only. scale: `weights` divides by sum u_i, `n` by n, `sum` by 1.

    Equal rows, which STRIKE, LIE, IPM, MinMax and MinSum send, get the weight 0; a small random change of each row is
    enough to avoid that.

    >>> from gradskew.core.round import Round
    >>> rows = torch.tensor([[3.0, 4.0], [3.0, 4.0], [1.0, 0.0], [0.0, 1.0]])
    >>> FoolsGold()(rows, f=1, round=Round(clients=range(4)))
    tensor([0.5710, 0.4290])
    """

    key: ClassVar[str] = "foolsgold"
    title: ClassVar[str] = "FoolsGold"
    source: ClassVar[str] = "Fung, Yoon and Beschastnikh, RAID 2020"
    remark: ClassVar[str] = (
        "foolsgold gives equal rows the weight 0, and STRIKE, LIE, IPM, MinMax and MinSum send equal rows: "
        "a small random change of each row undoes that."
    )
    features: str = "all"
    memory: bool = True
    scale: str = "weights"

    def __post_init__(self) -> None:
        check_choice("features", self.features, ("all", "output"))
        check_choice("memory", self.memory, (True, False))
        check_choice("scale", self.scale, ("weights", "n", "sum"))

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset(({"clients"} if self.memory else set()) | ({"layers"} if self.features == "output" else set()))

    @property
    def isometric(self) -> bool:  # type: ignore[override]
        return self.features == "all" and not self._state  # its state has a vector for each client

    def weigh(self, rows: Rows, f: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Any]]:
        weights = trust(self._cosines(rows))
        total = {"weights": float(weights.sum()), "n": rows.n, "sum": 1}[self.scale] or 1
        return (weights / total).to(rows.updates.device), {"trusted": int((weights > 0).sum())}

    def _cosines(self, rows: Rows) -> Tensor:
        """Return the cosines between the summed features of the clients: (n, n)."""
        if self.features == "all" and not self._state:
            return rows.cosines.cpu()
        features = self._features(rows)
        if self._state:
            sums = self._sums()
            check(features.shape[1] == self._state["sums"].shape[1], "foolsgold remembers rows of another width")
            for feature, client in zip(features, map(_signed, rows.round.clients or ()), strict=True):
                if client in sums:
                    _add(feature, sums[client].to(feature))
        return Rows(features).cosines.cpu()

    def _features(self, rows: Rows) -> Tensor:
        """Return a copy of the compared columns of the rows: (n, features)."""
        return rows.part(slice(None) if self.features == "all" else output_columns(rows.round, rows.d))

    def observe(self, aggregate: Tensor, *, rows: Rows | None = None) -> None:
        if not self.memory or rows is None or rows.round.clients is None:
            return
        features, sums = self._features(rows).cpu(), self._sums()
        fresh = {}
        for client, row in zip(map(_signed, rows.round.clients), features, strict=True):
            if client in sums:
                _add(sums[client], row)  # in place, in the matrix of all sums
            else:
                fresh[client] = row
        if fresh:
            known = [sums[client][None] for client in sums]
            self._state["clients"] = torch.tensor([*sums, *fresh], dtype=torch.int64)
            self._state["sums"] = torch.cat([*known, *(row[None] for row in fresh.values())])

    def _sums(self) -> dict[int, Tensor]:
        """Return the summed features of each client, as views of the state."""
        clients = self._state["clients"].tolist() if self._state else []
        return dict(zip(clients, self._state.get("sums", ()), strict=True))

    @property
    def has_state(self) -> bool:
        return self.memory

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict({name: value.cpu() for name, value in state.items()})  # it stays on the CPU

    def is_valid_state(self, state: Mapping[str, Any], d: int) -> bool:
        if not state:
            return True
        tensors = all(isinstance(value, Tensor) for value in state.values())
        if not self.memory or state.keys() != {"clients", "sums"} or not tensors:
            return False
        clients, sums = state["clients"], state["sums"]
        ids = clients.ndim == 1 and clients.dtype == torch.int64 and len(clients.unique()) == len(clients)
        good = sums.is_floating_point() and sums.ndim == 2 and bool(sums.isfinite().all())
        width = sums.shape[1] if good else 0
        fits = width == d if self.features == "all" else 0 < width <= d
        return bool(ids and good and fits and len(clients) == len(sums))

    def extra_rows(self, n: int, clients: int) -> float:
        """Return n + 2 clients: a copy of the rows, and the sums, of which a snapshot or a new client makes a copy."""
        return n + 2 * clients if self.memory and self.features == "all" else 0.0

    def max_f(self, n: int) -> int:
        """Return n - 1: the rule relies on directions, not on a majority."""
        return n - 1

    def kappa_bound(self, n: int, f: int) -> float:
        """Return infinity: equal honest rows get the weight 0."""
        return math.inf


def _add(total: Tensor, row: Tensor) -> None:
    """Add a row to a sum in place, within the range of its type: a large row that comes again does not overflow."""
    largest = torch.finfo(total.dtype).max
    total.add_(row).clamp_(-largest, largest)


def _signed(client: int) -> int:
    """Return a client id of 64 bits as a signed number: Flower draws unsigned ones."""
    return client - (1 << 64) if client >= 1 << 63 else client


def trust(cosines: Tensor) -> Tensor:
    """Return the weights u_i (n,) from the cosines c_ij (n, n)."""
    cosines = cosines.clone().fill_diagonal_(0)
    largest = cosines.amax(1).clamp(min=0)
    pardon = torch.where(largest[:, None] < largest, largest[:, None] / largest, 1.0)
    alone = 1 - (cosines * pardon).amax(1).clamp(min=0)
    alone = torch.where(alone < ALIKE, 0.0, alone)
    if not alone.any():
        return alone
    x = (alone / alone.max()).clamp(max=LARGEST)
    return ((x / (1 - x)).log() + 0.5).clamp(0, 1)
