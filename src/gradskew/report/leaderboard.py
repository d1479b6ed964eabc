"""Make the leaderboard: a page with the worst found of each rule, from the runs of several benches."""

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
from .export import escape_markdown, grid
from .played import Played, kind_of, members
from .table import by_number

ABOUT = """# The worst found of each rule

What the attacks that were played leave of each rule's accuracy. It is found, not proven: another attack may leave less.
Accuracies are in %, the mean over seeds ± the sample standard deviation; ↑: the curve of a run still rises at its end.

- *No attack*, and its *cost*: how many points the rule stays below the plain mean when nobody attacks.
- *Best fixed*: the least accuracy of each seed over the attacks that never try the rule, and the one of most seeds.
- *Worst found*: the least accuracy of each seed over all attacks, these seeds one by one, and the attacks that leave
  it, those of most seeds first. `undo`, `stop`, `loss` and their sums are aims of `adaptive`, which searches in every
  round for the rows that do most harm to the rule.
- *Cap c*: the same over the searches whose rows lie no farther from the mean of the honest rows than c times the
  farthest honest row.
- *Largest kappa* and *least progress*: of any round under any attack ([what they
  measure](skew.md#what-is-measured-on-a-rule)).
- *Federations*: how many were played against the rule, one for each attack and seed.

There are no seconds here: a time is that of one machine, and this page is the same on all. What the search costs beside
the rest of a round, both timed in one process, is in [the benchmarks](../benchmarks/README.md), rule by rule.
"""
OWN = """## Your own rule

```sh
gradskew bench --attacks none,worst --rules my.module:rule --seeds 10,11,12,13,14 --out mine
cp mine/results.csv results/robustness/mine.csv
gradskew report results/robustness --leaderboard docs/robustness.md
```

make this page with your rule in it, in the section of the federation in which it was played: the digits by default. The
last command checks that each file is a `results.csv` and that no two files disagree on a run, and names the attacks of
the ensemble `worst` that a rule did not meet. It plays nothing again. Whoever has the file of your rule can: the first
command ends with the same `digest`, which names all that a run depends on, and with the same `params_sha256` where
torch and the processor are the same. The seeds from 10 on took part in no choice when the attacks were made.
"""


@dataclass(frozen=True)
class Entry:
    """The runs of a rule in one federation, in the order of their seeds."""

    rule: str
    runs: Sequence[Played]

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
        met = {(kind_of(run.attack).member, run.seed) for run in self.runs}
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
        kappas = [run.kappa for run in self.attacked if run.kappa is not None]
        progress = [run.progress for run in self.attacked if run.progress is not None]
        return [
            *(_accuracy(self.usual), "–" if cost is None else f"{round(cost, 1) + 0.0:.1f}"),  # no -0.0
            *(_accuracy(fixed), _finders(fixed, most=1)),
            *(_accuracy(self.worst), _by_seed(self.worst), _finders(self.worst)),
            *(_with_seeds(self.capped(cap), cap) for cap in caps),
            *(number_text(max(kappas)) if kappas else "–", number_text(min(progress)) if progress else "–"),
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


def leaderboard(runs: Iterable[Played]) -> str:
    """Return the page in Markdown: a section for each federation, with its rules by falling worst found."""
    groups: dict[tuple[str, str], list[Played]] = {}
    for run in sorted(runs, key=lambda run: run.seed):
        groups.setdefault((run.title, run.federation), []).append(run)
    sections = [_section(groups[key]) for key in sorted(groups, key=lambda key: (by_number(key[0]), key[1]))]
    return "\n".join([ABOUT, *sections, OWN])


def _section(runs: Sequence[Played]) -> str:
    """Return the section of one federation: the table, the attacks that were not played, and searches of few tries."""
    rules: dict[str, list[Played]] = {}
    for run in runs:
        rules.setdefault(run.rule, []).append(run)
    entries = sorted((Entry(rule, of) for rule, of in rules.items()), key=lambda entry: entry.place)
    mean = [run for entry in entries if (cls := RULES.find(entry.rule)) and cls.baseline for run in entry.usual]
    caps = sorted({kind_of(run.attack).cap for run in runs} - {math.inf}, reverse=True)
    seeds = sorted({run.seed for run in runs})
    head = ["rule", "no attack", "cost", "best fixed", "by", "worst found", "seed by seed", "by"]
    head += [f"cap {cap:g}" for cap in caps] + ["largest kappa", "least progress", "seeds", "federations"]
    table = grid(head, [(entry.rule, [(text, False) for text in entry.texts(mean, caps)]) for entry in entries])
    lacking: dict[str, list[str]] = {}
    few: dict[int, list[str]] = {}
    for entry in entries:
        lacking.setdefault(entry.not_played(seeds, caps), []).append(entry.rule)
        for limit in sorted({limit for run in entry.runs if (limit := kind_of(run.attack).limit) is not None}):
            few.setdefault(limit, []).append(entry.rule)
    notes = [f"At most {limit} tries in a round of the search: {', '.join(of)}." for limit, of in few.items()]
    notes += [f"Not played against {', '.join(of)}: {names}." for names, of in lacking.items() if names]
    longest = max((run.setting for run in runs), key=len)  # older tables say less
    setting = f"{longest}; seeds {', '.join(map(str, seeds))}."
    texts = map(escape_markdown, [f"## {runs[0].title}", setting])
    return "\n\n".join([*texts, "\n".join(table), *map(escape_markdown, notes)]) + "\n"
