"""Execute one run in this process: lock it, take checkpoints, store the record."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from enum import IntEnum
from typing import Any

from ..core.errors import warn
from ..core.importing import one_line
from ..core.machine import reset_peak
from ..federation.run import Run
from ..federation.simulation import simulate
from ..federation.snapshot import Snapshot, Unfit
from .store import Store

INTERVAL = 30.0  # seconds between two checkpoints of a run
COST_FACTOR = 50  # the interval is at least this multiple of a checkpoint's time, so that checkpoints cost at most 2 %
TERMINATED = 128 + signal.SIGTERM  # exit status of a worker that ends on SIGTERM


class Status(IntEnum):
    """The outcome of `execute`: another process executes the run, this process has executed it, or it was stored."""

    ELSEWHERE = 0
    DONE = 1
    STORED = 2


Outcomes = Generator[tuple[Run, Status | Exception], None, None]
OnRound = Callable[[dict[str, Any]], None]


def execute(run: Run, store: Store, *, on_round: OnRound, wait: bool = False, in_worker: bool = False) -> Status:
    """Execute a run from its last checkpoint on and store its record; store a checkpoint on Ctrl-C.

    wait: if another process executes the run, wait for it instead of returning ELSEWHERE. in_worker: on SIGTERM, store
    a checkpoint and end the process.
    """
    with store.locked(run.digest, wait=wait) as acquired:
        if not acquired:
            return Status.ELSEWHERE
        if store.load(run.digest) is not None:
            store.tidy(run.digest)  # a process that was killed may have left a checkpoint beside the record
            return Status.STORED
        run.check_code()
        checkpointer = Checkpointer(store, run.digest)
        if in_worker:
            signal.signal(signal.SIGTERM, checkpointer.terminate)
        try:
            _execute_locked(run, store, checkpointer, on_round)
        finally:
            if in_worker:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
        return Status.DONE


def _execute_locked(run: Run, store: Store, checkpointer: Checkpointer, on_round: OnRound) -> None:
    reset_peak()
    try:
        try:
            result = simulate(run, on_round=on_round, start=checkpointer.last, on_snapshot=checkpointer)
        except Unfit as error:
            store.refuse_checkpoint(run.digest, error)
            checkpointer.start_anew()
            result = simulate(run, on_round=on_round, on_snapshot=checkpointer)
        store.save(result, checkpointer.seconds)
    except (KeyboardInterrupt, SystemExit):
        checkpointer.write()
        raise
    store.tidy(run.digest)


class Checkpointer:
    """Keeps the last snapshot of a run, and stores it as a checkpoint about every half minute."""

    def __init__(self, store: Store, digest: str):
        self.store, self.digest = store, digest
        self.last = store.load_checkpoint(digest)
        self.before = self.last.seconds if self.last else 0.0
        self.started = self.written = time.perf_counter()
        self.cost = 0.0  # seconds that the last checkpoint took
        self.writing = self.terminated = False

    def start_anew(self) -> None:
        """Drop the snapshot of the stored checkpoint."""
        self.last, self.before = None, 0.0

    @property
    def seconds(self) -> float:
        """The seconds that the run has taken, including those before its last checkpoint was loaded."""
        return self.before + time.perf_counter() - self.started

    def __call__(self, snapshot: Snapshot) -> None:
        """Keep the snapshot of a round; the `on_snapshot` of `simulate`."""
        self.last = snapshot
        if time.perf_counter() - self.written >= max(INTERVAL, COST_FACTOR * self.cost):
            self.write()

    def write(self) -> None:
        """Store the last snapshot; warn if that fails, as the run can go on without a checkpoint."""
        started = self.written = time.perf_counter()
        self.writing = True
        try:
            if self.last is not None:
                self.store.save_checkpoint(self.digest, replace(self.last, seconds=self.seconds))
        except Exception as error:  # torch or safetensors may raise on the state of a user's code
            why = error if isinstance(error, (OSError, ValueError)) else one_line(error)
            warn(f"gradskew: no checkpoint of {self.digest[:12]}: {why}")
        finally:
            self.cost = time.perf_counter() - started
            self.writing = False
        if self.terminated:
            os._exit(TERMINATED)

    def terminate(self, *_: object) -> None:
        """Store the last snapshot and end the process: a handler of SIGTERM.

        It does not raise an exception, which a user's code might catch.
        """
        self.terminated = True
        if not self.writing:  # otherwise `write` ends the process after the checkpoint
            self.write()
