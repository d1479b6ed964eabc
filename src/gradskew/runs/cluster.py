"""Join a Ray cluster that exists."""

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

from ..core.errors import InputError, check
from ..core.importing import pip_install

PROBE = 5.0  # seconds that a cluster has to answer
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # HTTP/2 preface of a gRPC client
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}  # no usage reports, no warning
# With this variable set to 0, Ray connects to the loopback address that it is given. It would otherwise replace it by
# the machine's outer address, and wait minutes for a cluster that does not listen on that one.
LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


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
