"""Import users' objects from their paths `package.module:name`, within a time limit."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import operator
import os
import re
import shlex
import signal
import site
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import InputError
from .grammar import split_prefix

LIMIT = 60.0  # time limit of an import or a call, in seconds
PLACE = "place"  # the attribute of an error from another process
ROOTS = (*map(sysconfig.get_path, ("stdlib", "purelib", "platlib")), site.getusersitepackages())
INSTALLED = (
    "<",
    *(f"{root}{os.sep}" for root in (*ROOTS, Path(__file__).parents[1])),
)  # how paths begin that are no user's
AGAIN = 1.0  # seconds until the signal is repeated, for a block that has caught its exception


def is_path(name: str) -> bool:
    """Return whether a name, with or without options, is a path `package.module:name`, not a prefix and a file."""
    return ":" in name.partition("(")[0] and not split_prefix(name)[0]


def import_object(path: str, kind: str) -> Any:
    """Import and return the object at a path; the current folder is searched too, as under `python -m`.

    kind: the word for the object in messages. Raises InputError for whatever goes wrong.
    """
    name, _, attribute = path.strip().partition(":")
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.insert(0, os.getcwd())  # not removed: worker processes get this path, and import the module again
    try:
        with time_limit(LIMIT):
            return operator.attrgetter(attribute)(importlib.import_module(name))
    except (Exception, SystemExit) as error:  # whatever a user's module raises
        raise InputError(f"cannot import the {kind} {path!r} (package.module:function): {one_line(error)}") from error


def is_importable(item: Any) -> bool:
    """Return whether the module of a class or function has this very object under its name."""
    try:
        return operator.attrgetter(item.__qualname__)(sys.modules.get(item.__module__)) is item
    except AttributeError:
        return False


def in_session(item: Any) -> bool:
    """Return whether a class or function was typed in a notebook or at a prompt, so that no file defines it."""
    try:
        return getattr(item, "__module__", "") == "__main__" and not os.path.exists(inspect.getfile(item))
    except (OSError, TypeError):  # a class of a `__main__` without a file
        return True


def registered(kind: str) -> dict[str, str]:
    """Return the entry points that installed packages register under `gradskew.<kind>s`: path by name."""
    points = importlib.metadata.entry_points(group=f"gradskew.{kind}s")
    return {entry.name.lower().replace("-", "_"): f"{entry.module}:{entry.attr}" for entry in reversed(list(points))}


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError if the block takes longer than `seconds`. No limit outside the main thread.

    It ends Python code only, not a call of compiled code. Inside the block it is a BaseException, so that no
    `except Exception` catches it. A block within another ends with that one's limit, too.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def expire(*_: object) -> None:
        raise _Expired

    handler, start = signal.signal(signal.SIGALRM, expire), time.monotonic()
    outer, again = signal.getitimer(signal.ITIMER_REAL)
    signal.setitimer(signal.ITIMER_REAL, min(seconds, outer or seconds), AGAIN)
    try:
        yield
    except _Expired:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if outer:
            signal.setitimer(signal.ITIMER_REAL, max(outer - (time.monotonic() - start), 1e-6), again)


class _Expired(BaseException):
    """Raised in the block of `time_limit` by the signal handler."""


def shell_command(*words: str) -> str:
    """Return a command as text for the shell of this system: words with spaces or signs are quoted."""
    if os.name != "nt":
        return shlex.join(words)
    return " ".join(f'"{word}"' if re.search(r"[^\w.:\\/-]", word) else word for word in words)


def pip_install(requirement: str, *options: str) -> str:
    """Return the command that installs a package for the Python that runs now."""
    return shell_command(sys.executable, "-m", "pip", "install", *options, requirement)


def import_extra(module: str, extra: str, wanted: str) -> Any:
    """Import and return a module of an optional package; InputError with the command that installs the extra.

    wanted: what needs the package, for the message.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise InputError(f"{wanted} needs the package {package}: {pip_install(f'gradskew[{extra}]')}") from None


def one_line(error: BaseException) -> str:
    """Return an error's type and message as one line of at most 300 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


def with_place(error: BaseException) -> str:
    """Return an error's type and message as one line, with the place in a user's code: see `place_of`."""
    place = place_of(error)
    return one_line(error) + (f" ({place})" if place else "")


def place_of(error: BaseException) -> str:
    """Return the last line of a user's code that an error passed, as text: `rules.py, line 7`; "" for none.

    A user's code is what is neither gradskew nor installed. An error from another process has it as an attribute.
    """
    passed = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    own = [f"{Path(file).name}, line {line}" for file, line in passed if not file.startswith(INSTALLED)]
    return own[-1] if own else str(getattr(error, PLACE, ""))
