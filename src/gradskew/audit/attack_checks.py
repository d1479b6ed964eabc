"""The checks of an attack. Each returns a verdict, a sentence and, for the cost, a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import Tensor

from ..aggregators import Aggregator, Median, MultiKrum
from ..attacks import Attack, Context, UserAttack
from ..core.errors import check
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
    describe_arguments,
    gaussian,
    succeed,
)

RULES = (Median(), MultiKrum())  # for attacks that try out the server's rule: one by entries, one by distances


@dataclass(frozen=True)
class AttackSubject(Subject):
    """An attack and its federation. rows: the honest rows (n - f, d)."""

    input: ClassVar[str] = "the honest rows"
    remembers: ClassVar[str] = "its rows depend on earlier rounds"
    method: Attack

    def __post_init__(self) -> None:
        object.__setattr__(self, "f", max(1, self.f))

    @property
    def rows(self) -> Tensor:
        return gaussian(max(1, self.n - self.f))

    def fresh(self) -> Attack:
        attack: Attack = super().fresh()
        attack.begin(0)
        return attack

    def call_in_place(
        self, rows: Tensor, f: int | None = None, method: Attack | None = None, rule: Aggregator = RULES[0]
    ) -> Tensor:
        attack, f = method or self.fresh(), f or self.f
        own = gaussian(f, rows.shape[1], draw=1)
        if not isinstance(attack, UserAttack):
            if len(rows):
                attack.observe(rows, clients=range(len(rows)))
            context = Context(
                round=0,
                params=rows.new_zeros(rows.shape[1]),
                rule=rule,
                clients=range(len(rows)),
                f=min(f, rule.max_f(len(rows) + f)),
                initial=rows.new_ones(rows.shape[1]),
                gradient=lambda params, data: params - 1,  # of |params - 1|^2 / 2
                network=lambda: rows.new_ones(rows.shape[1]),
            )
            forged: Tensor = attack(rows, own, context=context)
            return forged
        forged = attack.call(rows, {"f": f, "own": own}, seed=0)
        wanted, got = f"(d,) or (f, d) = {tuple(own.shape)}", tuple(forged.shape)
        check(got in ((own.shape[1],), tuple(own.shape)), f"{attack.name} must return {wanted}, not {got}")
        return forged


def answer(subject: AttackSubject) -> Answer:
    attack = subject.fresh()
    forged = succeed(lambda: subject(subject.rows, method=attack))
    arguments = describe_arguments(attack)
    rows = "one row, which all Byzantine clients send" if forged.ndim == 1 else f"{len(forged)} rows"
    text = f"{arguments}{'. ' if arguments else ''}{len(subject.rows)} honest rows of {COLUMNS} give {rows}"
    trained = " It acts in training, which is not checked here: these are rows as given." * attack.acts_in_training
    return GOOD, f"{text}{_rules_tried(subject)}.{trained}"


def _rules_tried(subject: AttackSubject) -> str:
    """Call an attack that tries the server's rule against each of `RULES`, and return which, as text."""
    if not subject.method.tries_rule:
        return ""
    tried = []
    for rule in RULES:
        if rule.monotone or not subject.method.monotone_only:
            forged = succeed(partial(subject.call_in_place, subject.rows, rule=rule), f"against {rule.name}: ")
            check(bool(forged.isfinite().all()), f"against {rule.name}: its rows are not finite")
            tried.append(rule.name)
    return f", tried against {' and '.join(tried)}"


def finite(subject: AttackSubject) -> Answer:
    if subject(subject.rows).isfinite().all():
        return GOOD, "Its rows are finite."
    return BAD, "Its rows have NaN or Inf: they are removed before the rule, and have no effect."


def one_honest(subject: AttackSubject) -> Answer:
    """Call the attack with a single honest row, or with none if it says that it needs none."""
    fewest, case = (1, "A single honest row") if subject.method.needs == "honest" else (0, "No honest row")
    result = attempt(lambda: subject(subject.rows[:fewest]))
    if isinstance(result, str):
        return ODD, f"{case}: {result}"
    if not result.isfinite().all():
        return ODD, f"{case} gives NaN or Inf."
    return GOOD, "A single honest row is enough." if fewest else "It needs no honest row."


def one_byzantine(subject: AttackSubject) -> Answer:
    result = attempt(lambda: subject(subject.rows, f=1))
    return (ODD, f"f = 1: {result}") if isinstance(result, str) else (GOOD, "f = 1 works.")


CHECKS: dict[str, Callable[[AttackSubject], Answer]] = {
    "answer": answer,
    "finite": finite,
    "repeated": check_repeatable,
    "memory": check_memory,
    "input": check_input,
    "one honest row": one_honest,
    "f = 1": one_byzantine,
    "cost": check_cost,
}
