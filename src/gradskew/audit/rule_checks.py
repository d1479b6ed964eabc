"""The checks of a rule. Each returns a verdict, a sentence and, for the cost, a number."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import Tensor

from ..aggregators import Aggregator, UserRule
from ..aggregators.base import check_shape
from ..core.calling import bind_arguments
from ..core.rows import Rows
from .checks import (
    BAD,
    COLUMNS,
    GOOD,
    ODD,
    Answer,
    Subject,
    attempt,
    check_cost,
    check_input,
    check_memory,
    check_repeatable,
    close,
    describe_arguments,
    gaussian,
    made_round,
    succeed,
)
from .search_check import check_search

HUGE = 1e30
MEAN = "the mean"
AWAY = (0.0, 10.0, 1e3, 1e6)  # spreads by which rows are moved
EQUAL = 1e-5  # of the spread: a result nearer to the mean is the mean, in whatever order it adds
FAR = 1e3  # in units of the rows' spread: a result farther from their mean is unbounded


@dataclass(frozen=True)
class RuleSubject(Subject):
    """A rule and its federation. rows: (n, d)."""

    input: ClassVar[str] = "its rows"
    remembers: ClassVar[str] = "its result depends on earlier calls"
    method: Aggregator

    def __post_init__(self) -> None:
        object.__setattr__(self, "f", min(self.f, self.method.max_f(self.n)))

    @property
    def rows(self) -> Tensor:
        return gaussian(self.n)

    def f_of(self, n: int) -> int:
        return min(max(1, round(n * self.f / self.n)), self.method.max_f(n))

    def call_in_place(self, rows: Tensor, f: int | None = None, method: Aggregator | None = None) -> Tensor:
        rule, f = method or self.fresh(), self.f if f is None else f
        if isinstance(rule, UserRule):
            aggregate: Tensor = rule.call(rows, {"f": f}, seed=0)
        else:
            aggregate = rule(rows, f, round=made_round(rows) if rule.needs else None)
        check_shape(f"{self.method.name} must return the aggregate (d,): it", aggregate, rows.shape[1])
        return aggregate

    @property
    def takes_f(self) -> bool:
        """Return whether the rule gets f."""
        if not isinstance(self.method, UserRule):
            return True
        args, named = bind_arguments(copy.deepcopy(self.method).target, None, {"f": self.f})
        return len(args) > 1 or "f" in named


def answer(subject: RuleSubject) -> Answer:
    rule = subject.fresh()
    succeed(lambda: subject(subject.rows, method=rule))
    arguments = describe_arguments(rule)
    arguments += f"{' and f' if subject.takes_f else ', but not f'}. " if arguments else ""
    return GOOD, f"{arguments}{subject.n} rows of {COLUMNS} give ({COLUMNS},)."


def finite(subject: RuleSubject) -> Answer:
    if subject(subject.rows).isfinite().all():
        return GOOD, "Finite rows give a finite result."
    return BAD, "Ordinary finite rows give NaN or Inf."


def own_f(subject: RuleSubject) -> Answer:
    if subject.takes_f:
        return GOOD, "It gets the f of the federation."
    own = getattr(getattr(subject.fresh(), "target", None), "f", None)
    if type(own) is not int:
        return GOOD, "It has no f."
    if own == subject.f:
        return GOOD, f"It is set to f = {own}, which is the federation's."
    return ODD, f"It is set to f = {own}, and this federation has f = {subject.f}: build it with (f={subject.f})."


def order(subject: RuleSubject) -> Answer:
    rows = subject.rows
    if close(subject(rows), subject(rows.flip(0)), rows):
        return GOOD, "The order of the rows does not matter."
    return ODD, "The order of the rows matters."


def equal_rows(subject: RuleSubject) -> Answer:
    rows = subject.rows[:1].expand(subject.n, -1).clone()
    result = attempt(lambda: subject(rows))
    if isinstance(result, str):
        return ODD, f"Equal rows: {result}"
    if not result.isfinite().all():
        return BAD, "Equal rows give NaN or Inf."
    return (
        (GOOD, "Equal rows give that row.") if close(result, rows[0], rows) else (ODD, "Equal rows give another row.")
    )


def translation(subject: RuleSubject) -> Answer:
    rows, shift = subject.rows, gaussian(1, draw=2)[0]
    same = close(subject(rows + shift), subject(rows) + shift, rows)
    return (
        (GOOD, "Shifted rows give the shifted result.")
        if same
        else (ODD, "It depends on the origin: shifted rows do not give the shifted result.")
    )


def scale(subject: RuleSubject) -> Answer:
    rows = subject.rows
    same = close(subject(2 * rows), 2 * subject(rows), 2 * rows)
    return (
        (GOOD, "Doubled rows give the doubled result.")
        if same
        else (ODD, "It depends on the scale: doubled rows do not give the doubled result.")
    )


def no_byzantine(subject: RuleSubject) -> Answer:
    rows = subject.rows
    result = attempt(lambda: subject(rows, f=0))
    if isinstance(result, str):
        return ODD, f"f = 0: {result}"
    if not result.isfinite().all():
        return BAD, "f = 0 gives NaN or Inf."
    return GOOD, f"f = 0 gives {'the mean' if close(result, rows.mean(0), rows) else 'a result other than the mean'}."


def one_row(subject: RuleSubject) -> Answer:
    rows = subject.rows[:1]
    result = attempt(lambda: subject(rows, f=0))
    if isinstance(result, str):
        return ODD, f"One row: {result}"
    return (GOOD, "One row gives that row.") if close(result, rows[0], rows) else (ODD, "One row gives another.")


def too_many(subject: RuleSubject) -> Answer:
    f = max(1, subject.f)
    result = attempt(lambda: subject(gaussian(2 * f), f=f))
    if isinstance(result, str):
        return GOOD, f"f = {f} of {2 * f} rows is refused."
    if not result.isfinite().all():
        return ODD, f"f = {f} of {2 * f} rows is not refused: it gives NaN or Inf."
    return ODD, f"f = {f} of {2 * f} rows is not refused: no rule can be robust to that."


def non_finite(entry: float, name: str) -> Callable[[RuleSubject], Answer]:
    def check_row(subject: RuleSubject) -> Answer:
        rows = subject.rows
        rows[0] = entry
        result = attempt(lambda: subject(rows))
        if isinstance(result, str):
            return ODD, f"A row of {name} is refused, and with it the round. gradskew removes such rows before."
        if result.isfinite().all():
            return GOOD, f"A row of {name} leaves the result finite."
        return (
            BAD,
            f"A row of {name} makes the result NaN or Inf. gradskew removes such rows before; a server must do so too.",
        )

    return check_row


def huge(subject: RuleSubject) -> Answer:
    f = max(1, subject.f)
    rows = subject.rows
    rows[:f] = HUGE
    result = attempt(lambda: subject(rows))
    if isinstance(result, str):
        return ODD, f"Rows of 1e30: {result}"
    honest = rows[f:].double() if f < len(rows) else subject.rows.double()
    mean = honest.mean(0)
    distance = float((result.double() - mean).norm() / (honest - mean).norm(dim=1).mean())
    if not result.isfinite().all() or not distance < FAR:
        return BAD, f"{f} rows of 1e30 move the result without bound."
    return GOOD, f"{f} rows of 1e30 move the result by {distance:.2g} times the spread of the others."


def differs_from_the_mean(subject: RuleSubject) -> Answer:
    """Compare with the mean on rows around a centre, even and skewed, of which f are up to AWAY of their spreads away.

    One object is called on all of them, one after another, as a rule may begin to defend when it has seen rows.
    """
    if subject.f == 0:
        return GOOD, "f = 0: there is nothing to defend against."
    rule = subject.fresh()
    for draw, away in enumerate(AWAY):
        for rows in (gaussian(subject.n, draw=2 + draw), gaussian(subject.n, draw=2 + draw).exp()):
            rows[: subject.f] += away * rows.std(0)
            result, mean = attempt(partial(subject, rows, method=rule)), rows.double().mean(0)
            spread = (rows.double() - mean).norm(dim=1).mean()
            if isinstance(result, str) or not (result.double() - mean).norm() <= EQUAL * spread:
                return GOOD, "It is not the plain mean."
            rule.observe(result, rows=Rows(rows))
    return ODD, f"It is the plain mean, also where {subject.f} rows are far away: it is no defence."


CHECKS: dict[str, Callable[[RuleSubject], Answer]] = {
    "answer": answer,
    "finite": finite,
    "its own f": own_f,
    "repeated": check_repeatable,
    "memory": check_memory,
    "input": check_input,
    "order": order,
    "equal rows": equal_rows,
    "shifted": translation,
    "scaled": scale,
    "f = 0": no_byzantine,
    "one row": one_row,
    "f = n / 2": too_many,
    "a row of NaN": non_finite(float("nan"), "NaN"),
    "a row of Inf": non_finite(float("inf"), "Inf"),
    "huge rows": huge,
    MEAN: differs_from_the_mean,
    "search": check_search,
    "cost": check_cost,
}
