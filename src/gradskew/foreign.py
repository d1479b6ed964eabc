"""Reading what a stranger may have put into a folder."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read(path: Path, most: int) -> bytes:
    """The content of a file; ValueError for one of more bytes than `most`, and for what is no file: a link, a pipe.

    OSError if there is none, or if its folder is a link.
    """
    if path.parent.is_symlink():
        raise OSError(errno.ELOOP, "it is a link, where a folder is wanted", str(path.parent))
    if path.is_symlink():
        raise ValueError("it is a link")
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # to open a pipe would wait for its writer
    with open(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no regular file")
        if status.st_size > most:
            raise ValueError("it is too large")
        return file.read(most)
