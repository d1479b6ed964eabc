"""A user's own attack: a function of the honest rows, or an object such as ByzFL's, imported from its path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..core.calling import bind_arguments
from ..core.errors import check
from ..core.plugin import Plugin
from .base import Attack, Forgery, View


@dataclass(frozen=True, kw_only=True)
class UserAttack(Plugin, Attack):
    """Call a user's attack with the honest rows (h, d), and with f or `own` if it has parameters for them.

    It gets copies, and returns one row (d,) for all f clients, or rows (f, d).
    """

    kind: ClassVar[str] = "attack"

    @property
    def reads_own(self) -> bool:
        return "own" in bind_arguments(self.target, None, {"f": None, "own": None})[1]

    def forge(self, view: View) -> Forgery:
        others = {"f": view.f, "own": view.own.updates.clone()}
        rows = self.call(view.honest.updates.clone(), others, view.generator.initial_seed())
        wanted, got = tuple(view.own.updates.shape), tuple(rows.shape)
        check(got in (wanted[1:], wanted), f"{self.name} returned the shape {got}, not (d,) or (f, d) = {wanted}")
        return Forgery(rows.expand(view.f, -1))
