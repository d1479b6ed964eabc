"""The ways to play many runs: in this process, in several of this machine's, as tasks of Ray."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from .checks import InputError, check, say
from .cluster import Cluster, Outcomes, play_on_cluster
from .spec import Run
from .store import Store
from .work import Played, play, play_in_worker, start_worker

POLL = 0.2  # seconds between two looks at the progress
GRACE = 10.0  # seconds in which a worker that is stopped may write its checkpoint


def play_all(runs: Sequence[Run], store: Store, workers: int | Cluster, tell: Callable[[int, int], None]) -> Outcomes:
    """Play runs in the way that `workers` asks for; gives each when it has ended, with what became of it."""
    if isinstance(workers, Cluster):
        return play_on_cluster(runs, store, workers, tell)
    if workers == 1 or len(runs) <= 1:
        return _play_here(runs, store, tell)
    return _play_in_processes(runs, store, workers, tell)


def _play_here(runs: Sequence[Run], store: Store, tell: Callable[[int, int], None]) -> Outcomes:
    rounds = 0

    def on_round() -> None:
        nonlocal rounds
        rounds += 1
        tell(done, rounds)

    done, queue = 0, deque((run, False) for run in runs)
    while queue:
        run, wait = queue.popleft()
        outcome: Played | Exception
        try:
            outcome = play(run, store, on_round, wait)
        except Exception as error:
            outcome = error
        if outcome is Played.ELSEWHERE:
            queue.append((run, True))  # it comes last
            continue
        done += 1
        yield run, outcome
        tell(done, rounds)


def _play_in_processes(runs: Sequence[Run], store: Store, workers: int, tell: Callable[[int, int], None]) -> Outcomes:
    """What is in progress when a worker is killed comes last, one at a time: all at once may have been too much."""
    queue, suspects, alone = deque((run, False) for run in runs), deque[tuple[Run, bool]](), False
    done = rounds = 0
    while queue or suspects:
        if not queue:
            queue, suspects, alone = suspects, deque(), True
        try:
            with _crew(1 if alone else min(workers, len(queue)), store) as crew:
                while queue or crew.playing:
                    crew.take(queue)
                    for run, outcome in crew.ended():
                        if outcome is Played.ELSEWHERE:
                            queue.append((run, True))  # it comes last
                            continue
                        done += 1
                        rounds += run.rounds if outcome is Played.HERE else 0
                        yield run, outcome
                    tell(done, rounds + sum(crew.counts))
        except BrokenProcessPool:
            check(crew.ready.value, "a worker cannot start (out of memory?), or ends at once: what it says is above")
            if not alone:
                say("gradskew: a worker was killed (out of memory?): what was in progress comes last, one at a time")
                suspects.extend((run, False) for run, _ in crew.playing.values())
                continue
            for run, _ in crew.playing.values():
                done += 1
                yield run, InputError("its worker was killed, and again when nothing else ran (out of memory?)")


class _Crew:
    """Workers that play one run each, at its seat. counts: the rounds of the run at each seat."""

    def __init__(self, size: int, store: Store):
        context = multiprocessing.get_context("spawn")  # a fork would copy torch's threads in an unknown state
        self.ready, self.counts = context.RawValue("b", False), context.RawArray("q", size)
        self.pool = ProcessPoolExecutor(size, context, start_worker, (self.ready, self.counts))
        self.store = store
        self.playing: dict[Future[Played], tuple[Run, int]] = {}

    def take(self, queue: deque[tuple[Run, bool]]) -> None:
        """Take runs from the queue, as many as there are free seats."""
        for seat in set(range(len(self.counts))).difference(seat for _, seat in self.playing.values()):
            if queue:
                run, wait = queue[0]
                with _no_interrupt():
                    future = self.pool.submit(play_in_worker, run, self.store, wait, seat)
                self.playing[future] = run, seat
                queue.popleft()

    def ended(self) -> Iterator[tuple[Run, Played | Exception]]:
        """The runs that have ended, after a while. Raises what is no error of a run: BrokenProcessPool comes last."""
        futures, _ = wait_for(self.playing, timeout=POLL, return_when=FIRST_COMPLETED)
        for future in sorted(futures, key=lambda future: isinstance(future.exception(), BrokenProcessPool)):
            error = future.exception()
            if isinstance(error, BrokenProcessPool) or not isinstance(error, Exception | None):
                raise error
            run, seat = self.playing.pop(future)
            self.counts[seat] = 0
            yield run, error or future.result()


@contextmanager
def _crew(size: int, store: Store) -> Iterator[_Crew]:
    """If something is raised they are told to write their checkpoints, and none is left."""
    others = multiprocessing.active_children()
    crew = _Crew(size, store)
    try:
        yield crew
    except BaseException:
        ours = [process for process in multiprocessing.active_children() if process not in others]
        for process in ours:
            process.terminate()
        deadline = time.monotonic() + GRACE
        for process in ours:
            process.join(max(0.0, deadline - time.monotonic()))
            process.kill()  # one that computes too long to listen has its last checkpoint
        crew.pool.shutdown(wait=False, cancel_futures=True)
        raise
    crew.pool.shutdown()


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
