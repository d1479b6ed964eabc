"""A finding, and what the checks of rules and of attacks have in common."""

from __future__ import annotations

import copy
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from ..core.errors import check
from ..core.importing import one_line
from ..core.plugin import Plugin
from ..core.randomness import generator

GOOD, ODD, BAD = "good", "odd", "bad"
COLUMNS = 64  # of the small matrices
WIDE = (50, 100_000)  # rows and columns of the matrix on which the cost is measured
REPEATS, BUDGET = 5, 2.0  # alternations of a timing at most, and seconds after which no other is started
CLOSE = 1e-4  # of the largest entry: differences below are rounding
UNREPEATABLE = (
    "The same rows give something else: it draws, not from torch, whose seed we set, or remembers in a place that all "
    "runs share. No run can be repeated."
)
FORGETFUL = (
    "It is a function that remembers: no copy and no checkpoint can hold that. Make it an object that remembers in its "
    "attributes."
)

Answer = tuple[str, str] | tuple[str, str, float]


@dataclass(frozen=True)
class Finding:
    """What a check found: its verdict, one sentence, and a number where it measured one."""

    check: str
    verdict: str
    sentence: str
    value: float | None = None


def gaussian(n: int, d: int = COLUMNS, draw: int = 0) -> Tensor:
    """n rows that spread evenly around a common centre, in another draw other ones."""
    spread = torch.randn(n, d, generator=generator(0, "inspection", draw))
    return spread + torch.randn(d, generator=generator(0, "inspection centre", draw))


def close(a: Tensor, b: Tensor, rows: Tensor) -> bool:
    """Whether two results are equal up to the rounding of such rows."""
    return bool((a - b).abs().max() <= CLOSE * rows.abs().max())


def attempt(call: Callable[[], Tensor]) -> Tensor | str:
    """The answer, or the error as text."""
    try:
        return call()
    except Exception as error:
        return str(error) if isinstance(error, ValueError) else one_line(error)


def must(call: Callable[[], Tensor]) -> Tensor:
    """The answer, where there was one to the same kind of rows before."""
    answer = attempt(call)
    check(isinstance(answer, Tensor), str(answer))
    assert isinstance(answer, Tensor)
    return answer


@dataclass(frozen=True)
class Subject(ABC):
    """A rule or an attack, and the federation that it is for: n rows, f of them Byzantine."""

    made: Any
    n: int
    f: int

    @property
    @abstractmethod
    def rows(self) -> Tensor:
        """What it is given, made anew."""

    def fresh(self) -> Any:
        """It before its first call."""
        made = copy.deepcopy(self.made)
        made.reset()
        return made

    @abstractmethod
    def uncopied(self, rows: Tensor, f: int | None = None, made: Any = None) -> Tensor:
        """What a fresh one, or this one, makes of the rows."""

    def __call__(self, rows: Tensor, f: int | None = None, made: Any = None) -> Tensor:
        """The same of a copy of the rows."""
        return self.uncopied(rows.clone(), f, made)


def repeat(subject: Subject) -> Answer:
    if torch.equal(subject(subject.rows), subject(subject.rows)):
        return GOOD, "The same rows give the same bits twice."
    return BAD, UNREPEATABLE


def remembered(subject: Subject, what: str) -> Answer:
    """What a call leaves behind."""
    made, rows = subject.fresh(), subject.rows
    first = subject(rows, made=made)
    subject(gaussian(len(rows), draw=2), made=made)
    if torch.equal(first, subject(rows, made=made)):
        return GOOD, "A call leaves nothing behind."
    if not torch.equal(first, subject(rows)):
        return BAD, UNREPEATABLE
    if isinstance(getattr(made, "target", None), FunctionType):
        return BAD, FORGETFUL
    return ODD, f"It remembers: {what}. Each run gets a fresh one."


def left_alone(subject: Subject) -> bool:
    """Whether it leaves its input as it was."""
    rows = subject.rows
    subject.uncopied(rows)
    return torch.equal(rows, subject.rows)


def how_called(made: object) -> str:
    """Return a sentence on what a user's function or object is given; "" for one of ours."""
    if not isinstance(made, Plugin):
        return ""
    return "It is given NumPy arrays" if made.arrays == "numpy" else "It is given torch tensors"


def ratio(call: Callable[[], object], plain: Callable[[], object]) -> float:
    """How many times longer `call` takes: the median over alternations with `plain`, after one that warms up."""
    ratios: list[float] = []
    started = time.perf_counter()
    plain()
    call()
    while len(ratios) < REPEATS and (not ratios or time.perf_counter() - started < BUDGET):
        ratios.append(_seconds(call) / _seconds(plain))
    return median(ratios)


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
