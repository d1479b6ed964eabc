"""Base classes of robust aggregation: rules, mixings before a rule, and the outcome of a rule."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from ..core.calling import takes
from ..core.errors import check, check_number, raised_by
from ..core.given import as_generator, as_kind, check_matrix, version
from ..core.method import Method
from ..core.round import Round
from ..core.rows import Given, Rows
from ..core.tries import Relative

NO_BUFFERS = "takes rows of parameters alone: use buffers = mean"


@dataclass(frozen=True)
class Outcome:
    """The result of a rule on a matrix of rows.

    value: the aggregate (d,). weights: the weight of each row in it (n,); None for a rule without row weights, such as
    a coordinate-wise one. notes: further values for the record, such as the f of a rule behind a mixing. parts: a
    function that returns what each row counts in the aggregate (n,), where that is not its absolute weight.
    """

    value: Tensor
    weights: Tensor | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    parts: Callable[[], Tensor] | None = None

    @property
    def counts(self) -> Tensor | None:
        """What each row counts in the aggregate (n,): its absolute weight, or its part; None without weights."""
        if self.weights is None:
            return None
        return torch.as_tensor(self.weights).abs() if self.parts is None else self.parts()

    @property
    def shares(self) -> Tensor | None:
        """The counts of the rows over their sum (n,); None without weights."""
        counts = self.counts
        return None if counts is None else counts / counts.sum().clamp(min=torch.finfo(counts.dtype).tiny)

    def share(self, count: int) -> float | None:
        """Return the share of the first `count` rows in `counts`; None without weights, or if all are 0."""
        counts = self.counts
        if counts is None:
            return None
        total = counts.sum()
        return float(counts[:count].sum() / total) if 0 < float(total) < math.inf else None


@dataclass(frozen=True, kw_only=True)
class Aggregator(Method):
    """A robust aggregation rule (AGR). Calls are pure: same object, same input, same output.

    A subclass implements `outcome`. needs: the fields of `Round` that the rule requires. baseline: True for no defence.
    isometric: whether the rule moves with rotations of the rows, so that it may be called on their coordinates in a
    basis of their span. batched: the tries that `outcome` takes at once: `span` for `Tries`, `columns` for
    `SampledTries`, empty for none.
    monotone: True if, for any draw, no entry of the aggregate falls when an entry of a row rises. by_ranks: whether
    `outcome` takes `Copies`; it is not inherited with an `outcome` of another class.
    """

    implements: ClassVar[str] = "outcome"
    needs: ClassVar[frozenset[str]] = frozenset()
    isometric: ClassVar[bool] = False
    batched: ClassVar[str] = ""
    baseline: ClassVar[bool] = False
    monotone: ClassVar[bool] = False
    by_ranks: ClassVar[bool] = False

    def check_setting(self, *, n: int, buffers: bool) -> None:
        """Raise InputError unless the rule fits the n rows of a federation. buffers: whether they end with buffers."""
        check(not (buffers and "params" in self.needs), f"{self.name} {NO_BUFFERS}")

    @final
    @raised_by("rule")
    def __call__(
        self,
        updates: Given,
        f: int,
        *,
        generator: torch.Generator | None = None,
        round: Round | None = None,
    ) -> Any:
        """Return the aggregate (d,) of updates (n, d), at most f of them Byzantine. See `explain`."""
        rows = Rows.of(updates, round, name="updates")
        return as_kind(self._checked(rows, f, generator).value, updates, keep_type=True)

    @final
    @raised_by("rule")
    def explain(
        self,
        updates: Given,
        f: int,
        *,
        generator: torch.Generator | None = None,
        round: Round | None = None,
    ) -> Outcome:
        """Return the aggregate (d,), the weights of the rows (n,) and notes.

        updates: a matrix (n, d) of torch or NumPy, or `Rows`, which cache what is computed on them. The aggregate is of
        the same kind and type; float16 and bfloat16 are computed in float32. f: the largest number of Byzantine
        rows. generator: for rules that draw; None means a new CPU generator with seed 0. round: what the server knows
        besides the rows. Bitwise equal rows get equal weights. Raises InputError for f above `max_f(n)`, for a wrong
        shape, for non-finite rows, and for a round without a field in `needs`.
        """
        rows = Rows.of(updates, round, name="updates")
        outcome = self._checked(rows, f, generator)
        weights, parts = outcome.weights, outcome.parts
        if weights is not None:
            if rows.mixing is None:  # equality is known of base rows only
                weights = share_ties(weights, rows.equal)
                parts = None if parts is None else partial(_shared, parts, rows)
            weights = as_kind(weights, updates)
        return replace(outcome, value=as_kind(outcome.value, updates, keep_type=True), weights=weights, parts=parts)

    def _checked(self, rows: Rows, f: int, generator: torch.Generator | None) -> Outcome:
        """Return the outcome, arguments and outcome checked."""
        matrix, name = rows.updates, self.name
        check_matrix("updates", matrix)
        if not self.late_check:
            rows.check("updates")
        f = check_number("f", f, at_least=0, whole=True)
        bound = self.max_f(rows.n)
        check(f <= bound, f"{name} tolerates at most f = {bound} of n = {rows.n} rows, not {f}")
        check(isinstance(rows.round, Round), f"round must be a gradskew.Round, not {type(rows.round).__name__}")
        rows.round.check_has(self.needs, name)
        rows.round.check_fits(self.needs, rows.n, rows.d)
        before = version(matrix)
        outcome = self.outcome(rows, f, as_generator(generator))
        rows.check("updates")
        check(version(matrix) == before, f"{name} changed the rows: it must copy them")
        check_shape(f"{name}'s aggregate", outcome.value, rows.d)
        if outcome.weights is not None:
            check_shape(f"{name}'s weights", outcome.weights, rows.n)
        return outcome

    def __init_subclass__(cls) -> None:
        """Set `by_ranks`; let an `observe` that takes the aggregate alone, as once, be called with the rows, too."""
        super().__init_subclass__()
        if "outcome" in vars(cls) and "by_ranks" not in vars(cls):
            cls.by_ranks = False
        own = vars(cls).get("observe")
        if own is not None and not takes(own, "rows"):
            cls.observe = lambda self, aggregate, *, rows=None: own(self, aggregate)  # type: ignore[method-assign]

    @abstractmethod
    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        """Return the outcome for checked arguments; behind a mixing, the rows are mixed rows."""

    def vectors(self) -> tuple[Tensor, ...]:
        """Return the vectors (d,) of its state that the aggregate depends on, such as the previous aggregate."""
        return ()

    def observe(self, aggregate: Tensor, *, rows: Rows | None = None) -> None:
        """Update the state with the aggregate (d,) and the rows of a round, once, after the server's step."""

    @property
    def has_state(self) -> bool:
        """Whether `observe` changes later calls."""
        return type(self).observe is not Aggregator.observe

    def extra_rows(self, n: int, clients: int) -> float:
        """Return the most memory that the rule takes besides n rows, in float32 rows (d,). clients: of the federation.

        Vectors and blocks of columns do not count.
        """
        return 0.0

    def least(self, n: int, f: int) -> int | None:
        """Return the least number of rows with a positive weight, for a rule that selects rows; None for another."""
        return None

    def max_f(self, n: int) -> int:
        """Return the largest f that the rule tolerates among n rows: by default n > 2 f. f = 0 is always allowed."""
        return max(0, (n - 1) // 2)

    def kappa_bound(self, n: int, f: int) -> float | None:
        """Return a kappa for which the rule is proven (f, kappa)-robust on n rows (Liu et al. 2025, Definition 1).

        Infinity: proven not to be robust. None: no proof either way. See docs/semantics.md.
        """
        return None


class WeightedRule(Aggregator):
    """A rule whose aggregate is a weighted sum of the rows. A subclass implements `weigh`, or `weights` alone.

    by_length: whether the rule divides rows by their lengths, so that a short row has a large weight: what a row counts
    is then its weight times its length.
    """

    by_length: ClassVar[bool] = False

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        weights, notes = self.weigh(rows, f, generator)
        parts = (lambda: weights.abs() * rows.norms) if self.by_length else None
        return Outcome(rows.combine(weights), weights, notes, parts)

    def weigh(self, rows: Rows, f: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Any]]:
        """Return the float64 weights (n,) of the rows, and notes."""
        gram = rows.gram if rows.gram.ndim == 3 else rows.gram[None]
        return self.weights(gram, f, generator).reshape(rows.shape), {}

    def weights(self, gram: Tensor, f: int, generator: torch.Generator) -> Tensor:
        """Return the weights of the rows from their inner products, around any point: (P, n, n) -> (P, n).

        A subclass may write this alone. As it stands it is for rules with `batched` = `span` that need nothing of the
        round and do not change with the point, such as `multikrum`, `rfa` and `monna`. InputError for a rule that asks
        for more, such as `cge`, whose norms are distances from the origin.
        """
        check(type(self).weigh is not WeightedRule.weigh, f"{self.name} must implement weights or weigh")
        return self.weigh(relative(self, gram), f, generator)[0]


