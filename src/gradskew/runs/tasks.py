"""A grid of runs as tasks of Ray. The scheduling is Ray's."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core.errors import InputError, check
from ..data import put_together, take_apart
from ..federation.memory import estimate
from ..federation.run import Run
from .play import Outcomes, Played, play
from .ray import Cluster
from .store import Store

RETRIES = 5  # of a run whose worker or node was lost
OLD = 30 * 86_400.0  # seconds after which what a command has left is removed
POLL = 0.5  # seconds between two looks at what has finished
GRACE = 10.0  # seconds in which tasks that are cancelled may write their checkpoints
UNKNOWN = ("ModuleNotFoundError", "ImportError", "AttributeError")  # of a task that cannot even be unpacked


def play_on_cluster(runs: Sequence[Run], store: Store, cluster: Cluster, tell: Callable[[int, int], None]) -> Outcomes:
    """Play each run as a task with the CPUs and GPUs that it needs; the data go to each node once."""
    if not runs:
        return
    data = {source: take_apart(source.load()) for source in dict.fromkeys(run.source for run in runs)}
    room = sum(array.nbytes for arrays, _ in data.values() for array in arrays.values())
    with cluster.connected(room) as ray, _token(store) as token:
        _check_room(ray, runs)
        put = {source: ray.put(parts) for source, parts in data.items()}
        task = ray.remote(max_retries=RETRIES)(play_as_task)

        def submit(run: Run, wait: bool) -> Any:
            cpus, gpus, memory = _needs(run)
            name = f"{run.attack.name} {run.aggregator.name}"
            needs = task.options(num_cpus=cpus, num_gpus=gpus, memory=memory, name=name)
            return needs.remote(_on_its_node(run), put[run.source], str(token), wait)

        waiting: dict[Any, Run] = {}
        done = rounds = 0
        try:
            waiting.update((submit(run, False), run) for run in runs)
            while waiting:
                ready, _ = ray.wait(list(waiting), num_returns=len(waiting), timeout=POLL)
                for reference in ready:
                    run = waiting.pop(reference)
                    outcome: Played | Exception
                    try:
                        outcome = _keep(ray.get(reference), run, store)
                    except Exception as error:
                        outcome = _reason(error, ray)
                    if outcome is Played.ELSEWHERE:
                        waiting[submit(run, True)] = run  # it comes last
                        continue
                    done += 1
                    rounds += run.rounds if outcome is Played.HERE else 0
                    yield run, outcome
                tell(done, rounds)
        except BaseException:
            for reference in reversed(waiting):  # those that have not begun come last, and shall not begin now
                ray.cancel(reference)
            if waiting:
                ray.wait(list(waiting), num_returns=len(waiting), timeout=GRACE)
            raise


def play_as_task(run: Run, parts: tuple[Any, Any], token: str, wait: bool) -> Played | dict[str, str]:
    """In a worker: play the run into the store; where that is not seen, into a folder here, and give the files."""
    for name, here in (("torch", torch.__version__), ("numpy", np.__version__)):
        there = run.content[name]
        check(here == there, f"a worker has {name} {here}, where the command started it is {there}: results may differ")
    run.source.load(lambda: put_together(*parts))
    shared = Path(token).exists()
    store = Store(Path(token).parent.parent if shared else _own_folder())
    played = play(run, store, lambda: None, wait)
    if shared or not played:
        return played
    files = store.files(run.digest)
    shutil.rmtree(store.runs / run.digest)
    return files


def _keep(left: Played | Mapping[str, str], run: Run, store: Store) -> Played:
    """Store the files that a task has returned, if any; what became of the run."""
    if isinstance(left, Played):
        return left
    store.adopt(run.digest, left)
    return Played.HERE


def _reason(raised: Exception, ray: Any) -> Exception:
    """Why a task failed: what the run raised, or else what happened to it."""
    if not isinstance(raised, ray.exceptions.RayError):
        return raised
    lines, cause = str(raised).strip().splitlines(), getattr(raised, "cause", None)
    if lines[-1].startswith(UNKNOWN) and not isinstance(cause, (ImportError, AttributeError)):
        return InputError(f"a worker cannot import what the run needs ({lines[-1]}): see PYTHONPATH on its machine")
    if isinstance(raised, ray.exceptions.RayTaskError):
        return cause if isinstance(cause, Exception) else raised
    return InputError(f"Ray gave it up after {RETRIES} more attempts (out of memory?): {lines[0]}")


def _on_its_node(run: Run) -> Run:
    """The run on whatever device Ray gives it; with its content and digest, which depend on the files here."""
    kind = torch.device(run.device).type
    moved = run if run.device == kind else replace(run, device=kind)
    assert moved.digest == run.digest  # computed now, it is sent along
    return moved


def _needs(run: Run) -> tuple[int, int, int]:
    """The CPUs, the GPUs and the bytes of memory of a run."""
    return run.threads, int(torch.device(run.device).type == "cuda"), estimate(run).total


def _check_room(ray: Any, runs: Iterable[Run]) -> None:
    """For each run there is a node that can hold it: Ray would wait for one for ever."""
    kinds = ("CPU", "GPU", "memory")
    nodes = [[node["Resources"].get(kind, 0) for kind in kinds] for node in ray.nodes() if node["Alive"]]
    for needed in sorted({_needs(run) for run in runs}, reverse=True):
        cpus, gpus, memory = needed
        fits = any(all(has >= wants for has, wants in zip(node, needed, strict=True)) for node in nodes)
        said = f"threads = {cpus}{' and a GPU' if gpus else ''}, and {memory / 1e9:.1f} GB of memory"
        most, _, room = map(max, zip(*nodes, strict=True)) if nodes else (0, 0, 0)
        there = f"the largest has {most:g} CPUs, or {room / 1e9:.1f} GB"
        check(fits, f"no node of the Ray cluster can hold a run with {said}: {there}")


@contextmanager
def _token(store: Store) -> Iterator[Path]:
    """An empty file in the store, under a name that no other has: who sees it shares the folder."""
    for old in store.runs.glob(".token.*"):  # a command that was killed has left it
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > OLD:
                old.unlink()
    token = store.runs.resolve() / f".token.{secrets.token_hex(16)}"
    token.touch()
    try:
        yield token
    finally:
        token.unlink(missing_ok=True)


def _own_folder() -> Path:
    """A worker's own results, where it does not see the store: the next attempt on its machine goes on from there."""
    folder = Path(tempfile.gettempdir()) / f"gradskew-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
    check(ours, f"{str(folder)!r} is not a folder of this user alone")
    return folder
