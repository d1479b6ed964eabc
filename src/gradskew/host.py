"""The memory of this process, of this machine, and of a GPU, as the system tells it."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path

import torch

UNLIMITED = 1 << 60  # what the first version of control groups says is more


def resident() -> int:
    """Bytes of this process that are in memory now; 0 where the system does not tell."""
    return _kilobytes("/proc/self/status", "VmRSS")


def reset_peak() -> None:
    """Count the peak of this process from now on, where the system lets us."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """The most bytes that this process had in memory, since `reset_peak` or since it started."""
    return _kilobytes("/proc/self/status", "VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def limit(device: str = "cpu") -> int:
    """Bytes that this process may use at most: the machine's, or those of its control groups; or a GPU's."""
    if torch.device(device).type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    return min([_meminfo("MemTotal"), *(most for most, _ in control_groups())])


def free(device: str = "cpu") -> int:
    """Bytes of them that nobody uses now."""
    if torch.device(device).type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return max(0, min([_meminfo("MemAvailable"), *(most - used for most, used in control_groups())]))


def control_groups(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> list[tuple[int, int]]:
    """Limit and use of each control group around this process that has a limit, in either version of the system."""
    found = []
    with suppress(OSError, ValueError):
        for line in own.read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            names = (
                ("memory.max", "memory.current") if not kinds else ("memory.limit_in_bytes", "memory.usage_in_bytes")
            )
            if kinds not in ("", "memory"):
                continue
            home, top = root / kinds / path.lstrip("/"), root / kinds
            for folder in [home, *home.parents][: len(home.parts) - len(top.parts) + 1]:
                with suppress(OSError, ValueError):  # there is no such file, or no limit but the word max
                    most, used = (int((folder / name).read_text()) for name in names)
                    found.append((most, used))
    return [(most, used) for most, used in found if most < UNLIMITED]


def _meminfo(name: str) -> int:
    return _kilobytes("/proc/meminfo", name) or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _kilobytes(path: str, name: str) -> int:
    """A line such as `VmRSS:  1916 kB`, in bytes; 0 if there is none."""
    with suppress(OSError):
        for line in Path(path).read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0
