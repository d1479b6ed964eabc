"""What a run took, and on which machine."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch

from ..core.machine import peak
from ..federation.memory import estimate
from ..federation.run import Run


def timing(run: Run, seconds: float) -> dict[str, Any]:
    """Return the content of `timing.json` of a run that took so many seconds: speed, memory, machine and versions."""
    return {
        "seconds": seconds,
        "rounds_per_second": run.rounds / seconds,
        "peak_memory_mb": peak() / 2**20,
        "estimated_memory_mb": estimate(run).total / 2**20,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "device": torch.cuda.get_device_name(run.device) if run.device.startswith("cuda") else _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": platform.system(),
        "gradskew": _version(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _processor() -> str:
    """Return the name of the processor, or its architecture if the name is unknown."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@cache
def _version() -> str:
    return importlib.metadata.version("gradskew")
