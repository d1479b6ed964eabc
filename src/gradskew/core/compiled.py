"""Compile passes over a wide float32 matrix, and run them on chunks of columns in as many threads as torch uses.

The chunks and the order in which their sums are added do not depend on the number of threads, and so the results do not
either. Functions are compiled on first use and kept on disk; a small federation does not wait for the compiler, as they
are used for wide matrices only: see rows.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from numba import njit

CHUNK = 1 << 16  # most columns of one call
ENTRIES = 1 << 19  # of a chunk at least: fewer take less time than the call


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function on first use and keep the machine code on disk, if a folder can be written."""
    flags = {"reassoc", "contract", "nsz"}
    try:
        made: Callable[..., Any] = njit(nogil=True, fastmath=flags, cache=True)(function)
    except RuntimeError:  # none can
        made = njit(nogil=True, fastmath=flags)(function)
    return made


def over_columns(shape: tuple[int, ...], work: Callable[[int, int], Any]) -> Iterator[Any]:
    """Yield the results of work(start, stop) on chunks of the columns of a matrix (n, d), in order.

    Use each before the next: together they may be as large as the rows. Threads are started for several chunks only.
    """
    n, d = shape
    step = min(CHUNK, max(-(-d // 8), ENTRIES // n))
    starts = range(0, d, step)
    threads = min(torch.get_num_threads(), len(starts))
    if threads == 1:
        yield from (work(start, min(start + step, d)) for start in starts)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(lambda start: work(start, min(start + step, d)), starts)
