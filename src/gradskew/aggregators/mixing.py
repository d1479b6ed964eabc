"""Base class of mixings, which transform the rows before a rule, and pipelines of a mixing and a rule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from ..core.errors import check
from ..core.method import DelegatesState, MayCheckLate
from ..core.names import Named
from ..core.rows import Rows
from .base import Aggregator, Outcome, relative


class Mixing(MayCheckLate, Named, ABC):
    """A step before a rule that replaces the n rows by m weighted sums of them.

    keeps_rows: each mixed row belongs to one client, so that client ids and example counts stay valid. isometric,
    batched: as of a rule.
    """

    keeps_rows: ClassVar[bool] = False
    isometric: ClassVar[bool] = False
    batched: ClassVar[str] = ""

    @abstractmethod
    def matrix(self, rows: Rows, f: int, generator: torch.Generator) -> Tensor:
        """Return the mixing matrix (m, n), float64. What a row of it lacks to a sum of 1 lies on the origin."""

    def size(self, n: int) -> int:
        """Return m, the number of mixed rows, or the most where it depends on the rows."""
        return n

    def least(self, n: int, f: int) -> int:
        """Return the least number of mixed rows."""
        return self.size(n)

    def mixed_f(self, f: int) -> int:
        """Return the number of mixed rows that count as Byzantine if f rows are."""
        return f

    def rule_f(self, n: int, f: int, rule: Aggregator, m: int | None = None) -> int:
        """Return the f that the rule behind the mixing is called with: `mixed_f`, or less if it tolerates less.

        m: the number of mixed rows; None where it is not known yet.
        """
        return self.mixed_f(f)

    @property
    def needs(self) -> frozenset[str]:
        """The parts of the round that the mixing itself requires."""
        return frozenset()

    def max_f(self, n: int) -> int:
        """Return the largest f that the mixing takes: by default n > 2 f. The rule behind it may take less."""
        return max(0, (n - 1) // 2)

    def kappa_bound(self, n: int, f: int, rule_kappa: float) -> float | None:
        """Return a kappa of the pipeline, given one of the rule behind the mixing; None if none is known."""
        return None


@dataclass(frozen=True, kw_only=True)
class Mixed(DelegatesState, Aggregator):
    """A pipeline: a mixing, then a rule, which may itself be a pipeline."""

    key: ClassVar[str] = "mixed"
    mixing: Mixing
    rule: Aggregator

    def __post_init__(self) -> None:
        lost = () if self.mixing.keeps_rows else sorted(self.rule.needs & {"clients", "examples"})
        message = f"{self.rule.name} needs {' and '.join(lost)}, and {self.mixing.name} mixes the rows of clients"
        check(not lost, message)

    @property
    def stateful(self) -> Aggregator:
        return self.rule

    @property
    def has_state(self) -> bool:
        return self.rule.has_state

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        return self.rule.needs | self.mixing.needs

    @property
    def late_check(self) -> bool:  # type: ignore[override]
        return self.mixing.late_check and self.rule.late_check

    @property
    def isometric(self) -> bool:  # type: ignore[override]
        return self.mixing.isometric and self.rule.isometric

    @property
    def batched(self) -> str:  # type: ignore[override]
        return min(self.mixing.batched, self.rule.batched)  # "" before "columns" before "span"

    def vectors(self) -> tuple[Tensor, ...]:
        return self.rule.vectors()

    @property
    def name(self) -> str:
        return f"{self.mixing.name}+{self.rule.name}"

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        matrix = self.mixing.matrix(rows, f, generator)
        rule_f = self.mixing.rule_f(rows.n, f, self.rule, matrix.shape[-2])
        rows.mixings[id(self)] = matrix
        inner = self.rule.outcome(rows.mix(matrix, keeps_rows=self.mixing.keeps_rows), rule_f, generator)
        weights = None if inner.weights is None else (inner.weights.unsqueeze(-2) @ matrix).squeeze(-2)
        clamped = rule_f < self.mixing.mixed_f(f) or inner.notes.get("clamped", False)
        notes = {**inner.notes, f"f of {self.rule.name}": rule_f, "clamped": clamped}
        return Outcome(inner.value, weights, notes, None if inner.parts is None else partial(_parts, inner, matrix))

    def weights(self, gram: Tensor, f: int, generator: torch.Generator) -> Tensor | None:
        """Return the weights of the rows from their inner products, around any point: see `WeightedRule.weights`."""
        return self.outcome(relative(self, gram), f, generator).weights

    def extra_rows(self, n: int, clients: int) -> float:
        """Return those of the rule; one that takes any forms the mixed rows first."""
        m = self.mixing.size(n)
        own = self.rule.extra_rows(m, clients)
        return m + own if own else 0.0

    def max_f(self, n: int) -> int:
        """Return the largest f for which the rule tolerates its own f among the mixed rows."""
        mixing, rule = self.mixing, self.rule
        candidates = range(mixing.max_f(n), -1, -1)
        return next(f for f in candidates if mixing.rule_f(n, f, rule) <= rule.max_f(mixing.least(n, f)))

    def kappa_bound(self, n: int, f: int) -> float | None:
        rule_kappa = self.rule.kappa_bound(self.mixing.size(n), self.mixing.rule_f(n, f, self.rule))
        return None if rule_kappa is None else self.mixing.kappa_bound(n, f, rule_kappa)

    def observe(self, aggregate: Tensor, *, rows: Rows | None = None) -> None:
        matrix = None if rows is None else rows.mixings.get(id(self))
        mixed = None if rows is None or matrix is None else rows.mix(matrix, keeps_rows=self.mixing.keeps_rows)
        self.rule.observe(aggregate, rows=mixed)


def _parts(inner: Outcome, matrix: Tensor) -> Tensor:
    """Return what each row counts (n,): the counts of the mixed rows (m,), divided as the mixing matrix (m, n) says."""
    counts, sizes = inner.counts, matrix.abs()
    assert counts is not None
    return (counts / sizes.sum(-1).clamp(min=torch.finfo(sizes.dtype).tiny)) @ sizes
