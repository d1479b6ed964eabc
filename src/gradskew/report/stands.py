"""Which rule stands in which federation, as a table in Markdown, from runs that were read from results.csv."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import fmean

from ..attacks import Adaptive
from .cell import accuracy_text
from .comparison import half_width
from .entries import Entry, Section
from .export import escape_markdown, grid
from .played import kind_of
from .titles import short_name

KEPT = 0.8  # share of the accuracy without an attack
SEEDS = 3  # fewest, as a run either stays where it starts or escapes
AIMS = ("loss", "loss+stop", "loss+stop+undo")

ABOUT = """## Which rule stands

A rule *stands* if its worst found, seed by seed, is at least 80 % of what the plain mean reaches without an attack
(where that was not played, the best rule). Asked are the rules that met the searches `loss`, `loss+stop` and
`loss+stop+undo` without a cap, on three seeds or more. Beside each is the mean of its worst found with the 95 %
interval over seeds. *full*: under searches with `effort=full`, which leave less than those with `effort=fast`: the two
cannot be compared. **none**: no rule that was asked stands. A rule that stands was not broken by these attacks; no more
is said of it.
"""


def standing_table(parts: Iterable[Section]) -> str:
    """Return which rules stand in each federation: those that do, and the best of those that do not."""
    lines = []
    for section in parts:
        asked = [entry for entry in section.entries if is_asked(entry)]
        if asked:
            standing = [entry for entry in asked if stands(entry, section)]
            fallen = [entry for entry in asked if entry not in standing]
            cells = ["; ".join(map(_text, standing)) or "**none**", "; ".join(map(_text, fallen[:2])) or "–"]
            where = f"{section.title}, {section.setting.rpartition(', ')[0]}"  # without the digest
            lines.append((where, [(f"{_reference(section):.1f}", False), *((cell, False) for cell in cells)]))
    head = ["federation", "without an attack", "stands", "falls (the best two)"]
    return "\n".join([ABOUT, *grid(head, lines), ""]) if lines else ""


def is_asked(entry: Entry) -> bool:
    """Return whether a rule met the searches on enough seeds."""
    met: dict[int, set[str]] = {}
    for run in entry.attacked:
        kind = kind_of(run.attack)
        if math.isinf(kind.cap):
            met.setdefault(run.seed, set()).add(kind.member)
    wanted = {Adaptive(aim=aim, cap=None).name for aim in AIMS}
    return sum(wanted <= names for names in met.values()) >= SEEDS


def stands(entry: Entry, section: Section) -> bool:
    """Return whether the worst found of each seed is high enough."""
    return min(run.accuracy for run in entry.worst) >= KEPT * _reference(section)


def _reference(section: Section) -> float:
    """Return the accuracy without an attack: of the plain mean, else the best of a rule."""
    usual = [each for each in (section.mean or [], *(entry.usual for entry in section.entries)) if each]
    if section.mean:
        usual = usual[:1]
    return max((fmean(run.accuracy for run in runs) for runs in usual), default=math.nan)


def _text(entry: Entry) -> str:
    by_seed = {run.seed: run.accuracy for run in entry.worst}
    width = half_width(by_seed, None)
    assert width is not None
    full = ", full" * any(kind_of(run.attack).full for run in entry.attacked)
    mean = accuracy_text([fmean(by_seed.values())])
    return escape_markdown(f"{short_name(entry.rule)} {mean} ± {width:.1f} ({len(by_seed)} seeds{full})")
