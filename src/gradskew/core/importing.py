"""Objects of others at paths `package.module:name`: imported, and called within a time limit."""

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
    """Return the object at a path; InputError if it cannot be imported. As under `python -m`, the current folder counts."""
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
    """TimeoutError after so many seconds; without a limit outside the main thread, or inside compiled code.

    What runs inside may catch exceptions: the signal comes as none that `except Exception` would catch.
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
    """The time is up."""


def one_line(error: BaseException) -> str:
    """An error as one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
