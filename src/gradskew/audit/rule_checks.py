"""The checks of a rule. Each returns a verdict, a sentence and, for the cost, a number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from ..core.rows import Rows
from .checks import (
    BAD,
    COLUMNS,
    GOOD,
    ODD,
    Answer,
    attempt,
    check_cost,
    check_input,
    check_memory,
    check_repeatable,
    close,
    describe_arguments,
    gaussian,
    succeed,
)
from .rule_subject import FEWEST, RuleSubject
from .search_check import check_search

HUGE = 1e30
MEAN, FOLLOWS = "the mean", "its rows"
AWAY = (0.0, 10.0, 1e3, 1e6)  # spreads by which rows are moved
EQUAL = 1e-5  # of the spread: a result nearer to the mean is the mean, in whatever order it adds
CALLS = 3  # of one object, as a rule may begin to answer when it has seen rows
FAR = 1e3  # in units of the rows' spread: a result farther from their mean is unbounded


def answer(subject: RuleSubject) -> Answer:
    rule = subject.fresh()
    succeed(lambda: subject(subject.rows, method=rule))
    arguments = describe_arguments(rule)
    arguments += f"{' and f' if subject.takes_f else ', but not f'}. " if arguments else ""
    return GOOD, f"{arguments}{subject.n} rows of {COLUMNS} give ({COLUMNS},)."


def finite(subject: RuleSubject) -> Answer:
    results = subject.draws(subject.rows)
    failed = [each for each in results if isinstance(each, str)]
    lost = [each for each in results if not isinstance(each, str) and not each.isfinite().all()]
    if not failed and not lost:
        return GOOD, "Finite rows give a finite result."
    number = len(failed) + len(lost)
    where = "" if number == len(results) else f" in {number} of {len(results)} draws"
    if failed:
        return BAD, f"Ordinary finite rows{where}: {failed[0]}"
    return BAD, f"Ordinary finite rows give NaN or Inf{where}."


def drawing(subject: RuleSubject) -> Answer:
    """Compare the results of several draws with each other; what is not finite is a finding of its own."""
    drawn = subject.draws(subject.rows)
    results = [each.double() for each in drawn if not isinstance(each, str) and each.isfinite().all()]
    if not results or (len(drawn) <= FEWEST and all(torch.equal(results[0], each) for each in results)):
        return GOOD, f"{len(drawn)} draws on the same rows give the same bits."
    rows = subject.rows.double()
    spread = (rows - rows.mean(0)).norm(dim=1).mean()
    apart = max(float((each - results[0]).norm() / spread) for each in results)
    text = f"It draws: {len(results)} draws on the same rows lie up to {apart:.2g} times their spread apart"
    return (GOOD if apart < 1 else ODD), f"{text}. Other checks see one draw, but for finite and huge rows."


def follows(subject: RuleSubject) -> Answer:
    """Compare what an object answers to the last of several matrices with its answer to others."""
    answers = [_last_answer(subject, range(CALLS)), _last_answer(subject, range(CALLS, 2 * CALLS))]
    failed = [each for each in answers if isinstance(each, str)]
    if failed:
        return ODD, f"Other rows: {failed[0]}"
    first, other = (each for each in answers if not isinstance(each, str))
    if not torch.equal(first, other):
        return GOOD, "Other rows give another result."
    return BAD, "It gives one result whatever its rows are: the model does not learn from them."


def _last_answer(subject: RuleSubject, draws: Sequence[int]) -> Tensor | str:
    """Return the answer of one object to the last of several matrices, or its error."""
    rule = subject.fresh()
    for draw in draws:
        rows = gaussian(subject.n, draw=draw)
        result = attempt(partial(subject, rows, method=rule))
        if not isinstance(result, str):
            rule.observe(result, rows=Rows(rows))
    return result


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
    results = subject.draws(rows)
    failed = [each for each in results if isinstance(each, str)]
    if failed:
        return ODD, f"Rows of 1e30: {failed[0]}"
    honest = rows[f:].double() if f < len(rows) else subject.rows.double()
    mean = honest.mean(0)
    spread = (honest - mean).norm(dim=1).mean()
    moved = [(each.double() - mean).norm() / spread for each in results if not isinstance(each, str)]
    distance = float(torch.stack(moved).max())  # NaN, if one of them is
    if not distance < FAR:
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
    FOLLOWS: follows,
    "repeated": check_repeatable,
    "draws": drawing,
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
