"""A Ray cluster: our own on this machine, or one that runs somewhere; found, joined and left."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import InputError, check, check_number

PROBE = 5.0  # seconds in which a cluster must answer
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
        ours = signal.getsignal(signal.SIGTERM)
        try:
            self._join(ray, address, room)
            if callable(ours):
                _handle(ours)  # Ray's own would end us before checkpoints are written
            yield ray
        finally:
            ray.shutdown()
            _handle(ours)

    def _join(self, ray: Any, address: str | None, room: int) -> None:
        """Start our own cluster, or connect to the one at the address."""
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        try:
            if address is None:
                memory = max(100 << 20, 2 * room)
                ray.init("local", num_cpus=self.cpus, include_dashboard=False, object_store_memory=memory, **quiet)
            else:
                ray.init(address, **quiet)
        except Exception as error:  # versions that differ, no room in /dev/shm, and more
            raise InputError(f"Ray cannot start or join its cluster: {error}") from error


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


def _handle(handler: Any) -> None:
    """Have SIGTERM handled so, where that may be said."""
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)
