"""The abstractions of robust aggregation: a rule, a mixing in front of a rule, and what a rule says of its choice."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from ..core.errors import check, check_number, raised_by
from ..core.names import Named
from ..core.round import Round
from ..core.rows import Rows, check_rows, version
from ..core.state import Stateful


@dataclass(frozen=True)
class Outcome:
    """What a rule makes of the rows.

    value: the aggregate (d,). weights: each row's weight in it (n,), or None for a rule that has none (it works per
    coordinate). notes: what a record keeps, such as the f that the rule was told behind a mixing.
    """

    value: Tensor
    weights: Tensor | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    def share(self, count: int) -> float | None:
        """Return the first `count` rows' part of the absolute weight; None without weights, or if all are 0."""
        weights = None if self.weights is None else self.weights.abs()
        return float(weights[:count].sum() / weights.sum()) if weights is not None and weights.sum() > 0 else None


@dataclass(frozen=True, kw_only=True)
class Aggregator(Stateful, ABC):
    """A robust aggregation rule (AGR). Calls are pure: same object, same input, same output.

    needs: the fields of `Round` without which the rule cannot work. baseline: whether it is no defence, but what a
    defence is compared with.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    baseline: ClassVar[bool] = False

    @final
    def __call__(
        self,
        updates: Tensor | Rows,
        f: int,
        *,
        generator: torch.Generator | None = None,
        round: Round | None = None,
    ) -> Tensor:
        """Return the aggregate (d,) of updates (n, d); at most f rows are Byzantine. See `explain`."""
        return self.explain(updates, f, generator=generator, round=round).value

    @final
    @raised_by("rule")
    def explain(
        self,
        updates: Tensor | Rows,
        f: int,
        *,
        generator: torch.Generator | None = None,
        round: Round | None = None,
    ) -> Outcome:
        """Return the aggregate with the rows' weights and notes.

        updates: the matrix (n, d), or its `Rows`, which keep what is computed on them. generator: for rules that draw;
        None means a fresh CPU generator with seed 0. round: what the server knows beside the rows. Bitwise equal rows
        share their weight equally. Raises InputError for f above `max_f(n)`, for a wrong shape, for non-finite rows,
        and for a round that lacks what the rule needs.
        """
        matrix = updates.updates if isinstance(updates, Rows) else updates
        check_rows("updates", matrix)
        check_number("f", f, at_least=0, whole=True)
        rows = Rows.of(updates, round)
        bound = self.max_f(rows.n)
        check(f <= bound, f"{self.name} tolerates at most f = {bound} of n = {rows.n} rows, not {f}")
        rows.round.check_has(self.needs, self.name)
        before = version(matrix)
        outcome = self.outcome(rows, f, generator or torch.Generator().manual_seed(0))
        check(version(matrix) == before, f"{self.name} changed the rows: it must copy them")
        check_shape(f"{self.name}'s aggregate", outcome.value, rows.d)
        if outcome.weights is None:
            return outcome
        check_shape(f"{self.name}'s weights", outcome.weights, rows.n)
        return replace(outcome, weights=share_ties(outcome.weights, rows.equal))

    def __init_subclass__(cls) -> None:
        """Refuse a subclass that overrides the call: the checks would not hold for it."""
        super().__init_subclass__()
        for name in ("__call__", "explain"):
            if name in vars(cls):
                raise TypeError(f"{cls.__qualname__} must override outcome, not {name}")

    @classmethod
    def idle(cls, name: str, notes: Sequence[Mapping[str, Any]]) -> str:
        """Return a sentence if, by its notes of all rounds, it changed nothing; else an empty text."""
        return ""

    @abstractmethod
    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        """What `explain` returns, from checked arguments; behind a mixing, rows are the mixed ones."""

    def observe(self, aggregate: Tensor) -> None:
        """Once a round, after the step: the aggregate (d,) that the model took. Only this advances the state."""

    def max_f(self, n: int) -> int:
        """The largest f that the rule tolerates among n rows: n > 2 f. f = 0 is legal everywhere."""
        return max(0, (n - 1) // 2)

    def kappa_bound(self, n: int, f: int) -> float | None:
        """A kappa for which the rule is proven to be (f, kappa)-robust on n rows (Definition 1).

        Infinite where it is proven that there is none, None where nothing is known. See docs/semantics.md.
        """
        return None


class WeightedRule(Aggregator):
    """A rule whose aggregate is a weighted sum of the rows."""

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        weights, notes = self.weigh(rows, f, generator)
        return Outcome(rows.combine(weights), weights, notes)

    @abstractmethod
    def weigh(self, rows: Rows, f: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Any]]:
        """The float64 weights (n,) and notes."""


class Mixing(Named, ABC):
    """A step before a rule: it replaces the rows by mixtures of them.

    keeps_rows: each mixed row is that of one client, with its id and its examples.
    """

    keeps_rows: ClassVar[bool] = False

    @abstractmethod
    def matrix(self, rows: Rows, f: int, generator: torch.Generator) -> Tensor:
        """The mixing matrix (m, n), float64, whose rows sum to 1."""

    def size(self, n: int) -> int:
        """m, the number of mixed rows."""
        return n

    def spoiled(self, f: int) -> int:
        """How many mixed rows are taken to be Byzantine."""
        return f

    def told(self, n: int, f: int, rule: Aggregator) -> int:
        """The f that the rule behind is told."""
        return self.spoiled(f)

    def kappa_bound(self, n: int, f: int, behind: float) -> float | None:
        """The kappa of the pipeline if that of the rule behind is `behind`; None where nothing is known."""
        return None


@dataclass(frozen=True, kw_only=True)
class Mixed(Aggregator):
    """A mixing in front of a rule, which may itself stand behind a mixing."""

    key: ClassVar[str] = "mixed"
    mixing: Mixing
    rule: Aggregator

    def __post_init__(self) -> None:
        lost = () if self.mixing.keeps_rows else sorted(self.needs & {"clients", "examples"})
        check(
            not lost, f"{self.rule.name} needs {' and '.join(lost)}, and {self.mixing.name} mixes the rows of clients"
        )

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        return self.rule.needs

    @property
    def name(self) -> str:
        return f"{self.mixing.name}+{self.rule.name}"

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        matrix = self.mixing.matrix(rows, f, generator)
        told = self.mixing.told(rows.n, f, self.rule)
        inner = self.rule.outcome(rows.mix(matrix, keeps_rows=self.mixing.keeps_rows), told, generator)
        weights = None if inner.weights is None else inner.weights @ matrix
        clamped = told < self.mixing.spoiled(f) or inner.notes.get("clamped", False)
        return Outcome(inner.value, weights, {**inner.notes, f"f of {self.rule.name}": told, "clamped": clamped})

    def max_f(self, n: int) -> int:
        """The largest f for which every stage is legal."""
        m = self.mixing.size(n)
        bound = max(0, (n - 1) // 2)
        return next(f for f in range(bound, -1, -1) if self.mixing.told(n, f, self.rule) <= self.rule.max_f(m))

    def kappa_bound(self, n: int, f: int) -> float | None:
        told = self.mixing.told(n, f, self.rule)
        behind = self.rule.kappa_bound(self.mixing.size(n), told)
        return None if behind is None else self.mixing.kappa_bound(n, f, behind)

    def observe(self, aggregate: Tensor) -> None:
        self.rule.observe(aggregate)

    def reset(self) -> None:
        self.rule.reset()

    def state_dict(self) -> dict[str, Any]:
        return self.rule.state_dict()

    def is_valid_state(self, state: Mapping[str, Any], d: int) -> bool:
        return self.rule.is_valid_state(state, d)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.rule.load_state_dict(state)


def check_shape(name: str, vector: Tensor, length: int) -> None:
    """A vector of the right length."""
    shape = tuple(vector.shape) if isinstance(vector, Tensor) else type(vector).__name__
    check(shape == (length,), f"{name} must have the shape ({length},), not {shape}")


def least_kappa(n: int, f: int) -> float:
    """The kappa below which no rule can be (f, kappa)-robust on n rows: f / (n - 2 f) (Allouah et al. 2023, Prop. 6).

    >>> least_kappa(n=50, f=10)
    0.3333333333333333
    """
    return f / (n - 2 * f) if n > 2 * f else math.inf


def share_ties(weights: Tensor, equal: Tensor) -> Tensor:
    """Give bitwise equal rows the average of their weights; `equal` names each row's first equal one."""
    equal = equal.to(weights.device)
    total = torch.zeros_like(weights).index_add_(0, equal, weights)
    count = torch.zeros_like(weights).index_add_(0, equal, torch.ones_like(weights))
    return total[equal] / count[equal]


def lowest(scores: Tensor, count: int) -> Tensor:
    """The indices of the `count` lowest scores; on ties the lower index."""
    return scores.argsort(stable=True)[:count]


def uniform(n: int, chosen: Tensor) -> Tensor:
    """Equal weights on the chosen indices that sum to 1, zero elsewhere: (n,) float64."""
    weights = torch.zeros(n, dtype=torch.float64, device=chosen.device)
    weights[chosen] = 1 / len(chosen)
    return weights
