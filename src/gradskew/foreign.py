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
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is no file, but a link, a folder or a pipe")
    if status.st_size > most:
        raise ValueError("it is too large")
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # in case it is something else by now
    with open(path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
        return file.read(most)
