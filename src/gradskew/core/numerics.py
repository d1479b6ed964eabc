"""How torch computes: threads, precision of products, deterministic algorithms."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

from .errors import InputError

WORKSPACE = ":4096:8"  # of cuBLAS, with which its products are the same each time; it is read once in a process


@contextmanager
def fixed_threads(count: int) -> Iterator[None]:
    """Compute with `count` intra-op threads in torch, BLAS and OpenMP, whatever the environment says.

    Sums and dot products, and so trained weights, differ in their last bits between 1 and 2 threads.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def float32_products(device: str, tf32: bool = False) -> Iterator[None]:
    """Compute matrix products and convolutions in float32, or in TF32 if asked, without the caller's autocast.

    By default torch computes convolutions on CUDA in TF32.
    """
    try:
        products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    except RuntimeError:  # torch refuses to read its old switches if its new ones contradict them
        raise InputError("reset torch.backends' fp32_precision: the precision of a run is an option of it") from None
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    try:
        with torch.autocast(torch.device(device).type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions


@contextmanager
def deterministic(device: str) -> Iterator[None]:
    """Use deterministic algorithms on a GPU, and none chosen by a timing. On a CPU all are deterministic."""
    if torch.device(device).type == "cpu":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", WORKSPACE)
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
        torch.backends.cudnn.benchmark = benchmark
