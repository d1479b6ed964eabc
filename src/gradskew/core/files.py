"""Reading untrusted files, and writing files atomically."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any


def is_sha256(value: Any) -> bool:
    """Return whether a value is a SHA-256 in lower-case hexadecimal."""
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def read(path: Path, max_bytes: int) -> bytes:
    """Read an untrusted file.

    ValueError if it is larger than max_bytes, or if it is a link, a folder or a pipe. OSError if it does not exist, or
    if its folder is a link.
    """
    if path.parent.is_symlink():
        raise OSError(errno.ELOOP, "it is a link, not a folder", str(path.parent))
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a file, but a link, a folder or a pipe")
    if status.st_size > max_bytes:
        raise ValueError("it is too large")
    with open(path, "rb", opener=open_untrusted) as file:  # the file may have been replaced since
        return file.read(max_bytes)


def open_untrusted(path: str, flags: int) -> int:
    """Open a file for `open(opener=...)` without following a link or waiting for the other end of a pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents, and have them on disk, so that they survive a power cut."""
    if not folder.parent.exists():
        make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent)  # also if another process has made the folder


def why_not_writable(folder: Path) -> str:
    """Return why a folder, or the nearest parent that there is, cannot be written; "" if it can. Makes nothing."""
    for path in (folder, *folder.absolute().parents):
        try:
            status = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            return str(error.strerror)
        if not path.is_dir():
            return f"{str(path)!r} is {'a broken link' if stat.S_ISLNK(status.st_mode) else 'no folder'}"
        return "" if os.access(path, os.W_OK | os.X_OK) else f"{str(path)!r} is read-only"
    return ""


def write(path: Path, content: str | bytes, *, first: bool = False) -> bool:
    """Write a file atomically and return True: readers see the old content or the new, never a part.

    A full disk or a power cut leaves the old content. first: if the file exists, leave it and return False.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        placed = _link(temporary, path) if first else None
        if placed is None:
            temporary.replace(path)
        _sync(path.parent)
        return placed is not False
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)  # which a full disk does not say
        raise


def _link(temporary: Path, path: Path) -> bool | None:
    """Rename a file and return True; False if the name is taken; None if the file system has no hard links."""
    try:
        os.link(temporary, path)
        placed = True
    except FileExistsError:
        placed = False
    except FileNotFoundError:
        raise
    except OSError:
        return None
    temporary.unlink()
    return placed


def _sync(folder: Path) -> None:
    """Have the names in a folder written to disk, if the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
