"""The questions that are put to an attack. Each answer is a verdict, one sentence, and perhaps a number."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..aggregators import Mean
from ..attacks import Attack, UserAttack
from ..checks import check
from .base import (
    BAD,
    COLUMNS,
    GOOD,
    ODD,
    UNREPEATABLE,
    WIDE,
    Answer,
    attempt,
    gaussian,
    how_called,
    must,
    ratio,
    remembered,
)


@dataclass(frozen=True)
class AttackSubject:
    """An attack, and the federation that it is for: n rows, f of them its own."""

    made: Attack
    n: int
    f: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "f", max(1, self.f))

    @property
    def honest(self) -> Tensor:
        return gaussian(max(1, self.n - self.f))

    def fresh(self) -> Attack:
        """The attack before its first round."""
        attack = copy.deepcopy(self.made)
        attack.reset()
        attack.begin(0)
        return attack

    def __call__(self, honest: Tensor, f: int | None = None, attack: Attack | None = None) -> Tensor:
        """What a fresh attack, or this one, sends, given a copy of the honest rows."""
        return self.uncopied(honest.clone(), f, attack)

    def uncopied(self, honest: Tensor, f: int | None = None, attack: Attack | None = None) -> Tensor:
        """The same, given the honest rows themselves."""
        attack, f = attack or self.fresh(), f or self.f
        own = gaussian(f, honest.shape[1], draw=1)
        if not isinstance(attack, UserAttack):
            attack.observe(honest, clients=range(len(honest)))
            return attack(honest, own)
        sent = attack.ask(honest, {"f": f, "own": own}, seed=0)
        wanted, got = f"(d,) or (f, d) = {tuple(own.shape)}", tuple(sent.shape)
        check(got in ((own.shape[1],), tuple(own.shape)), f"{attack.name} must return {wanted}, not {got}")
        return sent


def answer(subject: AttackSubject) -> Answer:
    attack = subject.fresh()
    sent = must(lambda: subject(subject.honest, attack=attack))
    given = how_called(attack)
    rows = "one row, which all send" if sent.ndim == 1 else f"{len(sent)} rows"
    return GOOD, f"{given}{'. ' if given else ''}{len(subject.honest)} honest rows of {COLUMNS} give {rows}."


def finite(subject: AttackSubject) -> Answer:
    if subject(subject.honest).isfinite().all():
        return GOOD, "What it sends is finite."
    return BAD, "It sends NaN or Inf: such rows are taken out before the rule, and do nothing."


def repeat(subject: AttackSubject) -> Answer:
    if torch.equal(subject(subject.honest), subject(subject.honest)):
        return GOOD, "The same rows give the same bits twice."
    return BAD, UNREPEATABLE


def memory(subject: AttackSubject) -> Answer:
    draws = subject.honest, gaussian(len(subject.honest), draw=2)
    what = "what it sends depends on the rounds before"
    return remembered(lambda honest, attack: subject(honest, attack=attack), subject.fresh, draws, what)


def unchanged(subject: AttackSubject) -> Answer:
    honest = subject.honest
    subject.uncopied(honest)
    if torch.equal(honest, subject.honest):
        return GOOD, "It leaves the honest rows as they were."
    return BAD, "It changes the honest rows. Here it gets copies."


def one_honest(subject: AttackSubject) -> Answer:
    found = attempt(lambda: subject(subject.honest[:1]))
    if isinstance(found, str):
        return ODD, f"A single honest row: {found}"
    good = bool(found.isfinite().all())
    return (GOOD, "A single honest row is enough.") if good else (ODD, "A single honest row gives NaN or Inf.")


def one_byzantine(subject: AttackSubject) -> Answer:
    found = attempt(lambda: subject(subject.honest, f=1))
    return (ODD, f"f = 1: {found}") if isinstance(found, str) else (GOOD, "f = 1 works.")


def cost(subject: AttackSubject) -> Answer:
    n, d = WIDE
    honest, mean, attack = gaussian(n, d), Mean(), subject.fresh()
    times = ratio(lambda: subject.uncopied(honest, attack=attack), lambda: mean(honest, 0))
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