def relative(rule: Aggregator, gram: Tensor) -> Rows:
    """Return tries with inner products (P, n, n) around any point, for a rule; InputError if it takes none."""
    good = rule.batched == "span" and not rule.needs
    check(good, f"{rule.name} takes no inner products alone: call it with the rows")
    return Relative(gram).as_rows


def check_rule(name: str, rule: Any) -> None:
    """Raise InputError unless an option is a rule."""
    check(isinstance(rule, Aggregator), f"{name} must be a rule, not {rule!r}")


def check_shape(name: str, vector: Tensor, length: int) -> None:
    """Raise InputError unless vector is a tensor of shape (length,). name: for the message."""
    shape = tuple(vector.shape) if isinstance(vector, Tensor) else type(vector).__name__
    check(shape == (length,), f"{name} must have the shape ({length},), not {shape}")


def least_kappa(n: int, f: int) -> float:
    """Return the least kappa of any (f, kappa)-robust rule on n rows: f / (n - 2 f) (Allouah et al. 2023, Prop. 6).

    >>> least_kappa(n=50, f=10)
    0.3333333333333333
    """
    return f / (n - 2 * f) if n > 2 * f else math.inf


def _shared(parts: Callable[[], Tensor], rows: Rows) -> Tensor:
    """Return what each row counts (n,), averaged over bitwise equal rows."""
    return share_ties(parts(), rows.equal)


def share_ties(weights: Tensor, equal: Tensor) -> Tensor:
    """Return weights (n,) averaged over bitwise equal rows. equal: for each row, the index of the first equal row."""
    equal = equal.to(weights.device)
    total = torch.zeros_like(weights).index_add_(0, equal, weights)
    count = torch.zeros_like(weights).index_add_(0, equal, torch.ones_like(weights))
    return total[equal] / count[equal]
