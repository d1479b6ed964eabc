"""What the machine gives this process: cores and memory, as far as the control groups of a container leave them."""

from __future__ import annotations

import ctypes
import math
import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

ROOT = Path("/")


class Memory(NamedTuple):
    """Bytes: how many this process may use in all, and how many of them nobody uses now."""

    total: int
    free: int


def cores(root: Path = ROOT) -> int:
    """The processor cores that this process may keep busy: its affinity, and the quota of its control groups."""
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
    """The machine's memory, or the least that a control group leaves of it; None where the system does not tell."""
    found = _whole(root)
    if found is None:
        return None
    total, free = found
    for group in _groups(root, "memory"):
        with suppress(OSError, ValueError):
            second = (group / "memory.max").exists()
            limit = int((group / ("memory.max" if second else "memory.limit_in_bytes")).read_text())
            used = int((group / ("memory.current" if second else "memory.usage_in_bytes")).read_text())
            stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            cached = int(stat.get("inactive_file" if second else "total_inactive_file", 0))  # given back when needed
            total, free = min(total, limit), min(free, max(0, limit - used + cached))
    return Memory(total, free)


def resident() -> int:
    """Bytes of this process that are in memory now; 0 where the system does not tell."""
    return _of_process("VmRSS")


def reset_peak() -> None:
    """Count the peak of this process from now on, where the system lets us. What was freed before goes back to it."""
    with suppress(OSError, AttributeError):  # the C library of Linux keeps it otherwise
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """The most bytes that this process had in memory, since `reset_peak` or since it started."""
    return _of_process("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _of_process(name: str) -> int:
    with suppress(OSError, ValueError, LookupError):
        return 1024 * _table(Path("/proc/self/status"))[name]
    return 0


def _whole(root: Path) -> Memory | None:
    with suppress(OSError, ValueError, LookupError):
        kilobytes = _table(root / "proc/meminfo")
        return Memory(1024 * kilobytes["MemTotal"], 1024 * kilobytes["MemAvailable"])
    return None


def _table(path: Path) -> dict[str, int]:
    """Lines such as `VmRSS:  1916 kB`, by name."""
    lines = (line.partition(":") for line in path.read_text().splitlines())
    return {name: int(rest.split()[0]) for name, _, rest in lines if rest.strip().endswith("kB")}


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's control group and of those around it, in which the controller's files lie."""
    with suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and controller not in controllers.split(","):
                continue
            top = root / "sys/fs/cgroup" / controllers
            group = top / path.lstrip("/")  # in a container it may be named from outside, and its files lie at the top
            yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(top))
