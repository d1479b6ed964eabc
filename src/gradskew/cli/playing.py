"""What the commands that play runs have in common: how to play them, the progress, the failures."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import InputError, check, warn
from ..core.grammar import split_list
from ..core.importing import one_line

if TYPE_CHECKING:
    from ..federation.run import Run
    from ..runs.ray import Cluster
    from ..runs.record import Record


@dataclass(frozen=True)
class Played:
    """The records that there are, one sentence on the work, the error if a run failed, and all that failed."""

    records: list[Record]
    summary: str
    failure: InputError | None
    failures: Sequence[tuple[Run, Exception]] = ()

    @contextmanager
    def published(self) -> Iterator[None]:
        """Inside, files are written. Where that fails and runs have failed too, both are said."""
        try:
            yield
        except OSError as error:
            if self.failure is None:
                raise
            warn(f"gradskew: {error}")


def take_workers(options: dict[str, Any], workers: int | None) -> int | Cluster | None:
    """Who plays: so many processes, or the Ray that --engine names; what is left there is how clients train."""
    address, engine = options.pop("address"), options["engine"]
    named = [] if engine is None else split_list(engine, "engine")
    training = [name for name in named if name != "ray"]
    check(len(training) <= 1, f"--engine takes one way to train, and ray or not: {engine!r} names {len(training)}")
    options["engine"] = training[0] if training else None
    if "ray" not in named:
        check(address is None, "--address is of a Ray cluster: it belongs to --engine ray")
        return workers
    from ..core.machine import cores
    from ..runs.ray import Cluster

    if address is not None:
        check(workers is None, "--workers is of this machine; on a cluster, Ray decides how many runs it plays at once")
        return Cluster(address)
    return Cluster(cpus=cores() if workers is None else workers * (options["threads"] or 1))


def play(task: str, runs: Sequence[Run], out: Path, workers: int | Cluster | None, *, estimate: bool = False) -> Played:
    """Play the runs that `out` lacks, with a live line; Ctrl-C says how to go on and ends the program.

    estimate: first measure a round of a missing run, and say how long all will take.
    """
    from ..core.machine import cores
    from ..report.table import count
    from ..report.terminal import ProgressLine
    from ..runs.ray import Cluster
    from ..runs.sweeps import Unplayed, stored, sweep

    if workers is None:
        workers = max(1, cores() // runs[0].threads) if runs[0].device == "cpu" else 1

    where = str(workers) if isinstance(workers, Cluster) else count(workers, "worker")

    def begin(left: Sequence[Run]) -> None:
        announce(task, runs, len(left), f", {where} -> {out}")
        if isinstance(workers, Cluster):  # Ray knows how many it plays at once, and does not tell
            announce_memory(left, None)
            return
        announce_memory(left, min(workers, len(left)))
        if estimate:
            announce_time(left, workers)

    line, failure = ProgressLine(), None
    with stoppable(out):
        try:
            with line:
                records = sweep(runs, out, workers=workers, begin=begin, report=line)
        except InputError as error:
            failure, records = error, stored(runs, out)
    failures = failure.failures if isinstance(failure, Unplayed) else []
    return Played(records, line.summary(len(records), len(failures)), failure, failures)


def announce(task: str, runs: Sequence[Run], left: int, how: str) -> None:
    """Say how many runs a task has, and how many of them are stored already."""
    from ..report.table import count

    said = f"{task}: {count(len(runs), 'run')} of {count(runs[0].rounds, 'round')}"
    said += f", {len(runs) - left} stored" if left < len(runs) else ""
    warn(said + how)


def announce_memory(runs: Sequence[Run], workers: int | None = 1) -> None:
    """Say how much memory the runs will take; nothing if there is none. workers: None means on other machines."""
    from ..federation.memory import summary

    if runs:
        warn(summary(runs, workers))


@contextmanager
def stoppable(out: Path | None = None) -> Iterator[None]:
    """Ctrl-C, or a scheduler's SIGTERM, ends the program, and says how to go on from what is in `out`."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        kept = f" What is done is kept in {out}: the same command goes on from there."
        warn(f"Stopped.{'' if out is None else kept}")
        sys.exit(130)
    except SystemExit as error:
        raise InputError(f"a rule, an attack or a network ends the program ({one_line(error)})") from error
    finally:
        signal.signal(signal.SIGTERM, before)


def announce_time(runs: Sequence[Run], workers: int = 1) -> None:
    """Say how long the runs will take; nothing if there is none, or if the first fails: then playing it will tell."""
    from ..report.terminal import duration
    from ..runs.sweeps import estimated_seconds

    if runs:
        with suppress(Exception):
            warn(f"By a measured round, about {duration(estimated_seconds(runs, workers))}.")
