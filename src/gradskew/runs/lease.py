"""Who plays a run, of all processes that share a store: a lock of the kernel on one host, a lease between hosts.

The lock ends with its process, however that ends. Where a folder is shared between hosts, locks may not reach the
others: there the owner keeps a file `lease` in the run's folder, and touches it as long as it lives.
"""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import secrets
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..core.files import open_untrusted

LEASE = 120.0  # seconds of silence after which an owner on another host counts as gone
BEAT = 20.0  # seconds between two signs of life
POLL = 1.0  # seconds between two looks at another host's lease
LOCK, FILE = "lock", "lease"
LONGEST = 500  # bytes of a lease


class Lease:
    """A file that says who plays the run in `folder`; it holds the owner's host and a token of its own."""

    def __init__(self, folder: Path, *, locked: bool):
        self.folder, self.path, self.locked = folder, folder / FILE, locked
        self.text = f"{host()}\n{secrets.token_hex(8)}\n"

    def take(self) -> bool:
        """Whether it is ours now: it was free, or its owner is gone."""
        self.folder.mkdir(exist_ok=True)
        mine = self.folder / f".{FILE}.{secrets.token_hex(8)}"
        try:
            mine.write_text(self.text)  # its time is told by whoever keeps the files, as in `_renew`
            now = mine.stat().st_mtime
            while not self._put(mine):
                found = self._look()
                if found is None:
                    continue  # given back in between
                if not self._abandoned(*found, now):
                    return False
                mine.replace(self.path)
                return self.held  # another one may have done the same
            return True
        except FileNotFoundError:
            return False  # whoever has finished the run has tidied up
        finally:
            mine.unlink(missing_ok=True)

    def _put(self, mine: Path) -> bool:
        """Make it appear whole, if there is none."""
        try:
            os.link(mine, self.path)
        except FileExistsError:
            return mine.stat().st_nlink == 2  # a file server may have heard us twice
        except FileNotFoundError:
            raise
        except OSError:  # a file system without hard links
            try:
                with self.path.open("x") as file:
                    file.write(self.text)
            except FileExistsError:
                return False
        return True

    def _look(self) -> tuple[str, float] | None:
        """What it says, and its owner's last sign of life; None if there is none. What is no file is set aside."""
        try:
            with open(
                self.path, errors="replace", opener=open_untrusted
            ) as file:  # it asks the server; a stat asks a cache
                status = os.fstat(file.fileno())
                if stat.S_ISREG(status.st_mode):
                    return file.read(LONGEST), status.st_mtime
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.EISDIR):
                raise
        self.path.rename(self.folder / f"{FILE}.damaged.{secrets.token_hex(4)}")
        return None

    def _abandoned(self, text: str, last: float, now: float) -> bool:
        """Whether its owner was on this host, where only it could hold the lock; or has been silent for too long."""
        return (self.locked and text.startswith(f"{host()}\n")) or now - last > LEASE

    @property
    def held(self) -> bool:
        """Whether it is still ours: an owner that was silent for too long may have lost it."""
        found = self._look()
        return found is not None and found[0] == self.text

    def _renew(self) -> bool:
        """Give a sign of life, if it is still ours.

        It is written: to set a file's time, some file systems (sshfs) send the host's own. Should another take it over
        in this moment, it is written into what was the file when it was opened.
        """
        try:
            with open(self.path, "r+", errors="replace", opener=open_untrusted) as file:
                if file.read(LONGEST) != self.text:
                    return False
                file.seek(0)
                file.write(self.text)
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Inside, a thread gives signs of life."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(BEAT):
                with suppress(OSError):  # of a moment: it goes on
                    if not self._renew():
                        return

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def drop(self) -> None:
        """Give it back; where that fails, silence will."""
        with suppress(OSError):
            if self.held:
                self.path.unlink()


@contextmanager
def owned(runs: Path, digest: str, *, wait: bool = False) -> Iterator[Lease | None]:
    """The lease of a run, if this process alone may play it; None if another one plays it.

    wait: until whoever plays it now has ended. One run at a time: a process that closes the file of locks loses all.
    """
    runs.mkdir(parents=True, exist_ok=True)
    with open(runs / LOCK, "ab", opener=open_untrusted) as file:
        locked = _lock(file.fileno(), int(digest[:15], 16), wait)
        lease = Lease(runs / digest, locked=locked is True)
        if locked is False or not _taken(lease, wait):
            yield None
            return
        try:
            with lease.beating():
                yield lease
        finally:
            lease.drop()


def _taken(lease: Lease, wait: bool) -> bool:
    while not lease.take():
        if not wait:
            return False
        time.sleep(POLL)
    return True


def silent(path: Path) -> bool:
    """Whether a lease has shown no sign of life for too long, by the clock of the file server."""
    last = path.stat().st_mtime
    if time.time() - last <= LEASE:  # else it is worth to ask
        return False
    mine = path.with_name(f".{FILE}.{secrets.token_hex(8)}")
    try:
        mine.write_text("now")
        return mine.stat().st_mtime - last > LEASE
    finally:
        mine.unlink(missing_ok=True)


def _lock(file: int, byte: int, wait: bool) -> bool | None:
    """Whether the byte of the file is locked now for this process; None where the file system has no locks."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
    except OSError as error:
        taken = isinstance(error, (BlockingIOError, PermissionError)) and not wait
        return False if taken else None
    return True


def host() -> str:
    """What names this machine since its last start: as far as that, the kernel's locks reach."""
    boot = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{platform.node()} {boot}"
