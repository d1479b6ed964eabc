"""A grid of runs; what is stored already is not run again."""

from __future__ import annotations

import errno
import math
import operator
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median

from ..aggregators import Aggregator
from ..attacks import Attack
from ..core.errors import InputError, check, check_number
from ..federation.computing import computing
from ..federation.memory import check_fits
from ..federation.rounds import Federation
from ..federation.run import Run
from .play import Played
from .players import play_all
from .ray import Cluster
from .record import Record
from .store import Store

FULL = (errno.ENOSPC, errno.EDQUOT)  # of a disk, or of what a user may have of it
MEASURED, MEASURED_SECONDS = 5, 1.0  # rounds that an estimate plays at most, and after how long it starts no other


@dataclass(frozen=True)
class Progress:
    """How far a sweep is, of what it had to do: runs that were stored already do not count."""

    done: int
    runs: int
    rounds_done: int
    rounds: int


class Unplayed(InputError):
    """Runs failed, each from its error; the message is on the first."""

    def __init__(self, failures: Sequence[tuple[Run, Exception]]):
        self.failures = list(failures)
        super().__init__(f"{self.of(failures)}; the other runs are stored")

    @staticmethod
    def of(failures: Sequence[tuple[Run, Exception]]) -> str:
        """What to say of some of them: the first, and how many more there are."""
        run, error = failures[0]
        kind = "" if isinstance(error, (InputError, OSError)) else f"{type(error).__name__}: "
        others = len(failures) - 1
        more = f" (and {others} more run{'s' * (others > 1)})" if others else ""
        return f"{run.attack.name} against {run.aggregator.name}, seed {run.seed}: {kind}{error}{more}"


Report = Callable[[Progress], None]


def grid(
    base: Run, *, attacks: Iterable[Attack], aggregators: Iterable[Aggregator], seeds: Iterable[int] = (0,)
) -> list[Run]:
    """The product of attacks, rules and seeds, all else as in `base`."""
    rules, numbers = list(aggregators), [operator.index(seed) for seed in seeds]
    return [
        replace(base, attack=attack, aggregator=rule, seed=seed)
        for attack in attacks
        for rule in rules
        for seed in numbers
    ]


def sweep(
    runs: Sequence[Run],
    out: Path | str,
    *,
    workers: int | Cluster = 1,
    begin: Callable[[Sequence[Run]], None] = lambda left: None,
    report: Report = lambda progress: None,
) -> list[Record]:
    """Play all runs that `out` does not hold yet, of which `begin` is told; returns the records of all, in order.

    One at a time: in a second thread of the process it waits until the first has ended.
    workers: processes, or a Ray cluster. One computes in this process; more start others, so a script needs the usual
    `if __name__ == "__main__"`. Raises Unplayed, from the first error, if runs fail, after all others have finished.
    """
    if not isinstance(workers, Cluster):
        check_number("workers", workers, at_least=1, whole=True)
    with _one_at_a_time:
        return _sweep(runs, Store(out), workers, begin, report)


_one_at_a_time = threading.RLock()  # what a process has locked, it has locked for all of its threads


def _sweep(
    runs: Sequence[Run],
    store: Store,
    workers: int | Cluster,
    begin: Callable[[Sequence[Run]], None],
    report: Report,
) -> list[Record]:
    store.prepare()
    unique = {run.digest: run for run in runs}  # one spec may be written in several ways
    found = {record.digest: record for record in stored(list(unique.values()), store)}
    left = [run for digest, run in unique.items() if digest not in found]
    for digest in found:
        store.tidy(digest)  # of a process that was killed after it had stored the run
    if isinstance(workers, Cluster):
        if left:
            workers.check()
    else:
        workers = max(1, min(workers, len(unique)))  # the last of many runs shall not end this process either
        check_fits(left, min(workers, max(1, len(left))))
    begin(left)
    total = sum(run.rounds for run in left)
    elsewhere: list[Run] = []  # stored by other processes in the meantime
    failures: dict[str, Exception] = {}

    def tell(done: int, rounds: int) -> None:
        others = sum(run.rounds for run in elsewhere)
        report(Progress(done - len(elsewhere), len(left) - len(elsewhere), rounds, total - others))

    tell(0, 0)
    with closing(play_all(left, store, workers, tell)) as outcomes:
        for run, outcome in outcomes:
            if isinstance(outcome, OSError) and outcome.errno in FULL:  # the others would be played for nothing
                raise InputError(f"{outcome}; make room: the same command goes on from the stored runs") from outcome
            if isinstance(outcome, Exception):
                failures[run.digest] = outcome
            elif outcome is Played.BEFORE:
                elsewhere.append(run)
    if failures:  # in the order of the runs, whichever ended first
        failed = [(run, failures[run.digest]) for run in left if run.digest in failures]
        raise Unplayed(failed) from failed[0][1]
    found |= {record.digest: record for record in stored(left, store)}
    gone = len(unique) - len(found)
    check(not gone, f"{gone} records are gone from {store.runs}: run it again")
    return [found[run.digest] for run in runs]


def stored(runs: Sequence[Run], out: Store | Path | str) -> list[Record]:
    """The records of those of the runs that `out` holds, in order."""
    store = out if isinstance(out, Store) else Store(out)
    return [record for run in runs if (record := store.load(run.digest)) is not None]


def estimated_seconds(runs: Sequence[Run], workers: int = 1) -> float:
    """How long the runs will take if nothing else runs: rounds of three of them, first, middle and last, played now."""
    sample = {run.digest: run for run in (runs[0], runs[len(runs) // 2], runs[-1])}.values()
    each = fmean(seconds_of_a_round(run) for run in sample)
    return each * sum(run.rounds for run in runs) * math.ceil(len(runs) / workers) / len(runs)


def seconds_of_a_round(run: Run) -> float:
    """The median of a few rounds, of which the first warms up and does not count; none is started after a second."""
    with computing(run):
        federation = Federation(run)
        times: list[float] = []
        while len(times) < 2 or (len(times) < MEASURED and sum(times) < MEASURED_SECONDS):
            started = time.perf_counter()
            federation.round(len(times))
            times.append(time.perf_counter() - started)
    return median(times[1:])
