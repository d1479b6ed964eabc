"""Execute a grid of runs in several processes of this machine."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from ..core.errors import InputError, check, warn
from ..core.importing import PLACE, one_line, place_of
from ..federation.run import Run
from .child_process import describe_exit, end_with_parent, hold_signals
from .execution import TERMINATED, Outcomes, Status, execute
from .store import Store

POLL = 0.2  # seconds between two reports of a run's rounds
GRACE = 10.0  # seconds that a worker has to write its checkpoint after SIGTERM


def run_in_processes(runs: Sequence[Run], store: Store, size: int, on_rounds: Callable[[int], None]) -> Outcomes:
    """Execute the runs in `size` workers; yield each with its outcome, and report the number of rounds done.

    One lost worker breaks the pool. The runs in progress then continue last, from their checkpoints, in a new pool of
    half the size, as they may have run out of memory together. A run whose worker is lost again while no other run is
    in progress fails. on_rounds: is called several times a second.
    """
    waiting = deque((run, False) for run in runs)  # (run, whether to wait for another process that executes it)
    lost: set[str] = set()
    rounds, begun, pool = 0, False, _Pool(store, size)
    try:
        while waiting or pool.running:
            while waiting and len(pool.running) < pool.size and not pool.broken:
                run, wait = waiting.popleft()
                try:
                    pickled = pickle.dumps((run, wait))
                except Exception as error:  # pickle's, or that of a user's code
                    why = f"it cannot be sent to a worker ({one_line(error)}); workers = 1 runs it here"
                    yield run, InputError(why)
                    continue
                if not pool.submit(run, pickled):
                    waiting.appendleft((run, wait))
            for run, outcome in pool.completed():
                if outcome is Status.ELSEWHERE:
                    waiting.append((run, True))
                else:
                    rounds += run.rounds if outcome is Status.DONE else pool.rounds.get(run.digest, 0)
                    yield run, outcome
            begun |= bool(pool.rounds)
            on_rounds(rounds + sum(pool.rounds.get(run.digest, 0) for run in pool.running.values()))
            if pool.broken:
                in_progress, how = list(pool.running.values()), pool.stop()
                check(begun, f"a worker was lost ({how}) before any run had begun")
                for run in in_progress:
                    if pool.size == 1 and run.digest in lost:
                        yield run, InputError(f"its worker was lost ({how}), as before, though nothing else ran")
                    else:
                        waiting.append((run, False))
                        lost.add(run.digest)
                pool = _Pool(store, max(1, pool.size // 2))
                rest = f"what was in progress goes on last, {pool.size} at a time" if waiting else "no run is left"
                warn(f"gradskew: a worker was lost ({how}): {rest}")
    finally:
        pool.stop()


class _Pool:
    """A pool of workers, the runs that they execute, and the number of finished rounds of each run."""

    def __init__(self, store: Store, size: int):
        self.store, self.size = store, size
        self.context = _Context()
        self.reader, self.writer = self.context.Pipe(duplex=False)
        self.executor = ProcessPoolExecutor(size, self.context, _initialize, (self.writer,))
        self.running: dict[Future[bytes], Run] = {}
        self.rounds: dict[str, int] = {}  # digest of each run that has begun -> its finished rounds
        self.broken = False

    def submit(self, run: Run, pickled: bytes) -> bool:
        """Submit a run to the workers; return False if the pool is broken. pickled: (run, wait)."""
        try:
            with hold_signals():
                future = self.executor.submit(_execute, pickled, run.digest, self.store)
        except BrokenProcessPool:
            self.broken = True
            return False
        except (
            OSError,
            ValueError,
        ) as error:  # also where the executor closes its pipes, as a worker was lost, meanwhile
            self.broken = self.has_lost_worker()
            check(self.broken, f"cannot start a worker ({one_line(error)}): fewer workers need less")
            return False
        self.running[future] = run
        return True

    def completed(self) -> Iterator[tuple[Run, Status | Exception]]:
        """Wait POLL seconds at most; yield the finished runs with their outcomes, not the runs of a lost worker."""
        done = wait_for(self.running, POLL, FIRST_COMPLETED).done
        while self.reader.poll():
            digest, rounds = self.reader.recv()
            self.rounds[digest] = rounds
        for future in done:
            if isinstance(future.exception(), BrokenProcessPool):
                self.broken = True
                continue
            outcome: Status | Exception
            try:
                outcome = pickle.loads(future.result())
            except Exception as error:  # the worker's exception may be of a class that this process cannot import
                outcome = RuntimeError(f"the result of a worker cannot be read ({one_line(error)})")
            yield self.running.pop(future), outcome
        # The executor does not watch a worker that starts after the executor's last look at them: look at all of them.
        self.broken |= self.has_lost_worker()

    def has_lost_worker(self) -> bool:
        """Return whether a worker that was started has ended."""
        return bool(connection.wait([worker.sentinel for worker in self.context.workers if worker.pid is not None], 0))

    def stop(self) -> str:
        """End all workers, after checkpoints of the runs in progress; return how a worker was lost, as text.

        An interrupt kills them at once, without checkpoints.
        """
        workers = [worker for worker in self.context.workers if worker.pid is not None]
        codes: list[int | None] = []
        try:
            if self.running:
                for worker in workers:
                    worker.terminate()
                _join(workers, GRACE)
            else:
                self.executor.shutdown()
            codes = [worker.exitcode for worker in workers]
        finally:
            for worker in workers:
                worker.kill()
            self.executor.shutdown()
            for worker in workers:
                worker.release()
            for pipe in (self.reader, self.writer):
                pipe.close()
            self.context.workers.clear()
            self.running.clear()
        by_itself = [code for code in codes if code not in (None, TERMINATED, -signal.SIGTERM)]
        how = describe_exit(min(by_itself, default=-signal.SIGTERM))
        return f"{how}: out of memory?" if how == "SIGKILL" else how


def _join(workers: Sequence[_Worker], seconds: float) -> None:
    """Wait until the workers have ended, or for `seconds`."""
    deadline = time.monotonic() + seconds
    while (left := [worker for worker in workers if worker.is_alive()]) and time.monotonic() < deadline:
        connection.wait([worker.sentinel for worker in left], max(0.0, deadline - time.monotonic()))


class _Worker(SpawnProcess):
    """A process whose sentinel signals its end even if a child of its own lives on and holds its pipes open."""

    descriptor: int | None = None

    def start(self) -> None:
        super().start()
        if sys.platform == "linux" and self.pid is not None:
            with suppress(OSError):
                self.descriptor = os.pidfd_open(self.pid)

    @property
    def sentinel(self) -> int:
        return super().sentinel if self.descriptor is None else self.descriptor

    def release(self) -> None:
        """Close the file descriptor of the process."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


