"""Import of users' objects by their paths `package.module:name`, within a time limit."""

from __future__ import annotations

import importlib
import importlib.metadata
import operator
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .errors import InputError
from .grammar import split_prefix

LIMIT = 60.0  # seconds that an import or a call may take
AGAIN = 1.0  # seconds after which a call that has caught the signal gets it once more


def is_path(name: str) -> bool:
    """Whether a name, with or without options, is a path, and not a file behind a prefix such as `npz:`."""
    return ":" in name.partition("(")[0] and not split_prefix(name)[0]


def import_object(path: str, kind: str) -> Any:
    """Import the object at a path, as under `python -m` with the current folder; InputError if that fails.

    kind: what the object is, for the message.
    """
    name, _, attribute = path.strip().partition(":")
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.insert(0, os.getcwd())  # stays: worker processes import the module again
    try:
        with time_limit(LIMIT):
            return operator.attrgetter(attribute)(importlib.import_module(name))
    except (Exception, SystemExit) as error:  # whatever a user's module raises
        raise InputError(f"cannot import the {kind} {path!r} (package.module:function): {one_line(error)}") from error


def registered(kind: str) -> dict[str, str]:
    """Return the names that installed packages register as entry points of `gradskew.<kind>s`, with their paths."""
    points = importlib.metadata.entry_points(group=f"gradskew.{kind}s")
    return {entry.name.lower().replace("-", "_"): f"{entry.module}:{entry.attr}" for entry in reversed(list(points))}


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError if the block takes longer, in seconds; not outside the main thread, nor in compiled code.

    The block itself sees a BaseException, which its `except Exception` does not catch.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def expire(*_: object) -> None:
        raise _Expired

    handler = signal.signal(signal.SIGALRM, expire)
    before = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    except _Expired:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, *before)
        signal.signal(signal.SIGALRM, handler)


class _Expired(BaseException):
    """The signal of `time_limit`."""


def one_line(error: BaseException) -> str:
    """Return an error's type and message as one line of at most 300 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
