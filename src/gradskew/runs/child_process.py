"""Child processes that ignore Ctrl-C and end when this process ends."""

from __future__ import annotations

import ctypes
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from typing import Any

JOIN = 10.0  # seconds to wait for the end of a process that has closed its pipe
PR_SET_PDEATHSIG = 1  # option of Linux's prctl: the signal for this process when the parent's thread ends


class Child:
    """A process that calls `target(connection, *args)`, ignores Ctrl-C and ends with its parent.

    pipe: the parent's end of the connection.
    """

    def __init__(self, target: Callable[..., None], *args: object, daemon: bool = False):
        context = multiprocessing.get_context("spawn")  # a fork would copy torch's threads in an unknown state
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_begin, args=(target, theirs, *args), daemon=daemon)
        try:
            with hold_signals():
                self.process.start()
        except BaseException:
            self.end()
            raise
        finally:
            theirs.close()

    def ending(self) -> str:
        """Return how the process has ended, as text, after it has closed the pipe."""
        self.process.join(JOIN)
        code = self.process.exitcode
        return "it talks no more" if code is None else describe_exit(code)

    def end(self) -> None:
        """Kill the process and close the pipe."""
        if self.process.pid is not None:  # None if the start failed
            self.process.kill()
            self.process.join()
        self.pipe.close()


def _begin(target: Callable[..., None], *args: object) -> None:
    end_with_parent()
    target(*args)


def describe_exit(code: int) -> str:
    """Return the name of the signal that ended a process, or its exit status, as text.

    >>> describe_exit(-9), describe_exit(1)
    ('SIGKILL', 'exit status 1')
    """
    with suppress(ValueError):  # of the real-time signals, only the first and the last have names
        return signal.Signals(-code).name
    return f"exit status {code}" if code >= 0 else f"signal {-code}"


def end_with_parent() -> None:
    """End this child process when its parent ends: from a thread, or on Linux by SIGKILL, even in compiled code."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def hold_signals() -> Iterator[None]:
    """Defer SIGINT and SIGTERM until the end of the block; a process that starts in it inherits that SIGINT is blocked.

    Handlers collect the signals, since blocking them in this thread would leave them to other threads.
    """
    resource_tracker.ensure_running()  # before the block, which its start would undo
    held: list[int] = []
    main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGINT, signal.SIGTERM) if main else ()
    handlers: dict[int, Any] = {
        number: signal.signal(number, lambda number, _: held.append(number)) for number in numbers
    }
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
        for number in held:
            signal.raise_signal(number)
