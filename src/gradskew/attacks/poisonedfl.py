from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.errors import STRENGTH, check_number
from ..core.randomness import generator as derived
from ..core.round import Round
from ..core.rows import Given
from .base import Attack, Forgery, View
from .steps import as_row, padded


@dataclass(frozen=True, kw_only=True)
class PoisonedFL(Attack):
    """Push the model along fixed random signs s, by fake clients that see the models of the rounds alone.

    With a = (w^{t-1} - w^t) / rate, w^{t-1} the model of the last round in which it was called, and r the row sent
    last, v = |a - r |a| / |r|| in each coordinate (|a| for r = 0) and row = c |a| (v s) / |v|; a zero row in the first
    round, and where |a| or v is 0, up to the rounding of r. s in {-1, 1}^d is drawn with the run's seed (`begin`).

    c falls by the factor `shrink`, not below `floor`, after each `every` rounds in which the model did not follow s:
    where fewer than d / 2 + Phi^-1(1 - p) sqrt(d) / 2 coordinates of w^{t-every} - w^t have the sign of s, which is
    more than chance gives with probability p. For a coordinate that has not changed, the sign of -w^t counts.

    By hand: a = (3, 4), r = (0, 5), s = (1, -1): v = |(3, 4) - (0, 5)| = (3, 1), the row is 40 (3, -1) / sqrt(10).
    """

    key: ClassVar[str] = "poisonedfl"
    title: ClassVar[str] = "PoisonedFL"
    source: ClassVar[str] = "Xie et al., CVPR 2025"
    needs: ClassVar[str] = "nothing"
    needs_models: ClassVar[bool] = True
    c: float = 8.0
    every: int = 50
    shrink: float = 0.7
    floor: float = 0.5
    p: float = 0.01

    def __post_init__(self) -> None:
        check_number("c", self.c, above=0, at_most=STRENGTH)
        check_number("every", self.every, at_least=1, whole=True)
        check_number("shrink", self.shrink, above=0, at_most=1)
        check_number("floor", self.floor, at_least=0, at_most=STRENGTH)
        check_number("p", self.p, above=0, below=1)

    def extra_rows(self, f: int) -> int:
        return 9  # three vectors in three copies

    def begin(self, seed: int) -> None:
        self._state["seed"] = seed

    def is_valid_state(self, state: Mapping[str, Any], d: int) -> bool:
        rows = [state.get(name) for name in ("before", "kept", "row")]
        vectors = all(isinstance(row, Tensor) and row.ndim == 1 and 0 < len(row) <= d for row in rows)
        counts = all(type(state.get(name)) is int for name in ("since", "shrunk"))
        named = state.keys() - {"seed"} == {"before", "kept", "row", "since", "shrunk"}
        return not state.keys() - {"seed"} or (named and vectors and counts)

    def observe(self, honest: Given, *, clients: Sequence[int] | None = None, round: Round | None = None) -> None:
        if round is None or round.params is None:
            return
        params, state = round.params.clone(), self._state  # the model steps in place
        if "row" not in state:
            state.update(before=params, kept=params, since=round.number, shrunk=0, row=torch.zeros_like(params))
            return
        if round.number - state["since"] >= self.every:
            follows = self._follows(state["kept"].to(params) - params, params)
            state["shrunk"] += not follows and self.shrink * self.strength >= self.floor
            state.update(kept=params, since=round.number)
        change = (state["before"].to(params).double() - params.double()) / round.rate
        state["row"] = self._next(change, state["row"].to(params))
        state["before"] = params

    def forge(self, view: View) -> Forgery:
        own = view.own.updates
        row = self._state["row"].to(own) if "row" in self._state else own.new_zeros(view.own.d)
        return Forgery(padded(row, own[0]).expand(view.f, -1), {"c": self.strength})

    @property
    def strength(self) -> float:
        """c, after it has fallen."""
        return float(self.c * self.shrink ** self._state.get("shrunk", 0))

    def _signs(self, d: int) -> Tensor:
        """Return s: (d,) float64."""
        draws = torch.randint(2, (d,), generator=derived(self._state.get("seed", 0), "poisonedfl"))
        return 2.0 * draws.double() - 1

    def _next(self, change: Tensor, last: Tensor) -> Tensor:
        """Return the row (d,) after the row sent last. change: a, float64."""
        length, size = (float(torch.linalg.vector_norm(each.double())) for each in (change, last))
        gaps = (change - last.double() * (length / size) if size > 0 else change).abs()
        norm = float(torch.linalg.vector_norm(gaps))
        if not (math.isfinite(length) and torch.finfo(last.dtype).eps * length < norm < math.inf):
            return torch.zeros_like(last)
        return as_row(self.strength * length / norm * gaps * self._signs(len(change)).to(change.device), last)

    def _follows(self, change: Tensor, params: Tensor) -> bool:
        """Return whether a change of the model (d,) has the signs s more often than chance gives."""
        d = len(change)
        signs = torch.where(change != 0, change, -params).sign()
        agree = int((signs == self._signs(d).to(signs.device)).sum())
        return agree >= d / 2 + NormalDist().inv_cdf(1 - self.p) * math.sqrt(d) / 2
