"""The lock of a run: at most one process on a host executes a run of a store."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..core.files import open_untrusted

LOCK = "lock"


@contextmanager
def locked(runs: Path, digest: str, *, wait: bool = False) -> Iterator[bool]:
    """Lock a run inside the block; yield False if another process holds the lock.

    wait: block until the other process releases it. The lock is the kernel's, on a byte of `runs/lock`; it is released
    when the process ends in any way. It does not reach other hosts that share the folder, nor file systems without
    locks: two processes may execute the same run there, with the same result, and the first record stays.
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
