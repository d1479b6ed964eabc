from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.errors import check, check_choice, check_number
from ..core.randomness import generator as derived
from ..core.round import Round
from ..core.rows import Given, Rows
from ..core.state import is_row
from .base import Attack, Forgery, View


@dataclass(frozen=True, kw_only=True)
class Mimic(Attack):
    """Copy the row of one honest client, so that its data are over-represented.

    The target is the client whose row x has the largest <x, z>. z approximates the direction of largest variance, by
    streaming power iteration over the first `warmup` rounds; then z and target are fixed. In a round without the
    target, the known row with the largest <x, z> is copied. Before the first `observe`, a call acts as in round 0.

    z starts as a Gaussian draw with the run's seed (`begin`; 0 by default). variant: `strike-authors` uses |<x, z>|,
    centres on the mean of the round, and updates z and target in every round; `index` copies the known honest row of
    that index, as ByzFL and ByzPy do, and the last one in a round that has fewer.
    """

    key: ClassVar[str] = "mimic"
    title: ClassVar[str] = "Mimic"
    source: ClassVar[str] = "Karimireddy et al., ICLR 2022"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "strike-authors": {"variant": "strike-authors"},
        "byzfl": {"variant": "index"},
        "byzpy": {"variant": "index"},
    }
    warmup: int = 10
    variant: str = "paper"
    index: int = 0

    def __post_init__(self) -> None:
        check_number("warmup", self.warmup, at_least=1, whole=True)
        check_choice("variant", self.variant, ("paper", "strike-authors", "index"))
        check_number("index", self.index, at_least=0, whole=True)
        check(self.variant == "index" or self.index == 0, "index belongs to variant = index")
        check(self.variant == "paper" or self.warmup == Mimic.warmup, "warmup belongs to variant = paper")

    def check_setting(self, place: str, *, honest: int | None = None, classes: int | None = None) -> None:
        few = f"{self.name} copies the honest row {self.index}, counted from 0, and knows {honest}"
        check(self.variant != "index" or not honest or self.index < honest, few)  # without a known row it is not called

    def extra_rows(self, f: int) -> int:
        return 0 if self.variant == "index" else 24  # float64: mu and z in three copies, and what the next are made of

    def begin(self, seed: int) -> None:
        self._state["seed"] = seed

    def is_valid_state(self, state: Mapping[str, Any], d: int) -> bool:
        names = state.keys() - {"seed"}
        counts = all(type(state[key]) is int and state[key] >= 0 for key in state.keys() - {"mu", "z"})
        rows = all(is_row(state[key], d) for key in names & {"mu", "z"})
        return counts and rows and names in (set(), {"round", "mu", "z", "target"})

    def observe(self, honest: Given, *, clients: Sequence[int] | None = None, round: Round | None = None) -> None:
        if self.variant == "index":
            return
        rows = Rows.of(honest)
        self._state.update(self._next_state(rows, _ids(rows, clients)))

    def forge(self, view: View) -> Forgery:
        clients = _ids(view.honest, view.context.clients if view.context else None)
        if self.variant == "index":
            place = min(self.index, view.honest.n - 1)
            return Forgery(view.honest.updates[place].expand(view.f, -1), {"target": clients[place]})
        state = self._state if "z" in self._state else self._next_state(view.honest, clients)
        target = state["target"]
        if target not in clients:
            target = self._farthest(view.honest, clients, state["z"].to(view.honest.updates.device))
        row = view.honest.updates[clients.index(target)]
        return Forgery(row.expand(view.f, -1), {"target": target})

    def _next_state(self, rows: Rows, clients: list[int]) -> dict[str, Any]:
        """Return the entries of the state that one more round changes: none after the warm-up."""
        t = self._state.get("round", 0)
        if t >= self.warmup and self.variant == "paper":
            return {}
        mean = rows.combine(torch.ones(rows.n), dtype=torch.float64) / rows.n  # exact for equal rows: y is 0 then
        mu = mean if t == 0 or self.variant != "paper" else (t * self._state["mu"].to(mean) + mean) / (t + 1)
        z = self._state["z"].to(mean) if t else self._start(rows)
        products = rows.projections(z, centre=mu)
        y = _unit(rows.combine(products, centre=mu, dtype=torch.float64))
        if y.any():
            z = y if t == 0 else _unit((t * z + y) / (t + 1))
        return {"round": t + 1, "mu": mu, "z": z, "target": self._farthest(rows, clients, z)}

    def _start(self, rows: Rows) -> Tensor:
        draw = torch.randn(rows.d, generator=derived(self._state.get("seed", 0), "mimic"))
        return _unit(draw.to(rows.updates.device, torch.float64))

    def _farthest(self, rows: Rows, clients: list[int], z: Tensor) -> int:
        """Return the id of the client with the largest <x, z>; ties go to the lowest id."""
        products = rows.projections(z)[rows.equal.to(z.device)]  # equal rows tie, whatever the order of the sums
        if self.variant != "paper":
            products = products.abs()
        top = products.max()
        return min(client for client, product in zip(clients, products, strict=True) if product == top)


def _unit(vector: Tensor) -> Tensor:
    """Return the vector scaled to norm 1; a zero vector stays."""
    norm = torch.linalg.vector_norm(vector)
    return vector / norm if norm > 0 else vector


def _ids(rows: Rows, clients: Sequence[int] | None) -> list[int]:
    """Return one client id per row: `clients`, or the indices of the rows for None."""
    ids = list(range(rows.n) if clients is None else clients)
    check(len(ids) == rows.n, f"{len(ids)} clients for {rows.n} honest rows")
    return ids
