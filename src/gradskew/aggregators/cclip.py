from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from ..core import columns
from ..core.errors import check, check_choice, check_number
from ..core.rows import Rows
from ..core.state import is_row
from .base import Aggregator, Outcome
from .clipping import clip_factors


@dataclass(frozen=True, kw_only=True)
class CClip(Aggregator):
    """Clip the rows to a radius around the previous aggregate, and average them.

    v <- v + mean_i (g_i - v) min(1, tau / |g_i - v|), `steps` times, from the last observed aggregate (0 at first).

    tau: radius, in the units of the updates; `least`, with centre=reference, the least distance of a row from the first
    v. start: the first v, `previous` for the last aggregate, `zero`, `mean` or `median` (coordinate-wise) of the rows.
    centre: `reference` takes the server's own update as the first v, whatever `start` is. The weights of the rows sum
    to at most 1; the rest is the weight of the first v.

    >>> CClip(tau=1.0)(torch.tensor([[0.5], [-10.0], [10.0], [10.0]]), f=1)
    tensor([0.3750])
    """

    key: ClassVar[str] = "cclip"
    title: ClassVar[str] = "CClip"
    source: ClassVar[str] = "Karimireddy et al., ICML 2021"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "byzfl": {"tau": 100.0},
        "byzpy": {"start": "mean", "steps": 10},
    }
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {"centered_clipping": {}, "centred_clipping": {}}
    late_check: ClassVar[bool] = True
    tau: float | str = 10.0
    steps: int = 1
    start: str = "previous"
    centre: Literal["reference"] | None = None

    def __post_init__(self) -> None:
        check_choice("centre", self.centre, (None, "reference"))
        if isinstance(self.tau, str):
            check(self.tau == "least", f"tau must be a number or least, not {self.tau!r}")
            known = "a row at a centre that clients know would make the radius 0"
            check(self.centre == "reference", f"tau must be a number without centre=reference: {known}")
        else:
            check_number("tau", self.tau, above=0)
        check_number("steps", self.steps, at_least=1, whole=True)
        check_choice("start", self.start, ("previous", "zero", "mean", "median"))

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        centre = self._start(rows)
        weights = torch.zeros(rows.shape, dtype=torch.float64, device=rows.updates.device)
        if self.centre is None and self.start == "mean":
            weights += 1 / rows.n
        clipped, radius = 0, None
        for _ in range(self.steps):
            distances = rows.squared_distances_to(centre).sqrt()
            radius = self._radius(distances) if radius is None else radius
            shares = clip_factors(distances, radius) / rows.n
            stay = 1 - shares.sum(-1, keepdim=True)
            centre = rows.combine(shares) if centre is None else rows.moved(centre, shares)
            weights = shares + stay * weights
            clipped += int((distances > radius).sum())
        assert centre is not None
        return Outcome(centre, weights, {"clipped": clipped})

    def _radius(self, distances: Tensor) -> Tensor:
        """Return the radius, () or (..., 1), given the distances from the first centre (..., n)."""
        return distances.new_tensor(self.tau) if self.tau != "least" else distances.amin(-1, keepdim=True)

    def _start(self, rows: Rows) -> Tensor | None:
        """Return the first centre (d,); None for the origin."""
        if self.centre == "reference":
            assert rows.round.reference is not None
            return rows.place(rows.round.reference)
        if self.start == "mean":
            return rows.mean()
        if self.start == "median":
            return columns.median(rows)
        start = self._state.get("centre")
        return None if start is None else rows.place(start)

    @classmethod
    def idle(cls, name: str, notes: Sequence[Mapping[str, Any]]) -> str:
        unclipped = all(note.get("clipped") == 0 for note in notes)
        return f"{name} clipped no row in any round: with this tau it is the mean." if unclipped else ""

    def vectors(self) -> tuple[Tensor, ...]:
        return (self._state["centre"],) if "centre" in self._state else ()

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset() if self.centre is None else frozenset({"reference"})

    @property
    def batched(self) -> str:  # type: ignore[override]
        return "span" if self.isometric else "columns"

    @property
    def isometric(self) -> bool:  # type: ignore[override]
        return self.centre is not None or self.start != "median"

    @property
    def has_state(self) -> bool:
        return self.centre is None and self.start == "previous"

    def is_valid_state(self, state: Mapping[str, Any], d: int) -> bool:
        return state.keys() <= {"centre"} and all(is_row(centre, d) for centre in state.values())

    def observe(self, aggregate: Tensor, *, rows: Rows | None = None) -> None:
        if self.has_state:
            self._state["centre"] = torch.as_tensor(aggregate).detach().clone()
