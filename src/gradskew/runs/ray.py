"""Execute a grid of runs as tasks of an existing Ray cluster, which schedules them."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core.errors import InputError, check
from ..core.importing import PLACE, place_of
from ..data import from_arrays, to_arrays
from ..federation.memory import estimate
from ..federation.run import Run
from .cluster import Cluster
from .execution import Outcomes, Status, execute
from .store import Store

RETRIES = 5  # attempts after the first, for a run whose worker or node was lost
EXPIRY = 30 * 86_400.0  # seconds until the token of a killed command is removed
POLL = 0.5  # seconds between two checks for finished tasks
GRACE = 10.0  # seconds that cancelled tasks have to write their checkpoints
IMPORT_ERRORS = ("ModuleNotFoundError", "ImportError", "AttributeError")  # raised when a worker unpickles a task


def run_on_cluster(runs: Sequence[Run], store: Store, cluster: Cluster, on_rounds: Callable[[int], None]) -> Outcomes:
    """Execute each run as a task with its CPUs, GPU and memory; yield each with its outcome, report finished rounds.

    Each data set is sent to a node once.
    """
    if not runs:
        return
    with cluster.connected() as ray, _token(store) as token:
        _check_room(ray, runs)
        data = {source: ray.put(to_arrays(source.load())) for source in dict.fromkeys(run.source for run in runs)}
        task = ray.remote(max_retries=RETRIES)(execute_as_task)

        def submit(run: Run, wait: bool) -> Any:
            cpus, gpus, memory = _resources(run)
            kind = torch.device(run.device).type  # Ray chooses which GPU
            sent = run if run.device == kind else replace(run, device=kind)
            assert sent.digest == run.digest  # computed here, since it depends on files here; the task carries it
            name = f"{run.attack.name} {run.aggregator.name}"
            needs = task.options(num_cpus=cpus, num_gpus=gpus, memory=memory, name=name)
            return needs.remote(sent, data[run.source], str(token), wait)

        waiting: dict[Any, Run] = {}
        rounds = 0
        try:
            waiting.update((submit(run, False), run) for run in runs)
            while waiting:
                ready, _ = ray.wait(list(waiting), num_returns=len(waiting), timeout=POLL)
                for reference in ready:
                    run = waiting.pop(reference)
                    outcome: Status | Exception
                    try:
                        result = ray.get(reference)
                        if not isinstance(result, Status):  # the files of a worker that does not share the store
                            store.adopt(run.digest, result)
                        outcome = result if isinstance(result, Status) else Status.DONE
                    except Exception as error:
                        outcome = _task_error(error, ray)
                    if outcome is Status.ELSEWHERE:
                        waiting[submit(run, True)] = run  # it comes last
                        continue
                    rounds += run.rounds if outcome is Status.DONE else 0
                    yield run, outcome
                on_rounds(rounds)
        except BaseException:
            for reference in reversed(waiting):  # first those that have not begun, so that none begins now
                ray.cancel(reference)
            if waiting:
                ray.wait(list(waiting), num_returns=len(waiting), timeout=GRACE)
            raise


def execute_as_task(run: Run, parts: tuple[Any, Any], token: str, wait: bool) -> Status | dict[str, str]:
    """Execute a run in a worker; return its status, or the files of its record if the worker does not share the store.

    parts: the data set as arrays, from `to_arrays`. token: the path of a file in the store, which exists here only if
    the worker shares the store.
    """
    for name, here in (("torch", torch.__version__), ("numpy", np.__version__)):
        wanted = run.content[name]
        message = f"a worker has {name} {here}, where the command started it is {wanted}: results may differ"
        check(here == wanted, message)
    run.source.load(lambda: from_arrays(*parts))
    shared = Path(token).exists()
    store = Store(Path(token).parent.parent if shared else _own_folder())
    try:
        status = execute(run, store, on_round=lambda metrics: None, wait=wait)
    except Exception as error:
        setattr(error, PLACE, place_of(error))  # Ray sends no traceback that could be walked
        raise
    if shared or status is Status.ELSEWHERE:
        return status
    files = store.files(run.digest)
    shutil.rmtree(store.runs / run.digest)
    return files


def _task_error(raised: Exception, ray: Any) -> Exception:
    """Return the error of a failed task: the run's own exception, or an InputError about Ray's."""
    if not isinstance(raised, ray.exceptions.RayError):
        return raised
    lines, cause = str(raised).strip().splitlines(), getattr(raised, "cause", None)
    if lines[-1].startswith(IMPORT_ERRORS) and not isinstance(cause, (ImportError, AttributeError)):
        return InputError(f"a worker cannot import what the run needs ({lines[-1]}): see PYTHONPATH on its machine")
    if isinstance(raised, ray.exceptions.RayTaskError):
        return cause if isinstance(cause, Exception) else raised
    return InputError(f"Ray gave it up after {RETRIES} more attempts (out of memory?): {lines[0]}")


def _resources(run: Run) -> tuple[int, int, int]:
    """Return the numbers of CPUs and GPUs, and the bytes of memory, that a run needs."""
    return run.threads, int(torch.device(run.device).type == "cuda"), estimate(run).total


def _check_room(ray: Any, runs: Iterable[Run]) -> None:
    """Raise InputError if one of the runs fits no node: Ray would wait forever for such a node."""
    kinds = ("CPU", "GPU", "memory")
    nodes = [[node["Resources"].get(kind, 0) for kind in kinds] for node in ray.nodes() if node["Alive"]]
    for needed in sorted({_resources(run) for run in runs}, reverse=True):
        cpus, gpus, memory = needed
        fits = any(all(has >= wants for has, wants in zip(node, needed, strict=True)) for node in nodes)
        wanted = f"threads = {cpus}{' and a GPU' if gpus else ''}, and {memory / 1e9:.1f} GB of memory"
        most, _, room = map(max, zip(*nodes, strict=True)) if nodes else (0, 0, 0)
        largest = f"the largest has {most:g} CPUs, or {room / 1e9:.1f} GB"
        check(fits, f"no node of the Ray cluster can hold a run with {wanted}: {largest}")


@contextmanager
def _token(store: Store) -> Iterator[Path]:
    """Create a file with a random name in the store inside the block: a worker that finds it shares the store."""
    for old in store.runs.glob(".token.*"):  # left by killed commands
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > EXPIRY:
                old.unlink()
    token = store.runs.resolve() / f".token.{secrets.token_hex(16)}"
    token.touch()
    try:
        yield token
    finally:
        token.unlink(missing_ok=True)


def _own_folder() -> Path:
    """Return the folder for a worker without the store; the next attempt on its machine continues from it."""
    folder = Path(tempfile.gettempdir()) / f"gradskew-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
    check(private, f"{str(folder)!r} is not a folder of this user alone")
    return folder
