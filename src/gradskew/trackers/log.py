"""The trackers of a command: made from their names, and handed each finished run once."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.errors import InputError, check, warn
from ..core.grammar import parse_one, split_list
from ..core.importing import one_line
from .base import FinishedRun, Tracker
from .catalogue import TRACKERS


class Log:
    """The trackers of a sweep, ready to be called with finished runs.

    given: a comma-separated text of names, a tracker, or a list of both; None for no tracker. folder: of the results;
    files go to `log/<name of the tracker>` in it. Raises InputError for an unknown name, a missing library, a folder
    that is not writable. A run that a tracker has is not logged again. A tracker that fails is left out from then on,
    with a line: no run is lost, and the next command logs what is missing.
    """

    def __init__(self, given: Any, folder: Path):
        self.trackers = trackers_of(given, folder)
        for tracker in self.trackers:
            try:
                tracker.prepare()
            except InputError:
                raise
            except (Exception, SystemExit) as error:  # of the tracker's library
                raise InputError(f"--log {tracker.name}: {one_line(error)}") from error

    @classmethod
    def of(cls, given: Any, folder: Path) -> Log:
        """Return the trackers as they are if they are ready, else made as by `Log`."""
        return given if isinstance(given, cls) else cls(given, folder)

    def __bool__(self) -> bool:
        return bool(self.trackers)

    def __call__(self, run: FinishedRun) -> None:
        """Log a finished run with each tracker that does not have it."""
        for tracker in [*self.trackers]:
            try:
                if not tracker.has(run):
                    tracker.log(run)
            except (Exception, SystemExit) as error:
                self.trackers.remove(tracker)
                left = f"--log {tracker.name} failed at {run.title} ({one_line(error)})"
                warn(f"gradskew: {left}: the runs go on without it; the same command logs what is missing")


def stamp() -> str:
    """Return the present time, for `FinishedRun`."""
    return f"{time.strftime('%Y%m%dT%H%M%S')}-{time.time_ns() % 1_000_000_000:09d}"


def trackers_of(given: Any, folder: Path) -> list[Tracker]:
    """Return the trackers that `Log` takes, not prepared; InputError for unknown names, and for one given twice."""
    entries = split_list(given, "log") if isinstance(given, str) else given
    listed = [] if entries is None else entries if isinstance(entries, Iterable) else [entries]
    trackers = [_make(entry, folder / "log") for entry in listed]
    for tracker in trackers:
        check(trackers.count(tracker) == 1, f"a tracker is given twice in log: {tracker.name}")
    return trackers


def _make(entry: Any, folder: Path) -> Tracker:
    """Return the tracker with a name; an object as it is, with the default folder if it has none."""
    if isinstance(entry, str):
        entry = TRACKERS.make(*parse_one(entry, TRACKERS.kind))
    check(isinstance(entry, Tracker), f"log takes names of trackers and Tracker objects, not {entry!r:.60}")
    made: Tracker = entry
    if getattr(made, "folder", made) is None:
        made = replace(made, folder=folder / made.key)  # type: ignore[call-arg]
    return made
