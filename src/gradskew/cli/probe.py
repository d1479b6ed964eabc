"""What torch, the kernels and the data sets say of themselves, one JSON object a line.

`doctor` runs this in a process of its own; what one look raises hides nothing that another finds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import torch

from ..data import FashionMNIST, cache
from .diagnosis import Fact, folder


def main() -> None:
    """Print all facts."""
    looks: tuple[tuple[str, str, Callable[[], Iterator[Fact]]], ...] = (
        ("torch", "threads", _threads),
        ("torch", "gpu", _gpus),
        ("torch", "kernels", _kernels),
        ("data", "files", _data),
        ("folders", "cache", _cache),
    )
    for topic, name, look in looks:
        try:
            for fact in look():
                print(json.dumps(asdict(fact)), flush=True)
        except Exception as error:  # whatever a broken library raises
            words = (str(error) or type(error).__name__).splitlines()[0][:200]
            print(json.dumps(asdict(Fact(topic, name, f"broken: {words}", False))), flush=True)


def _threads() -> Iterator[Fact]:
    threads = torch.get_num_threads()
    yield Fact("torch", "threads", f"{threads} (a run takes --threads, 1 by default)", details={"threads": threads})


def _gpus() -> Iterator[Fact]:
    built: Any = torch.version.cuda or torch.version.hip
    if not torch.cuda.is_available():
        why = f"torch is built for CUDA {built}, but sees no GPU" if built else "this torch is built for the CPU only"
        yield Fact("torch", "gpu", f"none: {why}", details={"built": built, "gpus": 0})
    else:
        for number in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(number)
            size = f"{about.total_memory / 1e9:.1f} GB"
            details = {"built": built, "name": about.name, "memory": about.total_memory}
            yield Fact("torch", f"cuda:{number}", f"{about.name}, {size}", details=details)


def _kernels() -> Iterator[Fact]:
    """Compile one of the kernels, or load it, and hold its result to one worked out by hand."""
    from ..core import kernels

    found = kernels.squared_distances_to(torch.tensor([[3.0, 4.0]]), torch.zeros(2)).tolist()
    compiled: Any = kernels._squares
    kept = compiled.stats.cache_path
    if found != [25.0]:
        yield Fact("torch", "kernels", f"wrong: the squared length of (3, 4) is not {found[0]}", False)
    elif kept is None:
        why = "compiled anew in each process, as no folder for them can be written: set NUMBA_CACHE_DIR to one"
        yield Fact("torch", "kernels", why, details={"kept": None})
    else:
        yield Fact("torch", "kernels", f"compiled, kept in {kept}", details={"kept": kept})


def _data() -> Iterator[Fact]:
    yield Fact("data", "digits", "embedded")
    usual = FashionMNIST.usual
    found = usual.is_dir() and FashionMNIST().find(usual) is not None
    where = str(usual) if found else f"not in {usual}: --data names its folder"
    yield Fact("data", FashionMNIST.key, where, details={"found": found})
    names = set()
    for path in cache.root().glob(f"*/{cache.ABOUT}"):
        with suppress(OSError, ValueError, LookupError, TypeError):  # a damaged entry
            names.add(str(json.loads(path.read_text())["about"]["name"]))
    decoded = sorted(names)
    yield Fact("data", "decoded", ", ".join(decoded) or "none yet", details={"names": decoded})


def _cache() -> Iterator[Fact]:
    yield folder("cache", cache.root())
