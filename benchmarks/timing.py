"""Timing works in turn, so that what slows the machine slows all of them; trying a work that may not end."""

from __future__ import annotations

import multiprocessing.connection
import os
import resource
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import torch

Work = Callable[[], object]


def alternate(
    works: list[Work],
    repeats: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
    before: Work = lambda: None,
) -> list[list[float]]:
    """Seconds of each work, taken in turn, after one turn that does not count. before: called untimed before each."""
    seconds: list[list[float]] = [[] for _ in works]
    for turn in range(repeats + 1):
        for work, kept in zip(works, seconds, strict=True):
            before()
            start = clock()
            work()
            if turn:
                kept.append(clock() - start)
    return seconds


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return the median and the range of values as text: `1.00 (0.92 to 1.06)`."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def refusal(work: Work, limit: int) -> str | None:
    """Call the work in a process of its own, within `limit` CPU seconds and the free memory; None if it ends well.

    Otherwise `time`, `memory`, or the name of the error, or of the signal that ended it, or its exit status. The
    process is a fork: call this before the work or another one has started threads, which a fork lacks.
    """
    context = multiprocessing.get_context("fork")
    answer, told = context.Pipe(duplex=False)
    process = context.Process(target=_limited, args=(work, limit, told))
    process.start()
    told.close()
    process.join(10 * limit)  # it may wait, which takes no CPU seconds
    if process.is_alive():
        process.kill()
        process.join()
        return "time"
    code = process.exitcode or 0
    if code < 0:
        return "time" if code == -signal.SIGXCPU else signal.Signals(-code).name
    try:
        return str(answer.recv()) if code else None
    except EOFError:  # it told nothing
        return f"exit {code}"


def _limited(work: Work, limit: int, told: multiprocessing.connection.Connection) -> None:
    torch.set_num_threads(1)  # the threads of the parent are not in this process
    page = resource.getpagesize()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * page
    free = os.sysconf("SC_AVPHYS_PAGES") * page
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (used + free, used + free))
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
    try:
        work()
    except Exception as error:
        memory = isinstance(error, MemoryError) or "allocate memory" in str(error)
        told.send("memory" if memory else type(error).__name__)
        raise SystemExit(1) from None
