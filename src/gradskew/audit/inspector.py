"""Run the checks, each within a time limit, in a separate process, which may hang or crash."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from .. import aggregators, attacks
from ..core.importing import LIMIT, with_place
from ..core.numerics import fixed_threads
from ..runs.child_process import Child
from . import attack_checks, rule_checks
from .checks import BAD, ODD, BreakingRows, Finding
from .rule_subject import RuleSubject

START = 60.0  # seconds for a process to start and import torch
IMPORT = "import"
DECISIVE = (IMPORT, "answer", "finite")  # if one of these is bad, no other check is done, and no run
COST, RUN = "cost", "run"
CHECKS: dict[str, dict[str, Callable[[Any], Any]]] = {"rule": rule_checks.CHECKS, "attack": attack_checks.CHECKS}
SUBJECTS = {"rule": RuleSubject, "attack": attack_checks.AttackSubject}
MAKERS: dict[str, Callable[..., Any]] = {"rule": aggregators.make, "attack": attacks.make}


@dataclass(frozen=True)
class Task:
    """One check of a rule or an attack, by name. The tasks of one name follow each other."""

    kind: str
    name: str
    check: str


@dataclass(frozen=True)
class Inspection:
    """The findings on a rule or an attack."""

    kind: str
    name: str
    findings: list[Finding] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the inspection in audit.json."""
        findings = [finding.to_json() for finding in self.findings]
        return {"kind": self.kind, "name": self.name, "findings": findings, "failure": self.reason or None}

    @property
    def breaking_rows(self) -> BreakingRows | None:
        """Return the rows of one round that break it, if a search found some."""
        return next((f.breaking_rows for f in self.findings if f.breaking_rows is not None), None)

    @property
    def failure(self) -> Finding | None:
        """Return the finding for which it cannot be run, if any."""
        return next((f for f in self.findings if f.check in DECISIVE and f.verdict == BAD), None)

    @property
    def run_failure(self) -> Finding | None:
        """Return the finding on its failed runs, if any failed after good checks."""
        return next((f for f in self.findings if f.check == RUN), None)

    @property
    def is_the_mean(self) -> bool:
        """Return whether it is a rule that equals the plain mean."""
        return any(f.check == rule_checks.MEAN and f.verdict == ODD for f in self.findings)

    @property
    def ignores_its_rows(self) -> bool:
        """Return whether it is a rule that gives one result whatever its rows are."""
        return any(f.check == rule_checks.FOLLOWS and f.verdict == BAD for f in self.findings)

    @property
    def reason(self) -> str:
        """Return in one line why it has missing runs; empty if it has none."""
        finding = self.failure or self.run_failure
        return " ".join(finding.sentence.split()) if finding else ""

    @property
    def cost(self) -> float | None:
        """Return its time as a multiple of the built-in mean's; None if it was not measured."""
        return next((f.value for f in self.findings if f.check == COST), None)


def list_tasks(kind: str, name: str) -> list[Task]:
    """Return every check of a rule or an attack."""
    return [Task(kind, name, check) for check in CHECKS[kind]]


def inspect(
    tasks: Sequence[Task],
    *,
    n: int,
    f: int,
    limit: float,
    preset: str = "paper",
    on_check: Callable[[Task], None] = lambda task: None,
) -> dict[tuple[str, str], Inspection]:
    """Run the checks for a federation of n rows, f of them Byzantine; return the inspections by (kind, name).

    limit: seconds that a check may take. on_check: is called before each check. The checks run in one separate process;
    one that hangs or ends it is a bad finding, and a new process takes the next check. A script that calls this needs
    `if __name__ == "__main__"`.
    """
    inspections = {(task.kind, task.name): Inspection(task.kind, task.name) for task in tasks}
    child: _Child | None = None
    try:
        for task in tasks:
            inspection = inspections[task.kind, task.name]
            if inspection.failure is not None:
                continue
            on_check(task)
            child = child or _Child(n, f, preset)
            finding = child.run_check(task, limit)
            if child.lost:
                child.end()
                child = None
            inspection.findings.append(finding)
    finally:
        if child is not None:
            child.end()
    return inspections


class _Child(Child):
    """A process that runs checks, one at a time."""

    def __init__(self, n: int, f: int, preset: str):
        super().__init__(_serve, n, f, preset, daemon=True)
        self.imported: set[tuple[str, str]] = set()
        self.lost = False  # whether it hangs or has ended

    def run_check(self, task: Task, limit: float) -> Finding:
        """Return the finding of a check. The import of the rule or attack has a time limit of its own."""
        if (task.kind, task.name) not in self.imported:
            failure = self._request(Task(task.kind, task.name, IMPORT), START + LIMIT)
            if failure is not None:
                return failure
            self.imported.add((task.kind, task.name))
        finding = self._request(task, max(limit, START) if task.check == COST else limit)  # the matrix is large
        assert finding is not None
        return finding

    def _request(self, task: Task, limit: float) -> Finding | None:
        """Send a task to the process and return its answer; a bad finding if none comes within the limit."""
        try:
            self.pipe.send(task)
            if self.pipe.poll(limit):
                return self.pipe.recv()  # type: ignore[no-any-return]
            self.lost, why = True, f"No answer within {limit:g} s."
        except (EOFError, OSError):
            self.lost, why = True, f"It ends the process that calls it ({self.ending()})."
        return Finding(task.check, BAD, why)


def _serve(pipe: Connection, n: int, f: int, preset: str) -> None:
    """In the child: answer tasks until the parent closes the pipe; discard what the user's code prints."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(devnull, stream)
    subjects: dict[tuple[str, str], Any] = {}
    with fixed_threads(1), suppress(EOFError, OSError):
        while True:
            task = pipe.recv()
            pipe.send(_answer(task, subjects, n, f, preset))


def _answer(task: Task, subjects: dict[tuple[str, str], Any], n: int, f: int, preset: str) -> Finding | None:
    """Return the finding of a check; None for a good import."""
    key = task.kind, task.name
    try:
        if task.check == IMPORT:
            subjects[key] = SUBJECTS[task.kind](MAKERS[task.kind](task.name, preset=preset), n, f)
            return None
        return Finding(task.check, *CHECKS[task.kind][task.check](subjects[key]))
    except Exception as error:
        return Finding(task.check, BAD, str(error) if isinstance(error, ValueError) else with_place(error))
