"""Files of a store: read as what a stranger may have put there, written whole or not at all."""

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
    """Tell whether a value is a SHA-256 in lower-case hexadecimal."""
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def read(path: Path, most: int) -> bytes:
    """The content of a file; ValueError for one of more bytes than `most`, and for what is no file: a link, a pipe.

    OSError if there is none, or if its folder is a link.
    """
    if path.parent.is_symlink():
        raise OSError(errno.ELOOP, "it is a link, where a folder is wanted", str(path.parent))
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is no file, but a link, a folder or a pipe")
    if status.st_size > most:
        raise ValueError("it is too large")
    with open(path, "rb", opener=open_untrusted) as file:  # in case it is something else by now
        return file.read(most)


def open_untrusted(path: str, flags: int) -> int:
    """Opens without following a link, or waiting for the other end of a pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)


def make(folder: Path) -> None:
    """Make a folder, and those above it, if they are not there. A power cut takes none of these, nor the folder."""
    if not folder.parent.exists():
        make(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent)  # whoever made it


def write(path: Path, content: str | bytes, *, first: bool = False) -> bool:
    """Replace a file atomically: readers see the old content or the new, and a full disk or a power cut leaves the old.

    first: a file that is there already stays, and the answer is False.
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
            error.filename = str(path)  # of itself a full disk does not say where it is
        raise


def _link(temporary: Path, path: Path) -> bool | None:
    """Give a file its name unless another has it; None where the file system has no hard links."""
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
    """Have the names in the folder on disk, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
