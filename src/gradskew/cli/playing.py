"""What the commands that play runs have in common: how to play them, the progress, the failures."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..checks import InputError

if TYPE_CHECKING:
    from ..records import Record
    from ..spec import Run


@dataclass(frozen=True)
class Played:
    """The records that there are, one sentence on the work, and the error if a run failed."""

    records: list[Record]
    summary: str
    failure: InputError | None


def play(task: str, runs: Sequence[Run], out: Path, workers: int | None, *, estimate: bool = False) -> Played:
    """Play the runs that `out` lacks, with a live line; Ctrl-C says how to go on and ends the program.

    estimate: first measure a round of a missing run, and say how long all will take.
    """
    from ..bench import cores, stored, sweep
    from ..report import count
    from ..terminal import ProgressLine

    if workers is None:
        workers = max(1, cores() // runs[0].threads) if runs[0].device == "cpu" else 1

    def begin(left: Sequence[Run]) -> None:
        announce(task, runs, len(left), f", {count(workers, 'worker')} -> {out}")
        tell_memory(left, min(workers, len(left)))
        if estimate:
            foretell(left, workers)

    line, failure = ProgressLine(), None
    with stoppable(out):
        try:
            with line:
                records = sweep(runs, out, workers=workers, begin=begin, report=line)
        except InputError as error:
            failure, records = error, stored(runs, out)
    return Played(records, line.summary(len(records)), failure)


def announce(task: str, runs: Sequence[Run], left: int, how: str) -> None:
    """Say how many runs a task has, and how many of them are stored already."""
    from ..report import count

    said = f"{task}: {count(len(runs), 'run')} of {count(runs[0].rounds, 'round')}"
    said += f", {len(runs) - left} stored" if left < len(runs) else ""
    click.echo(said + how, err=True)


def tell_memory(runs: Sequence[Run], workers: int = 1) -> None:
    """Say how much memory the runs will take; nothing if there is none."""
    from ..memory import foretell

    if runs:
        click.echo(foretell(runs, workers), err=True)


@contextmanager
def stoppable(out: Path) -> Iterator[None]:
    """Ctrl-C says how to go on and ends the program."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"Stopped. What is done is kept in {out}: the same command goes on from there.", err=True)
        sys.exit(130)


def foretell(runs: Sequence[Run], workers: int = 1) -> None:
    """Say how long the runs will take; nothing if there is none, or if the first fails: then playing it will tell."""
    from ..bench import estimated_seconds
    from ..terminal import duration

    if runs:
        with suppress(Exception):
            click.echo(f"By a measured round, about {duration(estimated_seconds(runs, workers))}.", err=True)
