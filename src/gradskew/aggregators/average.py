from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.errors import check
from ..core.rows import Rows
from .base import Aggregator, Outcome, check_rule
from .dnc import DnC
from .ptm import PTM


@dataclass(frozen=True, kw_only=True)
class Average(Aggregator):
    """Average the aggregates of two rules.

    Both are called with the same rows and the same f; the weights are averaged, too, if both rules have weights. a
    draws first, b goes on with the same generator, so that their draws are independent.

    a, b: rules or pipelines. Notes and state of each have its letter in front: `a.kept`.

    >>> from gradskew.aggregators import Mean, Median
    >>> Average(a=Median(), b=Mean())(torch.tensor([[0.0], [1.0], [5.0]]), f=1)
    tensor([1.5000])
    """

    key: ClassVar[str] = "average"
    title: ClassVar[str] = "average"
    source: ClassVar[str] = "this project"
    a: Aggregator = field(default_factory=DnC)
    b: Aggregator = field(default_factory=PTM)

    def __post_init__(self) -> None:
        check_rule("a", self.a)
        check_rule("b", self.b)
        check(self.a is not self.b, "a and b must be two objects: a rule that remembers would see each round twice")

    @property
    def _parts(self) -> dict[str, Aggregator]:
        return {"a": self.a, "b": self.b}

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        one, other = (rule.outcome(rows, f, generator) for rule in self._parts.values())
        weights = None if one.weights is None or other.weights is None else (one.weights + other.weights) / 2
        notes = {f"{name}.{key}": x for name, each in (("a", one), ("b", other)) for key, x in each.notes.items()}
        if notes.pop("a.clamped", False) | notes.pop("b.clamped", False):
            notes["clamped"] = True
        parts = None if one.parts is None and other.parts is None else lambda: _shares(one) + _shares(other)
        return Outcome(one.value / 2 + other.value / 2, weights, notes, parts)

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        return self.a.needs | self.b.needs

    @property
    def late_check(self) -> bool:  # type: ignore[override]
        return self.a.late_check and self.b.late_check

    @property
    def isometric(self) -> bool:  # type: ignore[override]
        return self.a.isometric and self.b.isometric

    @property
    def batched(self) -> str:  # type: ignore[override]
        return min(self.a.batched, self.b.batched)  # "" before "columns" before "span"

    @property
    def monotone(self) -> bool:  # type: ignore[override]
        return self.a.monotone and self.b.monotone

    def vectors(self) -> tuple[Tensor, ...]:
        return (*self.a.vectors(), *self.b.vectors())

    def extra_rows(self, n: int, clients: int) -> float:
        return self.a.extra_rows(n, clients) + self.b.extra_rows(n, clients)

    def least(self, n: int, f: int) -> int | None:
        """Return the larger of the two numbers if both rules select rows: all of them have a positive weight."""
        least = [rule.least(n, f) for rule in self._parts.values()]
        return None if None in least else max(each for each in least if each is not None)

    def max_f(self, n: int) -> int:
        """Return the largest f that both rules tolerate."""
        return min(self.a.max_f(n), self.b.max_f(n))

    def kappa_bound(self, n: int, f: int) -> float | None:
        """Return ((sqrt(kappa_a) + sqrt(kappa_b)) / 2)^2, by the triangle inequality; infinity if one of them is.

        None if none is known of one of the rules, or both are infinite: their errors may cancel.
        """
        bounds = [rule.kappa_bound(n, f) for rule in self._parts.values()]
        known = [bound for bound in bounds if bound is not None]
        if len(known) < 2 or known == [math.inf, math.inf]:
            return None
        return max(min(known), (sum(map(math.sqrt, known)) / 2) ** 2)  # at least the smaller one, but for rounding

    @property
    def has_state(self) -> bool:
        return self.a.has_state or self.b.has_state

    def observe(self, aggregate: Tensor, *, rows: Rows | None = None) -> None:
        for rule in self._parts.values():
            rule.observe(aggregate, rows=rows)

    def reset(self) -> None:
        for rule in self._parts.values():
            rule.reset()

    def state_dict(self) -> dict[str, Any]:
        return {f"{name}.{key}": x for name, rule in self._parts.items() for key, x in rule.state_dict().items()}

    def is_valid_state(self, state: Mapping[str, Any], d: int) -> bool:
        known = all(key.partition(".")[0] in self._parts for key in state)
        return known and all(rule.is_valid_state(_of(name, state), d) for name, rule in self._parts.items())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, rule in self._parts.items():
            rule.load_state_dict(_of(name, state))


def _shares(outcome: Outcome) -> Tensor:
    """Return the shares of the rows (n,) in an outcome that has them."""
    shares = outcome.shares
    assert shares is not None
    return shares


def _of(name: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a state that belongs to one of the rules."""
    return {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
