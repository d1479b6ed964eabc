"""The ways to play many runs: in this process, in several of this machine's, as tasks of Ray."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from ..federation.run import Run
from .play import Outcomes, Played, play
from .processes import play_in_processes
from .ray import Cluster
from .store import Store
from .tasks import play_on_cluster


def play_all(runs: Sequence[Run], store: Store, workers: int | Cluster, tell: Callable[[int, int], None]) -> Outcomes:
    """Play runs in the way that `workers` asks for; gives each when it has ended, with what became of it."""
    if isinstance(workers, Cluster):
        return play_on_cluster(runs, store, workers, tell)
    if workers == 1 or not runs:
        return _play_here(runs, store, tell)
    return play_in_processes(runs, store, workers, tell)


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
