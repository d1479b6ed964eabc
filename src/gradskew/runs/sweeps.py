"""Grids of runs, and sweeps, which execute the runs of a grid that are not stored yet."""

from __future__ import annotations

import errno
import math
import operator
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

from ..aggregators import Aggregator
from ..attacks import Attack
from ..core.errors import InputError, check, check_number
from ..federation.computing import computing
from ..federation.memory import check_fits
from ..federation.rounds import Federation
from ..federation.run import Run
from .execution import Outcomes, Status, execute
from .processes import run_in_processes
from .ray import Cluster, run_on_cluster
from .record import Record
from .store import Store

FULL = (errno.ENOSPC, errno.EDQUOT)  # the disk is full, or the user's quota
MEASURED, MEASURED_SECONDS = 5, 1.0  # an estimate measures at most so many rounds, and starts none after so long


@dataclass(frozen=True)
class Progress:
    """The progress of a sweep in runs and rounds, without those that were stored already."""

    done: int
    runs: int
    rounds_done: int
    rounds: int


class FailedRuns(InputError):
    """Some runs failed. failures: these runs, each with its error; the message is that of the first."""

    def __init__(self, failures: Sequence[tuple[Run, Exception]]):
        self.failures = list(failures)
        super().__init__(f"{self.describe(failures)}; the other runs are stored")

    @staticmethod
    def describe(failures: Sequence[tuple[Run, Exception]]) -> str:
        """Return a description of the first failure, with the number of the others, as text."""
        run, error = failures[0]
        kind = "" if isinstance(error, (InputError, OSError)) else f"{type(error).__name__}: "
        others = len(failures) - 1
        more = f" (and {others} more run{'s' * (others > 1)})" if others else ""
        return f"{run.attack.name} against {run.aggregator.name}, seed {run.seed}: {kind}{error}{more}"


OnBegin = Callable[[Sequence[Run]], None]
OnProgress = Callable[[Progress], None]


def grid(
    base: Run, *, attacks: Iterable[Attack], aggregators: Iterable[Aggregator], seeds: Iterable[int] = (0,)
) -> list[Run]:
    """Return a run for each combination of attack, rule and seed, equal to `base` in all else."""
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
    on_begin: OnBegin = lambda runs_left: None,
    on_progress: OnProgress = lambda progress: None,
) -> list[Record]:
    """Execute all runs that are not stored in `out`, and return the records of all runs, in order.

    workers: a number of processes, or a Ray cluster. 1 computes in this process; more start other processes, so a
    script needs `if __name__ == "__main__"`. on_begin: is called once, with the runs that are not stored. on_progress:
    is called after each round or several times a second. A sweep in a second thread waits until the first has ended.
    Raises FailedRuns, from the first error, if runs fail, after all others have finished.
    """
    if not isinstance(workers, Cluster):
        workers = check_number("workers", workers, at_least=1, whole=True)
    with _one_sweep:
        return _sweep(runs, Store(out), workers, on_begin, on_progress)


_one_sweep = threading.RLock()  # the kernel's locks and torch's settings belong to a process, not to a thread


def _sweep(
    runs: Sequence[Run], store: Store, workers: int | Cluster, on_begin: OnBegin, on_progress: OnProgress
) -> list[Record]:
    store.prepare()
    unique = {run.digest: run for run in runs}  # runs with different texts may have the same digest
    records = {record.digest: record for record in stored(list(unique.values()), store)}
    left = [run for digest, run in unique.items() if digest not in records]
    for digest in records:
        store.tidy(digest)  # a process that was killed may have left a checkpoint beside the record
    if isinstance(workers, Cluster):
        if left:
            workers.check()
    else:
        # Not by len(left): a last run that is killed must not end this process.
        workers = max(1, min(workers, len(unique)))
        check_fits(left, min(workers, max(1, len(left))))
    on_begin(left)
    done = rounds = 0
    elsewhere: list[Run] = []  # stored by other processes since the sweep began
    failures: dict[str, Exception] = {}

    def on_rounds(count: int) -> None:
        nonlocal rounds
        rounds = count
        total = sum(run.rounds for run in left) - sum(run.rounds for run in elsewhere)
        on_progress(Progress(done, len(left) - len(elsewhere), rounds, total))

    on_rounds(0)
    with closing(_execute_all(left, store, workers, on_rounds)) as outcomes:
        for run, outcome in outcomes:
            if isinstance(outcome, OSError) and outcome.errno in FULL:  # the other runs could not be stored either
                raise InputError(f"{outcome}; make room: the same command goes on from the stored runs") from outcome
            if isinstance(outcome, Exception):
                failures[run.digest] = outcome
            if outcome is Status.STORED:
                elsewhere.append(run)
            else:
                done += 1
            on_rounds(rounds)
    if failures:  # in the order of the runs, not of their ends
        failed = [(run, failures[run.digest]) for run in left if run.digest in failures]
        raise FailedRuns(failed) from failed[0][1]
    records |= {record.digest: record for record in stored(left, store)}
    missing = len(unique) - len(records)
    check(not missing, f"{missing} records are gone from {store.runs}: run it again")
    return [records[run.digest] for run in runs]


def _execute_all(
    runs: Sequence[Run], store: Store, workers: int | Cluster, on_rounds: Callable[[int], None]
) -> Outcomes:
    """Execute runs in this process, in workers or on a cluster; yield each with its outcome when it has ended.

    on_rounds: is called with the number of finished rounds of all runs.
    """
    if isinstance(workers, Cluster):
        return run_on_cluster(runs, store, workers, on_rounds)
    if workers == 1 or not runs:
        return _run_here(runs, store, on_rounds)
    return run_in_processes(runs, store, workers, on_rounds)


def _run_here(runs: Sequence[Run], store: Store, on_rounds: Callable[[int], None]) -> Outcomes:
    rounds = 0

    def on_round(metrics: dict[str, Any]) -> None:
        nonlocal rounds
        rounds += 1
        on_rounds(rounds)

    waiting = deque((run, False) for run in runs)  # (run, whether to wait for another process that executes it)
    while waiting:
        run, wait = waiting.popleft()
        outcome: Status | Exception
        try:
            outcome = execute(run, store, on_round=on_round, wait=wait)
        except Exception as error:
            outcome = error
        if outcome is Status.ELSEWHERE:
            waiting.append((run, True))  # it comes last
        else:
            yield run, outcome


def stored(runs: Sequence[Run], out: Store | Path | str) -> list[Record]:
    """Return the records of the runs that are stored in `out`, in order."""
    store = out if isinstance(out, Store) else Store(out)
    return [record for run in runs if (record := store.load(run.digest)) is not None]


def estimated_seconds(runs: Sequence[Run], workers: int = 1) -> float:
    """Return an estimate of the seconds that the runs take, from rounds of the first, a middle and the last run."""
    sample = {run.digest: run for run in (runs[0], runs[len(runs) // 2], runs[-1])}.values()
    each = fmean(seconds_of_a_round(run) for run in sample)
    return each * sum(run.rounds for run in runs) * math.ceil(len(runs) / workers) / len(runs)


def seconds_of_a_round(run: Run) -> float:
    """Return the median seconds of a round, from a few rounds after the first, which is slower."""
    with computing(run):
        federation = Federation(run)
        times: list[float] = []
        while len(times) < 2 or (len(times) < MEASURED and sum(times) < MEASURED_SECONDS):
            started = time.perf_counter()
            federation.round(len(times))
            times.append(time.perf_counter() - started)
    return median(times[1:])
