"""A grid of runs as tasks of Ray, on this machine or on as many as a cluster has. The scheduling is Ray's."""

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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .checks import InputError, check, check_number
from .data import put_together, take_apart
from .memory import estimate
from .spec import Run
from .store import Store
from .work import Outcomes, Played, play

RETRIES = 5  # of a run whose worker or node was lost
OLD = 30 * 86_400.0  # seconds after which what a command has left is removed
POLL = 0.5  # seconds between two looks at what has finished
PROBE = 5.0  # seconds in which a cluster must answer
GRACE = 10.0  # seconds in which tasks that are cancelled may write their checkpoints
UNKNOWN = ("ModuleNotFoundError", "ImportError", "AttributeError")  # of a task that cannot even be unpacked
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # which a gRPC server answers in kind
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}  # and nothing is sent home
LOOPBACK = ("127.0.0.1", "localhost")
# By this switch Ray binds to the loopback address, and looks for a cluster there: else it would take the machine's
# outer address in its place, and wait for minutes for a cluster that does not listen there.
ALONE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


@dataclass(frozen=True)
class Cluster:
    """The Ray cluster at `address` (host:port, or auto: the one that runs here), or else one of our own.

    Our own is on this machine, bound to 127.0.0.1, and gone afterwards; cpus: how many cores it has, by default as many
    as Ray finds. In a program that has called `ray.init` already, it is that cluster.
    """

    address: str | None = None
    cpus: int | None = None

    def __post_init__(self) -> None:
        if self.cpus is not None:
            check_number("cpus", self.cpus, at_least=1, whole=True)
            check(self.address is None, "cpus are of our own cluster, not of the one at an address")

    def __str__(self) -> str:
        return f"Ray at {self.address}" if self.address else "Ray" + (f" on {self.cpus} CPUs" if self.cpus else "")

    def check(self) -> None:
        """Ray is installed, and the cluster answers; Ray itself would wait for a dead one for minutes."""
        address = _resolve(self.address)
        if not _ray(address).is_initialized() and address is not None:
            _probe(address)

    @contextmanager
    def connected(self, room: int) -> Iterator[Any]:
        """The module `ray`, connected. room: bytes of data that our own cluster must hold."""
        address = _resolve(self.address)
        ray = _ray(address)
        if ray.is_initialized():
            yield ray
            return
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        ours = signal.getsignal(signal.SIGTERM)
        try:
            try:
                if address is None:
                    memory = max(100 << 20, 2 * room)
                    ray.init("local", num_cpus=self.cpus, include_dashboard=False, object_store_memory=memory, **quiet)
                else:
                    ray.init(address, **quiet)
            except Exception as error:  # versions that differ, no room in /dev/shm, and more
                raise InputError(f"Ray cannot start or join its cluster: {error}") from error
            if callable(ours):
                _handle(ours)  # Ray's own would end us before checkpoints are written
            yield ray
        finally:
            ray.shutdown()
            _handle(ours)


def _handle(handler: Any) -> None:
    """Have SIGTERM handled so, where that may be said."""
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


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


def _ray(address: str | None) -> Any:
    """The module, imported when it is needed. address: of the cluster that is meant, resolved; None: our own."""
    alone = address is None or address.rpartition(":")[0] in LOOPBACK
    for name, value in {**QUIET, **({ALONE: "0"} if alone else {})}.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        from ray._private import ray_constants
    except ImportError as error:
        raise InputError(f"--engine ray needs Ray ({error}): pip install 'gradskew[ray]'") from None
    if alone:
        ray_constants.ENABLE_RAY_CLUSTER = False  # the switch itself, where Ray was imported before
    return ray


def _resolve(address: str | None) -> str | None:
    """What `auto` means, as for Ray itself: RAY_ADDRESS, or the cluster that was started last on this machine."""
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
    """A cluster answers at the address."""
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
    check(good, f"what answers at {address} is not a Ray cluster (its head listens on 6379, unless told otherwise)")
