"""Execute a grid of runs as tasks of an existing Ray cluster, which schedules them."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core.errors import InputError, check
from ..core.importing import pip_install
from ..data import from_arrays, to_arrays
from ..federation.memory import estimate
from ..federation.run import Run
from .execution import Outcomes, Status, execute
from .store import Store

RETRIES = 5  # attempts after the first, for a run whose worker or node was lost
EXPIRY = 30 * 86_400.0  # seconds until the token of a killed command is removed
POLL = 0.5  # seconds between two checks for finished tasks
GRACE = 10.0  # seconds that cancelled tasks have to write their checkpoints
PROBE = 5.0  # seconds that a cluster has to answer
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # HTTP/2 preface of a gRPC client
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}  # no usage reports, no warning
# With this variable set to 0, Ray connects to the loopback address that it is given. It would otherwise replace it by
# the machine's outer address, and wait minutes for a cluster that does not listen on that one.
LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
IMPORT_ERRORS = ("ModuleNotFoundError", "ImportError", "AttributeError")  # raised when a worker unpickles a task


@dataclass(frozen=True)
class Cluster:
    """The Ray cluster at `address`: `host:port`, or `auto` for RAY_ADDRESS or the last cluster started on this machine.

    A program that has called `ray.init` already uses its own cluster instead.
    """

    address: str = "auto"

    def __str__(self) -> str:
        return f"Ray at {self.address}"

    def check(self) -> None:
        """Raise InputError if Ray is not installed or no cluster answers, for which Ray would wait minutes."""
        if not _ray().is_initialized():
            _probe(_resolve(self.address))

    @contextmanager
    def connected(self) -> Iterator[Any]:
        """Connect to the cluster inside the block; yield the module `ray`."""
        ray = _ray()
        if ray.is_initialized():
            yield ray
            return
        handler = signal.getsignal(signal.SIGTERM)
        try:
            _join(ray, _resolve(self.address))
            if callable(handler):
                _handle_sigterm(handler)  # Ray's handler would end the process before checkpoints are written
            yield ray
        finally:
            ray.shutdown()
            _handle_sigterm(handler)


def _ray() -> Any:
    """Import and return Ray; InputError if it is not installed."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise InputError(f"--engine ray needs Ray ({error}): {pip_install('gradskew[ray]')}") from None
    return ray


def _join(ray: Any, address: str) -> None:
    """Connect to the cluster at the address."""
    if address.rpartition(":")[0] in ("127.0.0.1", "localhost"):
        os.environ.setdefault(LOOPBACK, "0")
        ray._private.ray_constants.ENABLE_RAY_CLUSTER = False  # Ray reads the variable at its import only
    try:
        ray.init(address, log_to_driver=False, logging_level="ERROR")
    except Exception as error:  # different versions of Ray, for example
        raise InputError(f"Ray cannot join its cluster: {error}") from error


def _resolve(address: str) -> str:
    """Return the address, with `auto` resolved as Ray resolves it."""
    if address != "auto":
        return address
    if named := os.environ.get("RAY_ADDRESS", ""):
        return named
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    try:
        return (Path(folder) / "ray" / "ray_current_cluster").read_text().strip()
    except OSError:
        raise InputError(
            "no Ray cluster runs here: `ray start --head` starts one, --address host:port names it"
        ) from None


def _probe(address: str) -> None:
    """Raise InputError if no cluster answers at the address."""
    host, _, port = address.rpartition(":")
    known = bool(host) and "/" not in host and port.isascii() and port.isdigit() and int(port) < 1 << 16
    check(known, f"the address of a Ray cluster is host:port or auto, not {address!r}")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE) as server:
            server.settimeout(PROBE)
            server.sendall(HELLO)
            answer = server.recv(9)
    except OSError as error:
        raise InputError(f"no Ray cluster answers at {address}: {error.strerror or error}") from None
    good = os.environ.get("RAY_USE_TLS", "0") != "0" or answer[3:4] == b"\x04"
    check(good, f"what answers at {address} is not a Ray cluster (by default, its head listens on 6379)")


def _handle_sigterm(handler: Any) -> None:
    """Set the handler of SIGTERM; do nothing outside the main thread, where Python does not allow it."""
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


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
    status = execute(run, store, on_round=lambda metrics: None, wait=wait)
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
