"""The questions that are put to a rule. Each answer is a verdict, one sentence, and perhaps a number."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..aggregators import Aggregator, Mean, UserRule
from ..aggregators.base import check_shape
from ..core.plugin import bind_arguments
from .checks import (
    BAD,
    COLUMNS,
    GOOD,
    ODD,
    WIDE,
    Answer,
    Subject,
    attempt,
    close,
    gaussian,
    how_called,
    left_alone,
    must,
    ratio,
    remembered,
    repeat,
)

HUGE = 1e30
FAR = 1e3  # spreads of the rows: a result that lies farther from them was taken along


@dataclass(frozen=True)
class RuleSubject(Subject):
    """A rule, and the federation that it is for."""

    made: Aggregator

    def __post_init__(self) -> None:
        object.__setattr__(self, "f", min(self.f, self.made.max_f(self.n)))

    @property
    def rows(self) -> Tensor:
        return gaussian(self.n)

    def uncopied(self, rows: Tensor, f: int | None = None, made: Aggregator | None = None) -> Tensor:
        rule, f = made or self.fresh(), self.f if f is None else f
        answer: Tensor = rule.call(rows, {"f": f}, seed=0) if isinstance(rule, UserRule) else rule(rows, f)
        check_shape(f"{self.made.name} must return the aggregate (d,): it", answer, rows.shape[1])
        return answer

    @property
    def told(self) -> bool:
        """Whether it is told f."""
        if not isinstance(self.made, UserRule):
            return True
        args, named = bind_arguments(copy.deepcopy(self.made).target, None, {"f": self.f})
        return len(args) > 1 or "f" in named


def answer(subject: RuleSubject) -> Answer:
    rule = subject.fresh()
    must(lambda: subject(subject.rows, made=rule))
    given = how_called(rule)
    told = "" if not given else f"{given}{' and f' if subject.told else ', and is not told f'}. "
    return GOOD, f"{told}{subject.n} rows of {COLUMNS} give ({COLUMNS},)."


def finite(subject: RuleSubject) -> Answer:
    if subject(subject.rows).isfinite().all():
        return GOOD, "Finite rows give a finite result."
    return BAD, "Ordinary finite rows give NaN or Inf."


def own_f(subject: RuleSubject) -> Answer:
    if subject.told:
        return GOOD, "It is told the f of the federation."
    own = getattr(getattr(subject.fresh(), "target", None), "f", None)
    if type(own) is not int:
        return GOOD, "It has no f."
    if own == subject.f:
        return GOOD, f"It is set to f = {own}, which is the federation's."
    return ODD, f"It is set to f = {own}, and this federation has f = {subject.f}: build it with (f={subject.f})."


def memory(subject: RuleSubject) -> Answer:
    return remembered(subject, "what it returns depends on the calls before")


def unchanged(subject: RuleSubject) -> Answer:
    if left_alone(subject):
        return GOOD, "It leaves its input as it was."
    return BAD, "It changes its input. Here it gets a copy; a server that keeps its rows must give it one too."


def order(subject: RuleSubject) -> Answer:
    rows = subject.rows
    if close(subject(rows), subject(rows.flip(0)), rows):
        return GOOD, "The order of the rows does not matter."
    return ODD, "The order of the rows matters: who comes first is treated otherwise."


def equal_rows(subject: RuleSubject) -> Answer:
    rows = subject.rows[:1].expand(subject.n, -1).clone()
    found = attempt(lambda: subject(rows))
    if isinstance(found, str):
        return ODD, f"Equal rows: {found}"
    if not found.isfinite().all():
        return BAD, "Equal rows give NaN or Inf."
    return (GOOD, "Equal rows give that row.") if close(found, rows[0], rows) else (ODD, "Equal rows give another row.")


def translation(subject: RuleSubject) -> Answer:
    rows, shift = subject.rows, gaussian(1, draw=2)[0]
    same = close(subject(rows + shift), subject(rows) + shift, rows)
    return (
        (GOOD, "Shifted rows give the shifted result.")
        if same
        else (ODD, "It depends on where 0 is: shifted rows give more than the shifted result.")
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
    found = attempt(lambda: subject(rows, f=0))
    if isinstance(found, str):
        return ODD, f"f = 0: {found}"
    if not found.isfinite().all():
        return BAD, "f = 0 gives NaN or Inf."
    return GOOD, f"f = 0 gives {'the mean' if close(found, rows.mean(0), rows) else 'a result, which is not the mean'}."


def one_row(subject: RuleSubject) -> Answer:
    rows = subject.rows[:1]
    found = attempt(lambda: subject(rows, f=0))
    if isinstance(found, str):
        return ODD, f"One row: {found}"
    return (GOOD, "One row gives that row.") if close(found, rows[0], rows) else (ODD, "One row gives another.")


def too_many(subject: RuleSubject) -> Answer:
    f = max(1, subject.f)
    found = attempt(lambda: subject(gaussian(2 * f), f=f))
    if isinstance(found, str):
        return GOOD, f"f = {f} of {2 * f} rows is refused."
    if not found.isfinite().all():
        return ODD, f"f = {f} of {2 * f} rows is not refused: it gives NaN or Inf."
    return ODD, f"f = {f} of {2 * f} rows is not refused: no rule can stand that."


def spoiled(entry: float, word: str) -> Callable[[RuleSubject], Answer]:
    def ask(subject: RuleSubject) -> Answer:
        rows = subject.rows
        rows[0] = entry
        found = attempt(lambda: subject(rows))
        if isinstance(found, str):
            return ODD, f"A row of {word} is refused, and with it the round. Here such rows are taken out before."
        if found.isfinite().all():
            return GOOD, f"A row of {word} leaves the result finite."
        return (
            BAD,
            f"A row of {word} makes the result NaN or Inf. Here such rows are taken out before; a server must too.",
        )

    return ask


def huge(subject: RuleSubject) -> Answer:
    f = max(1, subject.f)
    rows = subject.rows
    rows[:f] = HUGE
    found = attempt(lambda: subject(rows))
    if isinstance(found, str):
        return ODD, f"Rows of 1e30: {found}"
    honest = rows[f:].double() if f < len(rows) else subject.rows.double()
    mean = honest.mean(0)
    off = float((found.double() - mean).norm() / (honest - mean).norm(dim=1).mean())
    if not found.isfinite().all() or not off < FAR:
        return BAD, f"{f} rows of 1e30 take the result along: nothing bounds what they do."
    return GOOD, f"{f} rows of 1e30 move the result by {off:.2g} times the spread of the others."


def cost(subject: RuleSubject) -> Answer:
    if isinstance(subject.made, Mean):
        return GOOD, "It is our mean, the measure of the others.", 1.0
    n, d = WIDE
    rows, mean, rule = gaussian(n, d), Mean(), subject.fresh()
    f = min(max(1, round(n * subject.f / subject.n)), subject.made.max_f(n))
    times = ratio(lambda: subject.uncopied(rows, f, rule), lambda: mean(rows, f))
    return GOOD, f"It takes {times:.3g} times as long as our mean on {n} rows of {d:,}.", times


CHECKS: dict[str, Callable[[RuleSubject], Answer]] = {
    "answer": answer,
    "finite": finite,
    "its own f": own_f,
    "repeated": repeat,
    "memory": memory,
    "input": unchanged,
    "order": order,
    "equal rows": equal_rows,
    "shifted": translation,
    "scaled": scale,
    "f = 0": no_byzantine,
    "one row": one_row,
    "f = n / 2": too_many,
    "a row of NaN": spoiled(float("nan"), "NaN"),
    "a row of Inf": spoiled(float("inf"), "Inf"),
    "huge rows": huge,
    "cost": cost,
}
