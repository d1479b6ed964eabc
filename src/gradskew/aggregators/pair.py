from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core.errors import check
from ..core.rows import Rows
from .base import Aggregator, Outcome, check_rule


@dataclass(frozen=True, kw_only=True)
class Pair(Aggregator):
    """A rule made of two rules a and b, which are called with the same rows and the same f.

    a draws first, b goes on with the same generator, so that their draws are independent. Notes and state of each have
    its letter in front: `a.kept`.
    """

    a: Aggregator
    b: Aggregator

    def __post_init__(self) -> None:
        check_rule("a", self.a)
        check_rule("b", self.b)
        check(self.a is not self.b, "a and b must be two objects: a rule that remembers would see each round twice")

    @property
    def pair(self) -> dict[str, Aggregator]:
        """The two rules by letter."""
        return {"a": self.a, "b": self.b}

    def outcomes(self, rows: Rows, f: int, generator: torch.Generator) -> tuple[Outcome, Outcome, dict[str, Any]]:
        """Return the outcomes of both rules, and their notes together."""
        one, other = (rule.outcome(rows, f, generator) for rule in self.pair.values())
        notes = {f"{name}.{key}": x for name, each in (("a", one), ("b", other)) for key, x in each.notes.items()}
        if notes.pop("a.clamped", False) | notes.pop("b.clamped", False):
            notes["clamped"] = True
        return one, other, notes

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        return self.a.needs | self.b.needs

    def vectors(self) -> tuple[Tensor, ...]:
        return (*self.a.vectors(), *self.b.vectors())

    def extra_rows(self, n: int, clients: int) -> float:
        return self.a.extra_rows(n, clients) + self.b.extra_rows(n, clients)

    def max_f(self, n: int) -> int:
        """Return the largest f that both rules tolerate."""
        return min(self.a.max_f(n), self.b.max_f(n))

    @property
    def has_state(self) -> bool:
        return self.a.has_state or self.b.has_state

    def observe(self, aggregate: Tensor, *, rows: Rows | None = None) -> None:
        for rule in self.pair.values():
            rule.observe(aggregate, rows=rows)

    def reset(self) -> None:
        for rule in self.pair.values():
            rule.reset()

    def state_dict(self) -> dict[str, Any]:
        return {f"{name}.{key}": x for name, rule in self.pair.items() for key, x in rule.state_dict().items()}

    def is_valid_state(self, state: Mapping[str, Any], d: int) -> bool:
        known = all(key.partition(".")[0] in self.pair for key in state)
        return known and all(rule.is_valid_state(_of(name, state), d) for name, rule in self.pair.items())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, rule in self.pair.items():
            rule.load_state_dict(_of(name, state))


def _of(name: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a state that belongs to one of the rules."""
    return {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
