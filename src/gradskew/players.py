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

from .checks import InputError
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
    context = multiprocessing.get_context("spawn")  # a fork would copy torch's threads in an unknown state
    played = context.Value("q", 0)
    others = multiprocessing.active_children()
    pool = ProcessPoolExecutor(min(workers, len(runs)), context, start_worker, (played,))

    def submit(run: Run, wait: bool) -> Future[Played]:
        with _no_interrupt():
            return pool.submit(play_in_worker, run, store, wait)

    try:
        futures = {submit(run, False): run for run in runs}
        waiting, done = set(futures), 0
        while waiting:
            finished, waiting = wait_for(waiting, timeout=POLL, return_when=FIRST_COMPLETED)
            for future in finished:
                error = future.exception()
                if isinstance(error, BrokenProcessPool):
                    raise InputError(
                        "a worker was killed (out of memory?); the same command goes on from the stored runs"
                    )
                if error is not None and not isinstance(error, Exception):
                    raise error
                outcome = error or future.result()
                if outcome is Played.ELSEWHERE:  # it comes last
                    again = submit(futures[future], True)
                    futures[again] = futures[future]
                    waiting.add(again)
                    continue
                done += 1
                yield futures[future], outcome
            tell(done, played.value)
    except BaseException:
        ours = [process for process in multiprocessing.active_children() if process not in others]
        for process in ours:
            process.terminate()
        deadline = time.monotonic() + GRACE
        for process in ours:
            process.join(max(0.0, deadline - time.monotonic()))
            process.kill()  # one that computes too long to listen has its last checkpoint
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


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
