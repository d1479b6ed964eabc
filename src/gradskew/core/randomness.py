"""Derive seeds by hash, and make generators from them.

A draw depends on what it is for, and on nothing that was drawn before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive(seed: int, purpose: str, *where: int) -> int:
    """A 128-bit seed from SHA-256 of (seed, purpose, where): where is the round, or the round and the client.

    Fields are written out with separators, never packed by shifting.
    """
    text = "/".join([str(seed), purpose, *map(str, where)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


def torch_seed(seed: int, purpose: str, *where: int) -> int:
    """The 32 bits of `derive` that a torch CPU generator keeps of its seed."""
    return derive(seed, purpose, *where) & 0xFFFFFFFF


def generator(seed: int, purpose: str, *where: int) -> torch.Generator:
    """A fresh torch CPU generator: make it, use it, drop it."""
    return torch.Generator().manual_seed(torch_seed(seed, purpose, *where))


def numpy_generator(seed: int, purpose: str, *where: int) -> np.random.Generator:
    """A fresh NumPy generator with the whole 128-bit seed."""
    return np.random.Generator(np.random.PCG64(derive(seed, purpose, *where)))


@contextmanager
def drawing(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Inside, a module draws from torch's global generators, seeded here; afterwards they are as they were."""
    gpus = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would also seed the devices that are not forked
        for gpu in gpus:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(seed)
        yield