class _Context(SpawnContext):
    """A spawn context that lists its processes. A fork would copy torch's threads in an unknown state."""

    def __init__(self) -> None:
        super().__init__()
        self.workers: list[_Worker] = []

    def Process(self, *, target: Callable[..., object], args: tuple[Any, ...]) -> _Worker:  # type: ignore[override]
        self.workers.append(_Worker(target=target, args=args))
        return self.workers[-1]


_progress: Connection | None = None  # in a worker: for the digest of its run and the number of finished rounds


def _initialize(progress: Connection) -> None:
    """Set up a worker process before its first run."""
    global _progress
    _progress = progress
    end_with_parent()


def _execute(pickled: bytes, digest: str, store: Store) -> bytes:
    """Execute a pickled (run, wait) in a worker, report its rounds, and return its outcome, pickled."""
    assert _progress is not None
    rounds, reported = 0, time.monotonic()
    _progress.send((digest, 0))

    def on_round(metrics: dict[str, Any]) -> None:
        nonlocal rounds, reported
        rounds += 1
        if time.monotonic() - reported >= POLL:
            reported = time.monotonic()
            _progress.send((digest, rounds))

    outcome: Status | Exception
    try:
        run, wait = pickle.loads(pickled)
    except Exception as error:
        need = "what it needs belongs into a module, or workers = 1"
        return pickle.dumps(InputError(f"a worker cannot load it ({one_line(error)}): {need}"))
    try:
        outcome = execute(run, store, on_round=on_round, wait=wait, in_worker=True)
    except (SystemExit, KeyboardInterrupt) as error:  # raised by a user's code
        outcome = InputError(f"it ends the process that runs it ({one_line(error)})")
    except Exception as error:
        outcome = _portable(error)
        setattr(outcome, PLACE, place_of(error))
        outcome.add_note(f"In a worker:\n{traceback.format_exc()}")
    return pickle.dumps(outcome)


def _portable(error: Exception) -> Exception:
    """Return a copy of an error that can be pickled, without frames, which would keep the memory of the run."""
    with suppress(Exception):
        copy = pickle.loads(pickle.dumps(error))
        if isinstance(copy, Exception):
            return copy
    return RuntimeError(traceback.format_exception_only(error)[-1].strip())
