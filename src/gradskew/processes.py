"""A grid of runs in several processes of this machine."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import pickle
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Self

from .checks import InputError, check, say
from .spec import Run
from .store import Store
from .work import Outcomes, Played, listen, play

POLL = 0.2  # seconds between two looks at the progress
GRACE = 10.0  # seconds in which a worker that is stopped may write its checkpoint


def play_in_processes(runs: Sequence[Run], store: Store, size: int, tell: Callable[[int, int], None]) -> Outcomes:
    """Play each run in one of at most `size` workers.

    Runs whose worker is killed come last, one at a time: all at once may have taken too much memory.
    """
    queue, alone = deque((run, False) for run in runs), deque[tuple[Run, bool]]()
    killed: set[str] = set()
    done = rounds = 0
    twice = "its worker was killed, and again when nothing else ran (out of memory?)"
    with _Crew(store) as crew:
        while True:
            while queue and len(crew.playing) < size:
                run, wait = queue.popleft()
                try:
                    crew.idle().take(run, wait)
                except (pickle.PicklingError, AttributeError, TypeError) as error:
                    done += 1
                    yield run, InputError(f"it cannot be sent to a worker ({error}); workers = 1 plays it here")
            if alone and not crew.playing:
                crew.idle().take(*alone.popleft())
            tell(done, rounds + sum(worker.rounds for worker in crew.playing))
            if not crew.playing:
                return
            for run, played, outcome in crew.ended():
                if outcome is None and run.digest not in killed:
                    say("gradskew: a worker was killed (out of memory?): its run comes last, when nothing else runs")
                    killed.add(run.digest)
                    alone.append((run, False))
                elif outcome is Played.ELSEWHERE:  # it comes last
                    (alone if run.digest in killed else queue).append((run, True))
                else:
                    done += 1
                    rounds += played
                    yield run, InputError(twice) if outcome is None else outcome


class _Worker:
    """A process that plays one run at a time. run: the present one, of which it has played so many rounds."""

    def __init__(self, store: Store):
        context = multiprocessing.get_context("spawn")  # a fork would copy torch's threads in an unknown state
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, store))
        self.process.start()
        theirs.close()
        self.run: Run | None = None
        self.rounds = 0

    def take(self, run: Run, wait: bool) -> None:
        """Play this one. Raises what pickle does."""
        with suppress(OSError):  # the process is gone: `ended` will tell
            self.pipe.send((run, wait))
        self.run, self.rounds = run, 0


Said = tuple[int, Played | Exception | None]  # by a worker: the rounds of its run, and what became of it at last


class _Crew:
    """Workers, started when there is a run for them."""

    def __init__(self, store: Store):
        self.store = store
        self.workers: list[_Worker] = []
        self.heard = False  # from any of them

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left of them but checkpoints."""
        for worker in self.workers:
            worker.process.terminate()
        deadline = time.monotonic() + GRACE
        for worker in self.workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            worker.process.kill()  # one that computes too long to listen has its last checkpoint
            worker.process.join()

    @property
    def playing(self) -> list[_Worker]:
        return [worker for worker in self.workers if worker.run is not None]

    def idle(self) -> _Worker:
        """One that has no run."""
        for worker in self.workers:
            if worker.run is None:
                return worker
        with _no_interrupt():
            self.workers.append(_Worker(self.store))
        return self.workers[-1]

    def ended(self) -> Iterator[tuple[Run, int, Played | Exception | None]]:
        """The runs that end in a while, with their rounds and what became of them: None if their worker is gone."""
        ready = multiprocessing.connection.wait([worker.pipe for worker in self.playing], POLL)
        for worker in [worker for worker in self.playing if worker.pipe in ready]:
            run = worker.run
            assert run is not None
            try:
                said: Said = worker.pipe.recv()
            except (EOFError, OSError):
                check(self.heard, "workers end before they play anything: out of memory, or for the reason above")
                self.workers.remove(worker)
                worker.process.kill()
                worker.process.join()
                yield run, worker.rounds, None
                continue
            self.heard = True
            worker.rounds, outcome = said
            if outcome is not None:
                worker.run = None
                yield run, worker.rounds, outcome


def _serve(pipe: Connection, store: Store) -> None:
    """In a worker: play the runs that come."""
    listen()
    with suppress(EOFError, OSError):  # the parent is gone
        while True:
            pipe.send(_play_next(pipe, store))


def _play_next(pipe: Connection, store: Store) -> Said:
    """Play the next run that comes, and tell its rounds now and then; the last thing to tell."""
    rounds = 0
    told = float("-inf")

    def tell() -> None:
        nonlocal told
        if time.monotonic() - told >= POLL:
            told = time.monotonic()
            pipe.send((rounds, None))

    def on_round() -> None:
        nonlocal rounds
        rounds += 1
        tell()

    try:
        run, wait = pipe.recv()
    except (ImportError, AttributeError) as error:
        return 0, InputError(
            f"a worker cannot import what the run needs ({error}): put it into a module, or workers = 1"
        )
    tell()
    outcome: Played | Exception
    try:
        outcome = play(run, store, on_round, wait)
    except Exception as error:
        error.add_note(f"In a worker:\n{traceback.format_exc()}")
        outcome = _portable(error)
    return rounds, outcome


def _portable(error: Exception) -> Exception:
    """The error, or what can be sent of it."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Ctrl-C waits until this is over: it must not come while a process starts, which inherits that it is blocked.

    Blocking alone would not do, as any of the threads may take a signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)
