"""Read the runs of several benches from their results.csv, and tell what their attacks are."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .. import aggregators, attacks
from ..aggregators import RULES
from ..attacks import ATTACKS, Adaptive, Combined
from ..core.errors import InputError, check, check_number
from ..core.files import is_sha256
from ..core.grammar import parse
from .described import count
from .export import FEDERATION
from .tries import is_asked

NEEDED = ("dataset", "attack", "aggregator", "seed", "accuracy", "partition", "digest", *FEDERATION)
ROUNDED = 2.0  # points by which a run may end elsewhere on another processor


@dataclass(frozen=True)
class Played:
    """A run, as a line of results.csv has it.

    dataset, title, setting, federation: of its federation, the last its digest. kappa, progress: the largest and the
    least of a round; None if not measured. test_size: number of test inputs; None if not known. asked: whether the rule
    answered most tries of an attack that asks it. largest_class: the share of the largest class in the test inputs, in
    %; None if not known.
    """

    dataset: str
    title: str
    setting: str
    federation: str
    rule: str
    attack: str
    seed: int
    accuracy: float
    rises: bool
    kappa: float | None
    progress: float | None
    digest: str
    test_size: int | None = None
    asked: bool = True
    largest_class: float | None = None


@dataclass(frozen=True)
class Kind:
    """What an attack is.

    fixed: whether it never tries the rule. member: the name of the ensemble's attack that it is, else its own. cap: the
    largest distance of its rows from the honest mean, over that of the farthest honest row; infinite without one.
    limit: of its tries in a round. searches: whether it is `adaptive`. full: whether it is so with all its parts.
    """

    fixed: bool
    member: str
    label: str
    cap: float = math.inf
    limit: int | None = None
    searches: bool = False
    full: bool = False

    def text(self, cap: float = math.inf) -> str:
        """Return its label, with its cap if that is another one."""
        return self.label if self.cap == cap else f"{self.label} with cap {self.cap:g}"


@cache
def kind_of(attack: str) -> Kind:
    """Return the kind of the attack with this name; a user's own is not imported."""
    own = all(ATTACKS.find(key) for key, _ in parse(attack))
    made = attacks.make(attack) if own else None
    if not isinstance(made, Adaptive):
        fixed = made is not None and not made.tries_rule
        searches = isinstance(made, Combined) and isinstance(made.model, Adaptive)
        return Kind(fixed, attack, "no attack" if attack == "none" else attack, searches=searches)
    member = Adaptive(aim=made.aim, data=made.data, cap=made.cap)
    full = made.effort == "full" and made.tries >= Adaptive.tries and made.limit is None
    usual = made == Adaptive(aim=made.aim, cap=made.cap, limit=made.limit, effort=made.effort)
    effort = f" (full, {made.limit} tries)" if made.effort == "full" and made.limit else " (full)" * full
    label = f"{made.aim}{effort}" if usual else attack
    return Kind(False, member.name, label, math.inf if made.cap is None else made.cap, made.limit, True, full)


@cache
def is_monotone(rule: str) -> bool:
    """Return whether the rule with this name is one of gradskew's own that are monotone, with any options."""
    try:
        own = all(RULES.find(key) for key, _ in parse(rule))
        return own and bool(aggregators.make(rule).monotone)
    except InputError:
        return False


def members(cap: float) -> list[str]:
    """Return the names of the ensemble's attacks; for a finite cap, those of its searches with this cap."""
    made = [attacks.make(name) for name in attacks.WORST]
    if math.isinf(cap):
        return [each.name for each in made]
    return [Adaptive(aim=each.aim, cap=cap).name for each in made if isinstance(each, Adaptive)]


def read_runs(paths: Iterable[Path]) -> tuple[list[Played], float]:
    """Return the runs in files such as results.csv, each once, and the largest difference in points between two files.

    Another processor rounds otherwise: of a run in two files whose accuracies differ by at most ROUNDED points the
    first counts. Raises InputError for another file, for files that disagree by more, for a file that disagrees with
    itself, and for two versions of a user's code.
    """
    runs: dict[tuple[str, str, str, int], tuple[Played, Path]] = {}
    largest = 0.0
    for path in paths:
        for run in _read(path):
            known, first = runs.setdefault((run.federation, run.rule, run.attack, run.seed), (run, path))
            what = f"{run.attack} against {run.rule}, seed {run.seed}, in {str(first)!r} and {str(path)!r}"
            check(known.digest == run.digest, f"two versions of a run: {what}: leave one out")
            both = f"{known.accuracy:g} and {run.accuracy:g} %"
            points = abs(known.accuracy - run.accuracy)
            allowed = ROUNDED if path != first else 0
            check(points <= allowed, f"two accuracies of a run, {both}: {what}: leave one out")
            largest = max(largest, points)
    return [run for run, _ in runs.values()], largest


def _read(path: Path) -> Iterator[Played]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.DictReader(file)
            missing = [name for name in NEEDED if name not in (lines.fieldnames or ())]
            check(not missing, f"{str(path)!r} is no results.csv of a bench: it lacks {', '.join(missing)}")
            for line in lines:
                yield _run(line, f"{str(path)!r}, line {lines.line_num}")
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{str(path)!r} is no CSV: {error}") from None


def _run(line: Mapping[str, str], where: str) -> Played:
    whole = None not in line and None not in line.values() and all(text.isprintable() for text in line.values())
    check(whole, f"{where}: not one printable text for each column")
    try:
        check(is_sha256(line["digest"]), f"digest must be a SHA-256, not {line['digest'][:80]!r}")
        kind_of(line["attack"])  # its name can be read
        accuracy = check_number("accuracy", float(line["accuracy"]), at_least=0, at_most=100)
        clients, sampled, byzantine, rounds, seed = (
            int(line[name]) for name in ("clients", "sampled", "byzantine", "rounds", "seed")
        )
        kappa, progress, failed, largest = (
            check_number(name, float(text)) if (text := line.get(name)) else None
            for name in ("kappa_max", "progress_min", "failed_tries", "largest_class")
        )
    except ValueError as error:
        raise InputError(f"{where}: {error}") from None
    size = f"{count(clients, 'client')}, {byzantine} Byzantine, {count(rounds, 'round')}"
    parts = [line["model"], "" if sampled == clients else f"{count(sampled, 'client')} a round"]
    parts += [line.get("settings", ""), f"federation {line['federation']}"]
    return Played(
        dataset=line["dataset"],
        title=f"{line['dataset']}, {line['partition']}, {size}",
        setting=", ".join(filter(None, parts)),
        federation=line["federation"],
        rule=line["aggregator"],
        attack=line["attack"],
        seed=seed,
        accuracy=accuracy,
        rises=line.get("still_rises") == "1",
        kappa=kappa,
        progress=progress,
        digest=line["digest"],
        test_size=int(line["test_size"]) if line.get("test_size") else None,
        asked=is_asked(failed),
        largest_class=largest,
    )
