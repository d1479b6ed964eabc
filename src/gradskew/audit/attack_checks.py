"""The questions that are put to an attack. Each answer is a verdict, one sentence, and perhaps a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..aggregators import Mean
from ..attacks import Attack, UserAttack
from ..core.errors import check
from .checks import (
    BAD,
    COLUMNS,
    GOOD,
    ODD,
    WIDE,
    Answer,
    Subject,
    attempt,
    gaussian,
    how_called,
    left_alone,
    must,
    ratio,
    remembered,
    repeat,
)


@dataclass(frozen=True)
class AttackSubject(Subject):
    """An attack, and the federation that it is for; its rows are the honest ones."""

    made: Attack

    def __post_init__(self) -> None:
        object.__setattr__(self, "f", max(1, self.f))

    @property
    def rows(self) -> Tensor:
        return gaussian(max(1, self.n - self.f))

    def fresh(self) -> Attack:
        attack: Attack = super().fresh()
        attack.begin(0)
        return attack

    def uncopied(self, rows: Tensor, f: int | None = None, made: Attack | None = None) -> Tensor:
        attack, f = made or self.fresh(), f or self.f
        own = gaussian(f, rows.shape[1], draw=1)
        if not isinstance(attack, UserAttack):
            attack.observe(rows, clients=range(len(rows)))
            return attack(rows, own)
        sent = attack.call(rows, {"f": f, "own": own}, seed=0)
        wanted, got = f"(d,) or (f, d) = {tuple(own.shape)}", tuple(sent.shape)
        check(got in ((own.shape[1],), tuple(own.shape)), f"{attack.name} must return {wanted}, not {got}")
        return sent


def answer(subject: AttackSubject) -> Answer:
    attack = subject.fresh()
    sent = must(lambda: subject(subject.rows, made=attack))
    given = how_called(attack)
    rows = "one row, which all send" if sent.ndim == 1 else f"{len(sent)} rows"
    return GOOD, f"{given}{'. ' if given else ''}{len(subject.rows)} honest rows of {COLUMNS} give {rows}."


def finite(subject: AttackSubject) -> Answer:
    if subject(subject.rows).isfinite().all():
        return GOOD, "What it sends is finite."
    return BAD, "It sends NaN or Inf: such rows are taken out before the rule, and do nothing."


def memory(subject: AttackSubject) -> Answer:
    return remembered(subject, "what it sends depends on the rounds before")


def unchanged(subject: AttackSubject) -> Answer:
    if left_alone(subject):
        return GOOD, "It leaves the honest rows as they were."
    return BAD, "It changes the honest rows. Here it gets copies."


def one_honest(subject: AttackSubject) -> Answer:
    found = attempt(lambda: subject(subject.rows[:1]))
    if isinstance(found, str):
        return ODD, f"A single honest row: {found}"
    good = bool(found.isfinite().all())
    return (GOOD, "A single honest row is enough.") if good else (ODD, "A single honest row gives NaN or Inf.")


def one_byzantine(subject: AttackSubject) -> Answer:
    found = attempt(lambda: subject(subject.rows, f=1))
    return (ODD, f"f = 1: {found}") if isinstance(found, str) else (GOOD, "f = 1 works.")


def cost(subject: AttackSubject) -> Answer:
    n, d = WIDE
    honest, mean, attack = gaussian(n, d), Mean(), subject.fresh()
    times = ratio(lambda: subject.uncopied(honest, made=attack), lambda: mean(honest, 0))
    return GOOD, f"It takes {times:.3g} times as long as our mean on {n} rows of {d:,}.", times


CHECKS: dict[str, Callable[[AttackSubject], Answer]] = {
    "answer": answer,
    "finite": finite,
    "repeated": repeat,
    "memory": memory,
    "input": unchanged,
    "one honest row": one_honest,
    "f = 1": one_byzantine,
    "cost": cost,
}
