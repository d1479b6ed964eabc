"""Run the sweep of a command: choose the workers, show the progress, collect the failures."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import InputError, check, os_error_text, warn
from ..core.grammar import split_list
from ..core.importing import one_line

if TYPE_CHECKING:
    from ..federation.run import Run
    from ..report.table import Table
    from ..runs.cluster import Cluster
    from ..runs.record import Record


@dataclass(frozen=True)
class Swept:
    """The records of a sweep, a sentence on the work done, its first error if any, and all failed runs."""

    records: list[Record]
    summary: str
    failure: InputError | None
    failures: Sequence[tuple[Run, Exception]] = ()

    def tables(self, tables: Sequence[Table]) -> list[Table]:
        """Return the tables of this sweep's federations, of the tables of all runs in its folder."""
        digests = {record.digest for record in self.records}
        return [table for table in tables if any(record.digest in digests for record in table.records)]

    def table(self, tables: Sequence[Table]) -> Table:
        """Return the table of this sweep's only federation, of the tables of all runs in its folder."""
        return self.tables(tables)[0]

    def summaries(self, tables: Sequence[Table], out: Path) -> list[str]:
        """Return sentences on the work done, and on what the tables of all runs in `out` have beside it."""
        from ..report.described import count

        own = self.tables(tables)
        more, others = sum(len(table.records) for table in own) - len(self.records), len(tables) - len(own)
        beside = (
            [f"{count(more, 'run')} of {'this federation' if len(own) == 1 else 'these federations'}"] if more else []
        )
        beside += [count(others, "other federation")] if others else []
        return [self.summary, *([f"Beside these runs, {out} holds {' and '.join(beside)}."] if beside else [])]

    @contextmanager
    def published(self) -> Iterator[None]:
        """Guard the writing of files: if it fails after failed runs, warn, so that both are reported."""
        try:
            yield
        except OSError as error:
            if self.failure is None:
                raise
            warn(f"gradskew: {os_error_text(error)}")


def choose_workers(options: dict[str, Any], workers: int | None) -> int | Cluster | None:
    """Return the number of processes, or the Ray cluster of --engine; leave the training engine in the options."""
    address, engine = options.pop("address"), options["engine"]
    named = [] if engine is None else split_list(engine, "engine")
    training = [name for name in named if name != "ray"]
    check(
        len(training) <= 1, f"--engine takes one training engine, with or without ray: {engine!r} has {len(training)}"
    )
    options["engine"] = training[0] if training else None
    if "ray" not in named:
        check(address is None, "--address needs --engine ray")
        return workers
    from ..runs.cluster import Cluster

    check(workers is None, "--workers does not apply to --engine ray: Ray decides how many runs are executed at once")
    return Cluster("auto" if address is None else address)


def run_sweep(
    task: str,
    runs: Sequence[Run],
    out: Path,
    workers: int | Cluster | None,
    *,
    shard: tuple[int, int] = (1, 1),
    estimate: bool = False,
    log: str | None = None,
) -> Swept:
    """Execute the runs that `out` lacks, with a progress line; Ctrl-C prints how to resume and ends the program.

    shard: (I, N) for the I-th of N parts of the runs; the records are those of all stored runs. estimate: first measure
    a round of a missing run, and print how long all will take. log: names of trackers.
    """
    from ..report.terminal import ProgressLine
    from ..runs.sweeps import FailedRuns, stored, sweep
    from ..trackers import Log

    workers = default_workers(runs, workers)
    task, mine = _part(task, runs, shard)

    def on_begin(missing: Sequence[Run]) -> None:
        slow = announce(task, mine, missing, out, workers)
        if estimate and not slow and isinstance(workers, int):
            with suppress(Exception):  # of the first run: it is left to the sweep
                print_time(missing, workers)

    trackers = Log(log, out)
    line, failure = ProgressLine(), None
    with stoppable(out):
        try:
            with line:
                records = sweep(mine, out, workers=workers, on_begin=on_begin, on_progress=line, log=trackers)
        except InputError as error:
            failure = error
        if failure is not None or shard[1] > 1:
            records = stored(runs, out)
    failures = failure.failures if isinstance(failure, FailedRuns) else []
    return Swept(records, line.summary(len(records), len(failures)), failure, failures)


