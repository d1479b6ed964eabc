"""Make the leaderboard: a page with the worst found of each rule, from the runs of several benches."""

from __future__ import annotations

from collections.abc import Iterable

from .entries import Section, sections
from .export import escape_markdown, grid
from .played import Played, kind_of
from .stands import standing_table
from .titles import short_name

ABOUT = """# The worst found of each rule

What the attacks that were played leave of each rule's accuracy. It is found, not proven: another attack may leave less.
Accuracies are in %, the mean over seeds ± the sample standard deviation; ↑: the curve of a run still rises at its end.

- *No attack*, and its *cost*: how many points the rule stays below the plain mean when nobody attacks.
- *Best fixed*: the least accuracy of each seed over the attacks that never try the rule, and the one of most seeds.
- *Worst found*: the least accuracy of each seed over all attacks, these seeds one by one, and the attacks that leave
  it, those of most seeds first. `undo`, `stop`, `loss` and their sums are aims of `adaptive`, which searches in every
  round for the rows that do most harm to the rule; (full): with `effort=full`.
- *Cap c*: the same over the searches whose rows lie no farther from the mean of the honest rows than c times the
  farthest honest row.
- *Largest kappa* and *least progress*: of any round under any attack, with the attack and its cap ([what they
  measure](skew.md#what-is-measured-on-a-rule)).
- *Federations*: how many were played against the rule, one for each attack and seed.
- A search on most of whose tries the rule failed counts as not played: it did not ask the rule.

There are no seconds here: a time is that of one machine, and this page is the same on all. What the search costs beside
the rest of a round, both timed in one process, is in [the benchmarks](../benchmarks/README.md), rule by rule.
"""
OWN = """## Your own rule

```sh
gradskew bench --attacks 'none,worst,worst(effort=full)' --rules my.module:rule --seeds 10,11,12,13,14 --out mine
cp mine/results.csv results/robustness/mine.csv
gradskew report results/robustness results/trial --leaderboard docs/robustness.md
```

make this page with your rule in it, in the section of the federation in which it was played: the digits by default.
Without `worst(effort=full)`, the longer searches, a rule that is not monotone is at best *held so far*. The last
command checks that each file is a `results.csv` and that the files agree on each run, and names the attacks of the
ensemble `worst` that a rule did not meet. It plays nothing again. Whoever has the file of your rule can: the first
command ends with the same `digest`, which names all that a run depends on, and with the same `params_sha256` where
torch and the processor are the same. On another processor a run ends a little elsewhere: two files agree on a run if
its accuracies differ by at most 2 points, and the first counts. The seeds from 10 on took part in no choice when the
attacks were made.
"""


def leaderboard(runs: Iterable[Played]) -> str:
    """Return the page in Markdown: which rule stands where, and a section for each federation."""
    parts = sections(runs)
    return "\n".join([ABOUT, standing_table(parts), *map(_text, parts), OWN])


def _text(section: Section) -> str:
    """Return the text of a section: the table, the attacks that were not played, and searches of few tries."""
    caps, seeds = section.caps, section.seeds
    head = ["rule", "no attack", "cost", "best fixed", "by", "worst found", "seed by seed", "by"]
    head += [f"cap {cap:g}" for cap in caps] + ["largest kappa", "least progress", "seeds", "federations"]
    lines = []
    lacking: dict[str, list[str]] = {}
    few: dict[str, list[str]] = {}
    for entry in section.entries:
        rule = short_name(entry.rule)
        lines.append((rule, [(text, False) for text in entry.texts(section.mean, caps)]))
        lacking.setdefault(entry.not_played(seeds, caps), []).append(rule)
        limits = {kind.limit for run in entry.runs if (kind := kind_of(run.attack)).searches}
        which = "the search" if None not in limits else "some searches"
        for limit in sorted(limit for limit in limits if limit is not None):
            few.setdefault(f"At most {limit} tries in a round of {which}", []).append(rule)
    notes = [f"{what}: {', '.join(of)}." for what, of in few.items()]
    notes += [f"Not played against {', '.join(of)}: {names}." for names, of in lacking.items() if names]
    played = f"Seeds {', '.join(map(str, seeds))}."
    texts = map(escape_markdown, [f"## {section.title}, {section.setting}", played])
    return "\n\n".join([*texts, "\n".join(grid(head, lines)), *map(escape_markdown, notes)]) + "\n"
