"""One run, played by one process: its lock, its checkpoints, and what is left of it if it is stopped."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from enum import IntEnum
from typing import NoReturn

from ..core.errors import warn
from ..core.importing import one_line
from ..core.machine import reset_peak
from ..federation.rounds import simulate
from ..federation.run import Run
from ..federation.snapshot import Snapshot, Unfit
from .lease import Lease
from .store import Store

EVERY = 30.0  # seconds between two checkpoints of a run
RARELY = 50  # times as long as one takes there is none: a large one on a slow disk costs at most 2 %


class Played(IntEnum):
    """What became of a run: another process plays it, this one has played it, or it was stored by then."""

    ELSEWHERE = 0
    HERE = 1
    BEFORE = 2


Outcomes = Generator[tuple[Run, Played | Exception], None, None]


def play(run: Run, store: Store, on_round: Callable[[], None], wait: bool = True) -> Played:
    """Play a run from its last checkpoint on, and store it; a checkpoint is left where it is stopped.

    wait: until another process that plays it has ended; what it has stored by then is not played again.
    """
    with store.owned(run.digest, wait=wait) as lease:
        if lease is None:
            return Played.ELSEWHERE
        if store.load(run.digest) is not None:
            store.tidy(run.digest)  # of a process that was killed after it had stored the run
            return Played.BEFORE
        _play_alone(run, store, lease, on_round)
        return Played.HERE


def _play_alone(run: Run, store: Store, lease: Lease, on_round: Callable[[], None]) -> None:
    global _keeper
    run.check_code()
    keeper = _keeper = Keeper(store, run.digest, lease)
    reset_peak()
    try:
        try:
            result = simulate(run, on_round=on_round, start=keeper.last, keep=keeper)
        except Unfit as error:
            store.refuse_checkpoint(run.digest, error)
            keeper.start_anew()
            result = simulate(run, on_round=on_round, keep=keeper)
        store.save(result, keeper.seconds)
    except (KeyboardInterrupt, SystemExit):
        keeper.write()
        raise
    finally:
        _keeper = None
    store.tidy(run.digest)


class Keeper:
    """Holds the last snapshot of a run, and stores it now and then."""

    def __init__(self, store: Store, digest: str, lease: Lease | None = None):
        self.store, self.digest, self.lease = store, digest, lease
        self.last = store.load_checkpoint(digest)
        self.before = self.last.seconds if self.last else 0.0
        self.started = self.written = time.perf_counter()
        self.cost = 0.0  # seconds that the last checkpoint took
        self.writing = False

    def start_anew(self) -> None:
        """The stored snapshot was of no use."""
        self.last, self.before = None, 0.0

    @property
    def seconds(self) -> float:
        """What the run has taken, before it was stopped and since."""
        return self.before + time.perf_counter() - self.started

    def __call__(self, snapshot: Snapshot) -> None:
        self.last = snapshot
        if time.perf_counter() - self.written >= max(EVERY, RARELY * self.cost):
            self.write()

    def write(self) -> None:
        """Store the last snapshot; where that is impossible, say so: the run goes on."""
        started = self.written = time.perf_counter()
        if self.last is None:
            return
        self.writing = True
        try:
            self.store.save_checkpoint(self.digest, replace(self.last, seconds=self.seconds))
        except Exception as error:  # also of torch or safetensors, for what a user's code remembers
            why = error if isinstance(error, (OSError, ValueError)) else one_line(error)
            warn(f"gradskew: no checkpoint of {self.digest[:12]}: {why}")
        finally:
            self.cost = time.perf_counter() - started
            self.writing = False
        if _stopped:
            self.leave()

    def leave(self) -> NoReturn:
        """End the process here and now; the run is free for others."""
        if self.lease is not None:
            self.lease.drop()
        os._exit(1)


_keeper: Keeper | None = None  # of the run that this process plays
_stopped = False  # in a worker: whether it was told to end while it wrote a checkpoint


def listen() -> None:
    """In a worker: if it is told to end, a checkpoint is left."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, _stop)


def _stop(*_: object) -> None:
    """Write the checkpoint here and now: an exception could come up anywhere."""
    global _stopped
    _stopped = True
    if _keeper is None:
        os._exit(1)
    if not _keeper.writing:  # else it ends when that is done
        _keeper.write()
        _keeper.leave()
