"""A finding, and the parts that the checks of rules and of attacks share."""

from __future__ import annotations

import copy
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from types import FunctionType
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ..aggregators import Mean
from ..core.errors import InputError
from ..core.importing import with_place
from ..core.plugin import Plugin
from ..core.randomness import generator
from ..core.round import Layer, Round

GOOD, ODD, BAD = "good", "odd", "bad"
COLUMNS = 64  # of the small matrices
WIDE = (50, 100_000)  # rows and columns of the matrix on which the cost is measured
REPEATS, BUDGET = 5, 2.0  # the most repeats of a timing, and the seconds after which no other starts
CLOSE = 1e-4  # of the largest entry: the tolerance for rounding
UNREPEATABLE = (
    "The same rows give another result: it draws from a generator other than torch's, which gradskew seeds, or keeps "
    "state that all runs share. No run can be repeated."
)
UNSAVED = (
    "It is a function that keeps state, which no copy and no checkpoint can hold. Make it an object that keeps its "
    "state in attributes."
)

Answer = tuple[str, str] | tuple[str, str, float] | tuple[str, str, None, "BreakingRows | None"]


@dataclass(frozen=True)
class BreakingRows:
    """Rows (n, d), the first f of them forged, that bring a rule farther from the honest mean than every honest row."""

    rows: np.ndarray
    f: int


@dataclass(frozen=True)
class Finding:
    """The result of a check: a verdict, a sentence, the number of the cost, the rows of a search that breaks a rule."""

    check: str
    verdict: str
    sentence: str
    value: float | None = None
    breaking_rows: BreakingRows | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the finding in audit.json."""
        return {name: getattr(self, name) for name in ("check", "verdict", "sentence", "value")}


def gaussian(n: int, d: int = COLUMNS, draw: int = 0) -> Tensor:
    """Return Gaussian rows (n, d) around a common centre, other rows for each draw."""
    spread = torch.randn(n, d, generator=generator(0, "inspection", draw))
    return spread + torch.randn(d, generator=generator(0, "inspection centre", draw))


def made_round(rows: Tensor) -> Round:
    """Return a round that has all of its parts; the mean of the rows (n, d) is the server's own update."""
    n, d = rows.shape
    layers = {"weight": Layer(slice(0, d), (d,))}
    examples, params = torch.ones(n, dtype=torch.int64), torch.zeros(d)
    return Round(clients=range(n), examples=examples, params=params, layers=layers, reference=rows.mean(0))


def close(a: Tensor, b: Tensor, rows: Tensor) -> bool:
    """Return whether two results are equal up to the rounding of such rows."""
    return bool((a - b).abs().max() <= CLOSE * rows.abs().max())


def attempt(call: Callable[[], Tensor]) -> Tensor | str:
    """Return the result of a call, or its error as text."""
    try:
        return call()
    except Exception as error:
        return str(error) if isinstance(error, ValueError) else with_place(error)


def succeed(call: Callable[[], Tensor], where: str = "") -> Tensor:
    """Return the result of a call; InputError for whatever it raises. where: the beginning of its message."""
    result = attempt(call)
    if isinstance(result, str):
        raise InputError(f"{where}{result}")
    return result


@dataclass(frozen=True)
class Subject(ABC):
    """A rule or an attack and its federation: n rows, f of them Byzantine.

    input, remembers: for the findings: what it is given, and what depends on earlier calls if it keeps state.
    """

    input: ClassVar[str]
    remembers: ClassVar[str]
    method: Any
    n: int
    f: int

    @property
    @abstractmethod
    def rows(self) -> Tensor:
        """Return new rows for a call."""

    def f_of(self, n: int) -> int:
        """Return the number of Byzantine rows of a matrix of n rows."""
        return self.f

    def fresh(self) -> Any:
        """Return a copy of the method without state."""
        method = copy.deepcopy(self.method)
        method.reset()
        return method

    @abstractmethod
    def call_in_place(self, rows: Tensor, f: int | None = None, method: Any = None) -> Tensor:
        """Call the method, by default a fresh one, on the rows themselves; return its result."""

    def __call__(self, rows: Tensor, f: int | None = None, method: Any = None) -> Tensor:
        """Call the method, by default a fresh one, on a copy of the rows; return its result."""
        return self.call_in_place(rows.clone(), f, method)


def check_repeatable(subject: Subject) -> Answer:
    if torch.equal(subject(subject.rows), subject(subject.rows)):
        return GOOD, "The same rows give the same bits twice."
    return BAD, UNREPEATABLE


def check_memory(subject: Subject) -> Answer:
    method, rows = subject.fresh(), subject.rows
    first = subject(rows, method=method)
    subject(gaussian(len(rows), draw=2), method=method)
    if torch.equal(first, subject(rows, method=method)):
        return GOOD, "A call does not affect later ones."
    if not torch.equal(first, subject(rows)):
        return BAD, UNREPEATABLE
    if isinstance(getattr(method, "target", None), FunctionType):
        return BAD, UNSAVED
    return ODD, f"It keeps state: {subject.remembers}. Each run starts without it."


def check_input(subject: Subject) -> Answer:
    rows = subject.rows
    subject.call_in_place(rows)
    if torch.equal(rows, subject.rows):
        return GOOD, f"It does not change {subject.input}."
    return BAD, f"It changes {subject.input}. gradskew gives it a copy; whoever needs them again must do so too."


def check_cost(subject: Subject) -> Answer:
    if isinstance(subject.method, Mean):
        return GOOD, "It is the built-in mean, the unit of the costs.", 1.0
    n, d = WIDE
    rows, mean, method, f = gaussian(n, d), Mean(), subject.fresh(), subject.f_of(n)
    factor = ratio(lambda: subject.call_in_place(rows, f, method), lambda: mean(rows, 0))
    return GOOD, f"It takes {factor:.3g} times as long as the built-in mean on {n} rows of {d:,}.", factor


def describe_arguments(method: object) -> str:
    """Return a sentence on the arguments that a user's function or object gets; "" for a built-in one."""
    if not isinstance(method, Plugin):
        return ""
    return "It gets NumPy arrays" if method.arrays == "numpy" else "It gets torch tensors"


def ratio(call: Callable[[], object], reference: Callable[[], object]) -> float:
    """Return the time of `call` over that of `reference`: the median over alternations, after a warm-up."""
    ratios: list[float] = []
    started = time.perf_counter()
    reference()
    call()
    while len(ratios) < REPEATS and (not ratios or time.perf_counter() - started < BUDGET):
        ratios.append(seconds_of(call) / seconds_of(reference))
    return median(ratios)


def seconds_of(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
