"""The checks, each within a time limit, in a process that may hang or crash without taking ours along."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from .. import aggregators, attacks
from ..core.importing import LIMIT, one_line
from ..core.numerics import fixed_threads
from ..runs.child_process import Child
from . import attack_checks as of_attacks
from . import rule_checks as of_rules
from .checks import BAD, Finding

START = 60.0  # seconds in which a process starts and imports torch
IMPORT = "import"
DECISIVE = (IMPORT, "answer", "finite")  # after a bad answer nothing else is asked, and nothing played
COST, PLAY = "cost", "play"
CHECKS: dict[str, dict[str, Callable[[Any], Any]]] = {"rule": of_rules.CHECKS, "attack": of_attacks.CHECKS}
SUBJECTS = {"rule": of_rules.RuleSubject, "attack": of_attacks.AttackSubject}
MAKERS: dict[str, Callable[..., Any]] = {"rule": aggregators.make, "attack": attacks.make}


@dataclass(frozen=True)
class Task:
    """One check of one rule or attack, by its name; all of the same name stand together."""

    kind: str
    name: str
    check: str


@dataclass(frozen=True)
class Inspection:
    """What was found on one rule or attack."""

    kind: str
    name: str
    findings: list[Finding] = field(default_factory=list)

    @property
    def failure(self) -> Finding | None:
        """Why it cannot be played, if so."""
        return next((f for f in self.findings if f.check in DECISIVE and f.verdict == BAD), None)

    @property
    def failed_in_play(self) -> Finding | None:
        """Why runs of it failed, though the checks had let it through."""
        return next((f for f in self.findings if f.check == PLAY), None)

    @property
    def trouble(self) -> str:
        """Why it was not played to the end, in one line; empty if it was."""
        found = self.failure or self.failed_in_play
        return " ".join(found.sentence.split()) if found else ""

    @property
    def cost(self) -> float | None:
        """How many times as long as our mean it takes; None if that was not measured."""
        return next((f.value for f in self.findings if f.check == COST), None)


def tasks_of(kind: str, name: str) -> list[Task]:
    """Every check of a rule or an attack."""
    return [Task(kind, name, check) for check in CHECKS[kind]]


def inspect(
    tasks: Sequence[Task],
    *,
    n: int,
    f: int,
    limit: float,
    preset: str = "paper",
    tell: Callable[[Task], None] = lambda task: None,
) -> dict[tuple[str, str], Inspection]:
    """Carry out the checks for a federation of n rows and f Byzantine ones; `tell` hears of each before it.

    limit: seconds that a check may take. All run in one other process; where a check hangs or ends it, that is what is
    found, and another process takes the next. A script needs the usual `if __name__ == "__main__"`.
    """
    found = {(task.kind, task.name): Inspection(task.kind, task.name) for task in tasks}
    child: _Child | None = None
    try:
        for task in tasks:
            subject = found[task.kind, task.name]
            if subject.failure is not None:
                continue
            tell(task)
            child = child or _Child(n, f, preset)
            finding = child.carry_out(task, limit)
            if child.lost:
                child.end()
                child = None
            subject.findings.append(finding)
    finally:
        if child is not None:
            child.end()
    return found


class _Child(Child):
    """A process that carries out checks, one at a time."""

    def __init__(self, n: int, f: int, preset: str):
        super().__init__(_serve, n, f, preset, daemon=True)
        self.made: set[tuple[str, str]] = set()
        self.lost = False  # it hangs, or has ended

    def carry_out(self, task: Task, limit: float) -> Finding:
        """What a check finds. To import and build what it is about may take longer than the check."""
        if (task.kind, task.name) not in self.made:
            trouble = self._ask(Task(task.kind, task.name, IMPORT), START + LIMIT)
            if trouble is not None:
                return trouble
            self.made.add((task.kind, task.name))
        finding = self._ask(task, max(limit, START) if task.check == COST else limit)  # on a large matrix
        assert finding is not None
        return finding

    def _ask(self, task: Task, limit: float) -> Finding | None:
        try:
            self.pipe.send(task)
            if self.pipe.poll(limit):
                return self.pipe.recv()  # type: ignore[no-any-return]
            self.lost, why = True, f"No answer within {limit:g} s."
        except (EOFError, OSError):
            self.lost, why = True, f"It ends the process that calls it ({self.ending()})."
        return Finding(task.check, BAD, why)


def _serve(pipe: Connection, n: int, f: int, preset: str) -> None:
    """In the child: answer tasks until the parent closes the pipe. What a user's code prints is not for the screen."""
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)
    subjects: dict[tuple[str, str], Any] = {}
    with fixed_threads(1), suppress(EOFError, OSError):
        while True:
            task = pipe.recv()
            pipe.send(_answer(task, subjects, n, f, preset))


def _answer(task: Task, subjects: dict[tuple[str, str], Any], n: int, f: int, preset: str) -> Finding | None:
    """The finding; to the question of import None if all is well."""
    key = task.kind, task.name
    try:
        if task.check == IMPORT:
            subjects[key] = SUBJECTS[task.kind](MAKERS[task.kind](task.name, preset=preset), n, f)
            return None
        return Finding(task.check, *CHECKS[task.kind][task.check](subjects[key]))
    except Exception as error:
        return Finding(task.check, BAD, str(error) if isinstance(error, ValueError) else one_line(error))
