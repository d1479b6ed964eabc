"""The runs of rules in a federation, from tables such as results.csv, and the line that a leaderboard has of each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from ..aggregators import RULES
from ..federation.curve import RISING
from .cell import accuracy_text, number_text
from .export import escape_markdown
from .played import Played, kind_of, members
from .table import by_number


@dataclass(frozen=True)
class Entry:
    """The runs of a rule in one federation, in the order of their seeds."""

    rule: str
    runs: Sequence[Played]

    @property
    def is_defence(self) -> bool:
        """Return whether the rule is more than the plain mean."""
        cls = RULES.find(self.rule.partition("(")[0])
        return cls is None or not cls.baseline

    @cached_property
    def usual(self) -> list[Played]:
        return [run for run in self.runs if run.attack == "none"]

    @cached_property
    def attacked(self) -> list[Played]:
        return [run for run in self.runs if run.attack != "none"]

    @cached_property
    def worst(self) -> list[Played]:
        """Return the worst found: the run of the least accuracy of each seed."""
        return _least(self.attacked)

    @property
    def place(self) -> tuple[float, str]:
        """Return the sort key: the highest worst found first, rules without an attack last."""
        return (-fmean(run.accuracy for run in self.worst) if self.worst else math.inf), self.rule

    def capped(self, cap: float) -> list[Played]:
        """Return the worst found over the searches with this cap and smaller ones; empty if none has this one."""
        caps = {run: kind_of(run.attack).cap for run in self.attacked}
        return _least([run for run in caps if caps[run] <= cap]) if cap in caps.values() else []

    def cost(self, mean: Iterable[Played]) -> float | None:
        """Return the points below runs of the mean without an attack, on common seeds; None if a curve still rises."""
        of_mean = {run.seed: run for run in mean}
        pairs = [(run, of_mean[run.seed]) for run in self.usual if run.seed in of_mean]
        if not pairs or any(run.rises or other.rises for run, other in pairs):
            return None
        return fmean(other.accuracy - run.accuracy for run, other in pairs)

    def not_played(self, seeds: Sequence[int], caps: Sequence[float]) -> str:
        """Return the attacks of the ensemble that the rule did not meet, those with a cap if it met one of them."""
        met = {(kind_of(run.attack).member, run.seed) for run in self.runs if run.asked}
        asked = [*members(math.inf), *(name for cap in caps if self.capped(cap) for name in members(cap))]
        missing: dict[str, list[str]] = {}
        for name in asked:
            lacking = [seed for seed in seeds if (name, seed) not in met]
            where = "" if lacking == [*seeds] else f" with seed {', '.join(map(str, lacking))}"
            if lacking:
                missing.setdefault(where, []).append(kind_of(name).text())
        return "; ".join(", ".join(names) + where for where, names in missing.items())

    def texts(self, mean: Iterable[Played], caps: Sequence[float]) -> list[str]:
        """Return the cells of the rule's line. mean: runs of the plain mean. caps: those of the section."""
        fixed = _least([run for run in self.attacked if kind_of(run.attack).fixed])
        cost = self.cost(mean)
        kappa = [(run.kappa, run) for run in self.attacked if run.kappa is not None]
        progress = [(-run.progress, run) for run in self.attacked if run.progress is not None]
        return [
            *(_accuracy(self.usual), "–" if cost is None else f"{round(cost, 1) + 0.0:.1f}"),  # no -0.0
            *(_accuracy(fixed), _finders(fixed, most=1)),
            *(_accuracy(self.worst), _by_seed(self.worst), _finders(self.worst)),
            *(_with_seeds(self.capped(cap), cap) for cap in caps),
            *(_largest(kappa), _largest(progress, sign=-1)),
            *(str(len(self.worst)), str(len(self.attacked))),
        ]


def _least(runs: Iterable[Played]) -> list[Played]:
    """Return for each seed the run of the least accuracy; of equal ones a fixed attack's, then the largest cap's."""

    def rank(run: Played) -> tuple[int, float, bool, float, str]:
        kind = kind_of(run.attack)
        return run.seed, run.accuracy, not kind.fixed, -kind.cap, run.attack

    least: dict[int, Played] = {}
    for run in sorted(runs, key=rank):
        least.setdefault(run.seed, run)
    return list(least.values())


def _largest(values: Sequence[tuple[float, Played]], sign: int = 1) -> str:
    """Return the largest value of a round, times sign, with the attack and its cap; a dash for no value."""
    if not values:
        return "–"
    value, run = max(values, key=lambda each: each[0])
    return f"{number_text(sign * value)} ({_finders([run])})"


def _accuracy(runs: Sequence[Played]) -> str:
    if not runs:
        return "–"
    return accuracy_text([run.accuracy for run in runs]) + RISING * any(run.rises for run in runs)


def _by_seed(runs: Sequence[Played]) -> str:
    return ", ".join(f"{run.accuracy:.1f}" for run in runs) or "–"


def _with_seeds(runs: Sequence[Played], cap: float) -> str:
    return f"{_accuracy(runs)} ({_by_seed(runs)}): {_finders(runs, cap)}" if runs else "–"


def _finders(runs: Iterable[Played], cap: float = math.inf, most: int | None = None) -> str:
    """Return the attacks of the runs, those of most seeds first. cap: of the column. most: how many, at most."""
    found = Counter(kind_of(run.attack).text(cap) for run in runs)
    return escape_markdown(", ".join(text for text, _ in found.most_common(most))) or "–"


@dataclass(frozen=True)
class Section:
    """The runs in one federation."""

    runs: Sequence[Played]

    @property
    def dataset(self) -> str:
        return self.runs[0].dataset

    @property
    def title(self) -> str:
        return self.runs[0].title

    @property
    def setting(self) -> str:
        """Return what the title does not say; older tables say less."""
        return max((run.setting for run in self.runs), key=len)

    @property
    def seeds(self) -> list[int]:
        return sorted({run.seed for run in self.runs})

    @property
    def caps(self) -> list[float]:
        """Return the finite caps of the searches, the largest first."""
        return sorted({kind_of(run.attack).cap for run in self.runs} - {math.inf}, reverse=True)

    @property
    def largest_class(self) -> float:
        """Return the share of the largest class in the test inputs, in %; 0 where no line has it."""
        return max(run.largest_class or 0.0 for run in self.runs)

    @cached_property
    def entries(self) -> list[Entry]:
        """Return the rules, by falling worst found."""
        rules: dict[str, list[Played]] = {}
        for run in self.runs:
            rules.setdefault(run.rule, []).append(run)
        return sorted((Entry(rule, of) for rule, of in rules.items()), key=lambda entry: entry.place)

    @property
    def mean(self) -> list[Played]:
        """Return the runs of the plain mean without an attack."""
        return [run for each in self.entries if not each.is_defence for run in each.usual]


def sections(runs: Iterable[Played]) -> list[Section]:
    """Return a section for each federation, by title and setting."""
    groups: dict[tuple[str, str], list[Played]] = {}
    for run in sorted(runs, key=lambda run: run.seed):
        groups.setdefault((run.title, run.federation), []).append(run)
    made = map(Section, groups.values())
    return sorted(made, key=lambda section: (by_number(section.title), section.setting))
