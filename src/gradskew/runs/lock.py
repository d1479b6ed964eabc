"""The lock of a run: of all processes on one host that share a store, one executes it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..core.files import open_untrusted

LOCK = "lock"


@contextmanager
def locked(runs: Path, digest: str, *, wait: bool = False) -> Iterator[bool]:
    """Lock a run for this process; False if another process has it.

    wait: until the other process has given it back. The kernel keeps the lock, on a byte of `runs/lock`, and releases
    it when the process ends, however that ends. It does not reach other hosts that share the folder, and some file
    systems have no locks: two processes may execute the same run there, to the same bits, and the first record stays.
    Lock one run at a time: a process that closes the file loses all of its locks.
    """
    runs.mkdir(parents=True, exist_ok=True)
    with open(runs / LOCK, "ab", opener=open_untrusted) as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB, 1, int(digest[:15], 16))
        except OSError as error:
            taken = isinstance(error, (BlockingIOError, PermissionError)) and not wait
            yield not taken
        else:
            yield True
