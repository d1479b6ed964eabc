"""Seeds by hash, and generators from them.

A draw depends on its purpose, round and client, and on no earlier draw.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive(seed: int, purpose: str, *where: int) -> int:
    """Return a 128-bit seed: the first half of the SHA-256 of "seed/purpose/where".

    where: the round, or the round and the client.
    """
    text = "/".join([str(seed), purpose, *map(str, where)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


def torch_seed(seed: int, purpose: str, *where: int) -> int:
    """Return the lowest 32 bits of `derive`, as torch's CPU generator keeps no more of its seed."""
    return derive(seed, purpose, *where) & 0xFFFFFFFF


def generator(seed: int, purpose: str, *where: int) -> torch.Generator:
    """Return a new torch CPU generator with the seed `torch_seed`. Use it for one purpose only."""
    return torch.Generator().manual_seed(torch_seed(seed, purpose, *where))


def numpy_generator(seed: int, purpose: str, *where: int) -> np.random.Generator:
    """Return a new NumPy generator with the 128-bit seed `derive`."""
    return np.random.Generator(np.random.PCG64(derive(seed, purpose, *where)))


@contextmanager
def drawing(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Seed torch's global generators, of the CPU and of the device, within the block, and restore them afterwards."""
    gpus = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would also seed the devices that are not forked
        for gpu in gpus:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(seed)
        yield
