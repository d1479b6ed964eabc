"""Processes that work for this one, and that it talks to through a pipe."""

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

END = 10.0  # seconds in which a process that has closed its pipe ends
PR_SET_PDEATHSIG = 1  # of Linux: which signal comes when the parent's thread ends


class Child:
    """A process that carries out `target(its end of the pipe, *args)`. Ctrl-C does not reach it; it ends with ours."""

    def __init__(self, target: Callable[..., None], *args: object, daemon: bool = False):
        context = multiprocessing.get_context("spawn")  # a fork would copy torch's threads in an unknown state
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_begin, args=(target, theirs, *args), daemon=daemon)
        try:
            with _uninterrupted():
                self.process.start()
        except BaseException:
            self.end()
            raise
        finally:
            theirs.close()

    def ending(self) -> str:
        """How it ended, where the pipe tells that it did."""
        self.process.join(END)
        code = self.process.exitcode
        if code is None:
            return "it talks no more"
        with suppress(ValueError):  # of those for real time, only the first and the last have names
            return signal.Signals(-code).name
        return f"exit status {code}" if code >= 0 else f"signal {-code}"

    def end(self) -> None:
        """Nothing is left of it."""
        if self.process.pid is not None:  # else it could not be started
            self.process.kill()
            self.process.join()
        self.pipe.close()


def _begin(target: Callable[..., None], *args: object) -> None:
    """In the child: if its parent is gone, it just ends. A thread sees to that; in compiled code, the system."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    target(*args)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait: they must not come while a process starts, which inherits that Ctrl-C is blocked.

    Blocking alone would not do, as any of the threads may take a signal.
    """
    resource_tracker.ensure_running()  # which lifts the block where it starts
    came: list[int] = []
    main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGINT, signal.SIGTERM) if main else ()
    handlers: dict[int, Any] = {
        number: signal.signal(number, lambda number, _: came.append(number)) for number in numbers
    }
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
        for number in came:
            signal.raise_signal(number)
