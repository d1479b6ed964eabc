"""Sweeps, which execute the runs of a grid that are not stored yet."""

from __future__ import annotations

import errno
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from ..core.errors import InputError, check, check_number, clear_frames, warn
from ..core.importing import with_place
from ..federation.computing import computing
from ..federation.memory import check_fits
from ..federation.rounds import Federation
from ..federation.run import Run
from ..federation.simulation import simulate
from ..trackers import FinishedRun, Log
from ..trackers.log import stamp
from .cluster import Cluster
from .execution import Outcomes, Status, execute
from .processes import run_in_processes
from .ray import run_on_cluster
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
    """Some of `total` runs failed. failures: these runs, each with its error; the message is that of the first."""

    def __init__(self, failures: Sequence[tuple[Run, Exception]], total: int):
        self.failures = list(failures)
        stored = "; the other runs are stored" if total > len(self.failures) else ""
        super().__init__(self.describe(failures) + stored)

    @staticmethod
    def describe(failures: Sequence[tuple[Run, Exception]]) -> str:
        """Return a description of the first failure, with the number of the others, as text."""
        run, error = failures[0]
        why = error if isinstance(error, (InputError, OSError)) else with_place(error)
        others = len(failures) - 1
        more = f" (and {others} more run{'s' * (others > 1)})" if others else ""
        return f"{run.attack.name} against {run.aggregator.name}, seed {run.seed}: {why}{more}"


OnBegin = Callable[[Sequence[Run]], None]
OnProgress = Callable[[Progress], None]


def sweep(
    runs: Sequence[Run],
    out: Path | str,
    *,
    workers: int | Cluster = 1,
    on_begin: OnBegin = lambda runs_left: None,
    on_progress: OnProgress = lambda progress: None,
    log: Any = None,
) -> list[Record]:
    """Execute all runs that are not stored in `out`, and return the records of all runs, in order.

    workers: a number of processes, or a Ray cluster. 1 computes in this process; more start other processes, so a
    script needs `if __name__ == "__main__"`. on_begin: is called once, with the runs that are not stored. on_progress:
    is called after each round or several times a second. log: trackers, `csv,mlflow` or a list, which get each run when
    it has finished, and those that are stored already (see `gradskew.trackers.Log`). A sweep in a second thread waits
    until the first has ended. Runs of functions that were typed in a notebook are executed in this process, and not
    stored. Raises FailedRuns, from the first error, if runs fail, after all others have finished.
    """
    if not isinstance(workers, Cluster):
        workers = check_number("workers", workers, at_least=1, whole=True)
    with _one_sweep:
        store = Store(out)
        store.prepare()
        return _sweep(runs, store, workers, on_begin, on_progress, Log.of(log, Path(out)))


_one_sweep = threading.RLock()  # the kernel's locks and torch's settings belong to a process, not to a thread


def _sweep(
    runs: Sequence[Run],
    store: Store,
    workers: int | Cluster,
    on_begin: OnBegin,
    on_progress: OnProgress,
    log: Log,
) -> list[Record]:
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
    for record in records.values():
        _log(record, log)
    done = rounds = 0
    elsewhere: list[Run] = []  # stored by other processes since the sweep began
    failures: dict[str, Exception] = {}
    unstored: dict[str, Record] = {}

    def on_rounds(count: int) -> None:
        nonlocal rounds
        rounds = count
        total = sum(run.rounds for run in left) - sum(run.rounds for run in elsewhere)
        on_progress(Progress(done, len(left) - len(elsewhere), rounds, total))

    on_rounds(0)
    with closing(_execute_all(left, store, workers, on_rounds, unstored)) as outcomes:
        for run, outcome in outcomes:
            if isinstance(outcome, OSError) and outcome.errno in FULL:  # the other runs could not be stored either
                raise InputError(f"{outcome}; make room: the same command goes on from the stored runs") from outcome
            if isinstance(outcome, Exception):
                failures[run.digest] = outcome
            if outcome is Status.STORED:
                elsewhere.append(run)
            else:
                done += 1
            if log and not isinstance(outcome, Exception):
                _log(unstored.get(run.digest) or store.load(run.digest), log, stamp() if run.session_code else "")
            on_rounds(rounds)
    if failures:  # in the order of the runs, not of their ends
        failed = [(run, failures[run.digest]) for run in left if run.digest in failures]
        raise FailedRuns(failed, len(unique)) from failed[0][1]
    records |= {record.digest: record for record in stored(left, store)} | unstored
    missing = len(unique) - len(records)
    check(not missing, f"{missing} records are gone from {store.runs}: run it again")
    return [records[run.digest] for run in runs]


def _log(record: Record | None, log: Log, mark: str = "") -> None:
    """Log a record, if there is one. mark: tells apart the runs of code that only this process has."""
    if log and record is not None:
        log(FinishedRun(record.digest, record.spec, record.rounds, record.accuracy, record.best_accuracy, mark))


def _execute_all(
    runs: Sequence[Run],
    store: Store,
    workers: int | Cluster,
    on_rounds: Callable[[int], None],
    unstored: dict[str, Record],
) -> Outcomes:
    """Execute runs in this process, in workers or on a cluster; yield each with its outcome when it has ended.

    on_rounds: is called with the number of finished rounds of all runs. unstored: takes the records of the runs with
    code that only this process has, by digest; they come first.
    """
    own = [run for run in runs if run.session_code]
    if own:
        yield from _run_session(own, on_rounds, unstored)
        runs, before = [run for run in runs if not run.session_code], sum(run.rounds for run in own)
        yield from _execute_all(runs, store, workers, lambda count: on_rounds(before + count), unstored)
    elif isinstance(workers, Cluster):
        yield from run_on_cluster(runs, store, workers, on_rounds)
    elif workers == 1 or not runs:
        yield from _run_here(runs, store, on_rounds)
    else:
        yield from run_in_processes(runs, store, workers, on_rounds)


def _run_session(runs: Sequence[Run], on_rounds: Callable[[int], None], unstored: dict[str, Record]) -> Outcomes:
    """Execute runs with code that was typed in this session; no later process could find their records again."""
    names = ", ".join(dict.fromkeys(name for run in runs for name in run.session_code))
    why = "defined in this session alone, so run in this process and not stored"
    warn(f"gradskew: {names}: {why}; from a file that can be imported, it could be sent to workers and resumed")
    rounds = 0

    def on_round(metrics: dict[str, Any]) -> None:
        nonlocal rounds
        rounds += 1
        on_rounds(rounds)

    for run in runs:
        try:
            unstored[run.digest] = Record.from_json(Record.of(simulate(run, on_round=on_round)).to_json())
        except Exception as error:
            clear_frames(error)
            yield run, error
        else:
            yield run, Status.DONE


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
            clear_frames(error)
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
