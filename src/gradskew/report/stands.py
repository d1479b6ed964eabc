"""Which rule stands in which federation, as a table in Markdown, from runs that were read from results.csv."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from statistics import fmean

from ..attacks import Adaptive
from .cell import accuracy_text
from .comparison import half_width
from .described import count
from .entries import Entry, Section
from .export import escape_markdown, grid
from .played import is_monotone, kind_of
from .titles import short_name

KEPT = 0.8  # share of the accuracy without an attack
SEEDS = 3  # fewest, as a run either stays where it starts or escapes
ASKED = [Adaptive(aim=aim, cap=None).name for aim in ("loss+stop", "loss+stop+undo")]

ABOUT = """## Which rule stands

A rule *stands* if its worst found, seed by seed, is at least 80 % of what the plain mean reaches without an attack
(where that was not played, the best rule), and more than a model reaches that always answers the largest class, on
three seeds or more on which it met the searches `loss+stop` and `loss+stop+undo` without a cap at `effort=full`; for
monotone rules, whose worst rows are known, any effort does. Where they were searches at `effort=fast`, which finds
less, it is *held so far*. A rule *falls* if one seed is below that, under any attack; the plain mean, which is no
defence, is not listed. Beside each is the mean of its worst found with the 95 % interval over seeds, not below that of
the test inputs, and *full* or a limit of tries: under different efforts and limits two figures cannot be compared.
These are the seeds on which it met the searches named; the sections below take all seeds, so that a mean there may be
another one. **none**: no rule stands, and none is held so far; –: no rule of this kind. A federation in which no rule
met these searches on three seeds is in the sections alone, and so are the settings that all federations of a data set
share. A rule that stands was not broken by these attacks; no more is said of it.
"""


def standing_table(parts: Iterable[Section]) -> str:
    """Return which rules stand in each federation: those that do, those held so far, and the best that fall."""
    parts, lines = list(parts), []
    for section in parts:
        usual = reference(section)
        if usual is None:
            continue
        asked = {entry.rule: asked_part(entry) for entry in section.entries}
        least = {entry.rule: min(run.accuracy for run in entry.worst) for entry in section.entries if entry.worst}
        kept = {rule for rule in least if least[rule] >= KEPT * usual and least[rule] > section.largest_class}
        fallen = [each for each in section.entries if each.is_defence and each.rule in least.keys() - kept]
        standing = [part for rule, part in asked.items() if part and rule in kept]
        if standing or any(asked[entry.rule] for entry in fallen):
            stands = "; ".join(_text(part) for part in standing if is_in_full(part))
            held = "; ".join(_text(part) for part in standing if not is_in_full(part))
            falls = "; ".join(_text(asked[entry.rule] or entry) for entry in fallen[:2])
            cells = [stands or ("–" if held else "**none**"), held or "–", falls or "–"]
            lines.append((_where(section, parts), [(text, False) for text in (f"{usual:.1f}", *cells)]))
    head = ["federation", "without an attack", "stands", "held so far", "falls (the best two)"]
    return "\n".join([ABOUT, *grid(head, lines), ""]) if lines else ""


def _where(section: Section, parts: Iterable[Section]) -> str:
    """Return the title of a section and what its setting does not share with all others of the same data set."""
    alike = [part.setting.split(", ") for part in parts if part.dataset == section.dataset]
    shared = set(alike[0]).intersection(*alike)
    return ", ".join([section.title, *(text for text in section.setting.split(", ") if text not in shared)])


def asked_part(entry: Entry) -> Entry | None:
    """Return the runs of a rule with the seeds on which it met the searches in full, else in any way.

    None if these are fewer than SEEDS.
    """
    for seeds in (seeds_asked(entry, in_full=True), seeds_asked(entry)):
        if len(seeds) >= SEEDS:
            return replace(entry, runs=[run for run in entry.runs if run.seed in seeds])
    return None


def seeds_asked(entry: Entry, *, in_full: bool = False) -> set[int]:
    """Return the seeds on which a rule met the searches, in_full: with all their parts; all are for monotone rules.

    A search on most of whose tries the rule failed does not count.
    """
    any_effort = not in_full or is_monotone(entry.rule)
    met: dict[int, set[str]] = {}
    for run in entry.attacked:
        kind = kind_of(run.attack)
        if run.asked and (kind.full or any_effort):
            met.setdefault(run.seed, set()).add(kind.member)
    return {seed for seed, names in met.items() if names >= {*ASKED}}


def is_in_full(entry: Entry) -> bool:
    """Return whether a rule met the searches with all their parts on each seed."""
    return {run.seed for run in entry.worst} <= seeds_asked(entry, in_full=True)


def reference(section: Section) -> float | None:
    """Return the accuracy without an attack: of the plain mean, else the best of a rule; None if none was played."""
    usual = [section.mean] if section.mean else [entry.usual for entry in section.entries if entry.usual]
    return max((fmean(run.accuracy for run in runs) for runs in usual), default=None)


def _text(entry: Entry) -> str:
    by_seed = {run.seed: run.accuracy for run in entry.worst}
    sizes = {run.test_size for run in entry.worst}
    width = half_width(by_seed, sizes.pop() if len(sizes) == 1 else None)
    kinds = [kind_of(run.attack) for run in entry.attacked]
    full = is_in_full(entry) and any(kind.full for kind in kinds)
    limits = {kind.limit for kind in kinds if kind.member in ASKED and kind.full >= full and kind.limit is not None}
    marks = [count(len(by_seed), "seed"), *["full"] * full, *(f"{limit} tries" for limit in sorted(limits))]
    interval = "" if width is None else f" ± {width:.1f}"
    mean = accuracy_text([fmean(by_seed.values())])
    return escape_markdown(f"{short_name(entry.rule)} {mean}{interval} ({', '.join(marks)})")
