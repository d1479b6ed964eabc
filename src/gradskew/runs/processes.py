"""A grid of runs in several processes of this machine."""

from __future__ import annotations

import pickle
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Self

from ..core.errors import InputError, check, warn
from ..core.importing import one_line
from ..federation.run import Run
from .child_process import Child
from .play import Outcomes, Played, listen, play
from .store import Store

POLL = 0.2  # seconds between two looks at the progress
GRACE = 10.0  # seconds in which a worker that is stopped may write its checkpoint


class Lost(InputError):
    """The worker of a run has ended; the message is how. killed: it did not end by itself."""

    def __init__(self, how: str):
        super().__init__(f"{how}: out of memory?" if how == "SIGKILL" else how)
        self.killed = how in ("SIGKILL", "SIGTERM")


def play_in_processes(runs: Sequence[Run], store: Store, size: int, tell: Callable[[int, int], None]) -> Outcomes:
    """Play each run in one of at most `size` workers.

    A run whose worker is lost comes last, when nothing else runs: together they may have taken too much memory.
    """
    queue = deque((run, False) for run in runs)  # each with whether to wait for another process that plays it
    alone = deque[tuple[Run, bool]]()
    lost: set[str] = set()
    done = rounds = 0
    with _Crew(store) as crew:
        while True:
            while queue and len(crew.playing) < size:
                worker, (run, wait) = crew.free(), queue.popleft()
                try:
                    worker.take(run, wait)
                except Exception as error:  # pickle's, or of what it calls
                    done += 1
                    yield (
                        run,
                        InputError(f"it cannot be sent to a worker ({one_line(error)}); workers = 1 plays it here"),
                    )
            if alone and not crew.playing:
                crew.stop()  # idle ones hold memory
                crew.free().take(*alone.popleft())
            tell(done, rounds + sum(worker.rounds for worker in crew.playing))
            if not crew.playing:
                return
            for run, played, outcome in crew.ended():
                if isinstance(outcome, Lost) and run.digest not in lost:
                    from_outside = outcome.killed and len(lost) < size  # else none would ever start
                    check(crew.heard or from_outside, f"a worker was lost ({outcome}) before any run had begun")
                    warn(f"gradskew: a worker was lost ({outcome}): its run comes last, when nothing else runs")
                    lost.add(run.digest)
                    alone.append((run, False))
                elif isinstance(outcome, Lost):
                    done += 1
                    yield run, InputError(f"its worker was lost ({outcome}), as before, though nothing else ran")
                elif outcome is Played.ELSEWHERE:  # it comes last
                    (alone if run.digest in lost else queue).append((run, True))
                else:
                    done += 1
                    rounds += played
                    yield run, outcome


class _Worker(Child):
    """A process that plays one run at a time. run: the one that it plays; rounds: how many of it are done."""

    def __init__(self, store: Store):
        super().__init__(_serve, store)
        self.run: Run | None = None
        self.rounds = 0
        self.heard = False  # whether it has said anything

    def take(self, run: Run, wait: bool) -> None:
        """Play this one. Raises what pickle does."""
        words = pickle.dumps((run, wait))
        with suppress(OSError):  # it has ended: `hear` will tell
            self.pipe.send_bytes(words)
        self.run, self.rounds = run, 0

    def hear(self) -> Played | Exception | None:
        """What became of its run; None as long as it plays."""
        alive = self.process.is_alive()  # its children may hold the pipe open; what it said before is heard first
        try:
            if not self.pipe.poll():
                return None if alive else Lost(self.ending())
            words = self.pipe.recv_bytes()
        except (EOFError, OSError):
            return Lost(self.ending())
        self.heard = True
        outcome: Played | Exception | None
        try:
            self.rounds, outcome = pickle.loads(words)
        except Exception as error:  # of what the run raised there, and is not known here
            outcome = RuntimeError(f"what a worker says cannot be read ({one_line(error)})")
        return outcome


class _Crew:
    """Workers, started when there is a run for them."""

    def __init__(self, store: Store):
        self.store = store
        self.workers: list[_Worker] = []
        self.heard = False  # whether any of them has said anything

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Those that play write their checkpoints, all end. Where this is interrupted, they end at once."""
        deadline = time.monotonic() + GRACE
        try:
            for worker in self.workers:
                if worker.run is None:
                    worker.pipe.close()
                else:
                    worker.process.terminate()
            for worker in self.workers:
                worker.process.join(max(0.0, deadline - time.monotonic()))
        finally:
            for worker in self.workers:
                worker.end()  # one that computes too long to listen has its last checkpoint
            self.workers.clear()

    @property
    def playing(self) -> list[_Worker]:
        return [worker for worker in self.workers if worker.run is not None]

    def free(self) -> _Worker:
        """A worker without a run, started if there is none."""
        for worker in self.workers:
            if worker.run is None:
                return worker
        try:
            self.workers.append(_Worker(self.store))
        except OSError as error:
            raise InputError(f"cannot start a worker ({one_line(error)}): fewer workers need less") from error
        return self.workers[-1]

    def ended(self) -> Iterator[tuple[Run, int, Played | Exception]]:
        """Listen for a while: the runs that end, with their rounds and what became of them."""
        wait([worker.pipe for worker in self.playing], POLL)
        for worker in self.playing:
            run, outcome = worker.run, worker.hear()
            self.heard |= worker.heard
            if run is None or outcome is None:
                continue
            if isinstance(outcome, Lost):
                self.workers.remove(worker)
                worker.end()
            worker.run = None
            yield run, worker.rounds, outcome


def _serve(pipe: Connection, store: Store) -> None:
    """In a worker: play the runs that come, until the parent closes the pipe."""
    listen()
    with suppress(EOFError, OSError):
        while True:
            last = _play(pipe.recv_bytes(), pipe, store)
            pipe.send_bytes(pickle.dumps(last))


def _play(words: bytes, pipe: Connection, store: Store) -> tuple[int, Played | Exception]:
    """Play a run and tell its rounds now and then; returns how many, and what became of it."""
    rounds, told = 0, time.monotonic()
    pipe.send_bytes(pickle.dumps((rounds, None)))

    def on_round() -> None:
        nonlocal rounds, told
        rounds += 1
        if time.monotonic() - told >= POLL:
            told = time.monotonic()
            pipe.send_bytes(pickle.dumps((rounds, None)))

    try:
        run, wait = pickle.loads(words)
    except Exception as error:
        need = "what it needs belongs into a module, or workers = 1"
        return rounds, InputError(f"a worker cannot load it ({one_line(error)}): {need}")
    outcome: Played | Exception
    try:
        outcome = play(run, store, on_round, wait)
    except SystemExit as error:  # of a user's code: told to end, a worker does not come back here
        outcome = InputError(f"it ends the process that plays it ({one_line(error)})")
    except Exception as error:
        outcome = _portable(error)
        outcome.add_note(f"In a worker:\n{traceback.format_exc()}")
    return rounds, outcome


def _portable(error: Exception) -> Exception:
    """What can be sent of an error; it holds no frames, and so no memory of the run."""
    with suppress(Exception):
        copy = pickle.loads(pickle.dumps(error))
        if isinstance(copy, Exception):
            return copy
    return RuntimeError(traceback.format_exception_only(error)[-1].strip())