def print_plan(
    task: str,
    runs: Sequence[Run],
    out: Path,
    workers: int | Cluster | None,
    shard: tuple[int, int] = (1, 1),
    log: str | None = None,
) -> None:
    """Print what `run_sweep` would run, its memory and its time, by a measured round; run and write nothing.

    InputError if the runs need more memory than the machine has, and for names of trackers that cannot be.
    """
    from ..federation.memory import check_fits
    from ..runs.store import Store
    from ..trackers.log import trackers_of

    workers, store = default_workers(runs, workers), Store(out)
    store.check_place()
    trackers_of(log, out)
    task, mine = _part(task, runs, shard)
    missing = [run for run in mine if not store.has(run.digest)]
    with stoppable():
        slow = announce(task, mine, missing, out, workers)
        if isinstance(workers, int):
            check_fits(missing, min(workers, max(1, len(missing))))
        if slow:  # a measured round would take as long as the search
            return
        try:
            if isinstance(workers, int):
                print_time(missing, workers)
            else:
                print_time(missing, where=" in one process")
        except Exception as error:
            warn(f"No estimate of the time, as a round failed: {one_line(error)}")


def default_workers(runs: Sequence[Run], workers: int | Cluster | None) -> int | Cluster:
    """Return the number of workers: one for each group of cores of a run, and one on a GPU, if none is given."""
    from ..core.machine import cores

    if workers is not None:
        return workers
    on_cpu = all(run.device == "cpu" for run in runs)
    return max(1, cores() // max(run.threads for run in runs)) if on_cpu else 1


def _part(task: str, runs: Sequence[Run], shard: tuple[int, int]) -> tuple[str, Sequence[Run]]:
    """Return the task, named with its shard, and the runs of the shard."""
    from ..report.described import count

    number, parts = shard
    named = f"{task}, shard {number}/{parts} of {count(len(runs), 'run')}" if parts > 1 else task
    return named, runs[number - 1 :: parts]


def announce(task: str, mine: Sequence[Run], missing: Sequence[Run], out: Path, workers: int | Cluster) -> bool:
    """Print what will be run, what is said of its data, its memory and slow searches; return whether there are such."""
    from ..report.described import count
    from ..runs.product import data_notes

    where = count(workers, "worker") if isinstance(workers, int) else str(workers)
    print_task(task, mine, len(missing), f", {where} -> {out}")
    for sentence in data_notes(mine):
        warn(f"  {sentence}")
    if isinstance(workers, int):
        print_memory(missing, min(workers, len(missing)))
        return print_searches(missing)
    print_memory(missing, None)  # Ray decides how many it executes at once
    return False


def print_task(task: str, runs: Sequence[Run], missing: int, suffix: str) -> None:
    """Print the number of a task's runs, and of those that are stored already."""
    from ..report.described import count

    lengths = sorted({run.rounds for run in runs})
    rounds = f" of {f'{lengths[0]} to ' * (len(lengths) > 1)}{count(lengths[-1], 'round')}" if runs else ""
    already = f", {len(runs) - missing} stored already" if missing < len(runs) else ""
    warn(f"{task}: {count(len(runs), 'run')}{rounds}{already}{suffix}")


def print_memory(runs: Sequence[Run], workers: int | None = 1) -> None:
    """Print how much memory the runs will take, if there are any. workers: None means on other machines."""
    from ..federation.memory import summary

    if runs:
        warn(summary(runs, workers))


def print_searches(runs: Sequence[Run]) -> bool:
    """Print what the slowest search costs that calls a rule many times in a round; return whether one is slow."""
    from ..federation.search_cost import slowest

    search = slowest(runs)
    if search is not None:
        warn(search.sentence)
    return search is not None


@contextmanager
def stoppable(out: Path | None = None) -> Iterator[None]:
    """Exit with status 130 on Ctrl-C or a scheduler's SIGTERM, and print how to resume from `out`."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        resume = f" Completed rounds are kept in {out}: the same command resumes from there."
        warn(f"Stopped.{'' if out is None else resume}")
        sys.exit(130)
    except SystemExit as error:
        raise InputError(f"a rule, an attack or a network ends the program ({one_line(error)})") from error
    finally:
        signal.signal(signal.SIGTERM, before)


def print_time(runs: Sequence[Run], workers: int = 1, where: str = "") -> None:
    """Print how long the runs will take in so many workers, if there are any; the error of a round is raised."""
    from ..report.terminal import duration
    from ..runs.sweeps import estimated_seconds

    if runs:
        start = ", and seconds to start the workers" if workers > 1 else ""
        warn(f"By a measured round, about {duration(estimated_seconds(runs, workers))}{where}{start}.")
