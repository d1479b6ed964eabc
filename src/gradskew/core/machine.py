"""The processor cores and the memory that this process may use, with the limits of its control groups (containers)."""

from __future__ import annotations

import ctypes
import math
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

ROOT = Path("/")


class Memory(NamedTuple):
    """Bytes that this process may use: in total, and those that are free now."""

    total: int
    free: int


def cores(root: Path = ROOT) -> int:
    """Return the number of processor cores that this process may use, by its affinity and its control groups."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for group in _groups(root, "cpu"):
        with suppress(OSError, ValueError, ZeroDivisionError):
            if (group / "cpu.max").exists():
                quota, period = (group / "cpu.max").read_text().split()
            else:
                quota, period = ((group / f"cpu.cfs_{kind}_us").read_text() for kind in ("quota", "period"))
            if int(quota) > 0:  # `max` in version 2, -1 in version 1: no quota
                allowed = min(allowed, max(1, math.ceil(int(quota) / int(period))))
    return allowed


def memory(root: Path = ROOT) -> Memory | None:
    """Return the memory of the machine, or less if a control group limits it; None if the system does not say."""
    machine = _machine_memory(root)
    if machine is None:
        return None
    total, free = machine
    for group in _groups(root, "memory"):
        with suppress(OSError, ValueError):
            version2 = (group / "memory.max").exists()
            limit = int((group / ("memory.max" if version2 else "memory.limit_in_bytes")).read_text())
            used = int((group / ("memory.current" if version2 else "memory.usage_in_bytes")).read_text())
            stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            cached = int(stat.get("inactive_file" if version2 else "total_inactive_file", 0))  # freed when needed
            total, free = min(total, limit), min(free, max(0, limit - used + cached))
    return Memory(total, free)


def resident() -> int:
    """Return the bytes of this process that are in memory now; 0 if the system does not say."""
    return _process_bytes("VmRSS")


def reset_peak() -> None:
    """Return freed memory to the system and count the peak of this process from now on, if the system can."""
    with suppress(OSError, AttributeError):  # else the C library of Linux keeps it
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """Return the most bytes that this process had in memory, since `reset_peak` or since its start."""
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    return _process_bytes("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _process_bytes(name: str) -> int:
    with suppress(OSError, ValueError, LookupError):
        return 1024 * _kilobytes(Path("/proc/self/status"))[name]
    return 0


def _machine_memory(root: Path) -> Memory | None:
    with suppress(OSError, ValueError, LookupError):
        kilobytes = _kilobytes(root / "proc/meminfo")
        return Memory(1024 * kilobytes["MemTotal"], 1024 * kilobytes["MemAvailable"])
    return None


def _kilobytes(path: Path) -> dict[str, int]:
    """Read the lines of a file such as `VmRSS:  1916 kB`, by name."""
    lines = (line.partition(":") for line in path.read_text().splitlines())
    return {name: int(rest.split()[0]) for name, _, rest in lines if rest.strip().endswith("kB")}


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders with a controller's files, of this process's control group and of its parents."""
    with suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and controller not in controllers.split(","):
                continue
            top = root / "sys/fs/cgroup" / controllers
            group = top / path.lstrip("/")  # perhaps the host's name for it; a container has the files at the top
            yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(top))
