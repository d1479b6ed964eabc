"""The torch settings of a run: threads, determinism, precision; and the error when memory runs out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..core.errors import InputError, out_of_memory
from ..core.numerics import WORKSPACE, deterministic, fixed_threads, float32_products
from .memory import less_memory
from .run import Run


@contextmanager
def computing(run: Run) -> Iterator[None]:
    """Apply the run's settings of torch inside the block, independent of the caller's.

    Raises InputError if torch runs out of memory, with the options that need less, and for an operation that gives
    other sums each time on a GPU.
    """
    try:
        with (
            fixed_threads(run.threads),
            deterministic(run.device),
            float32_products(run.device),
            torch.inference_mode(False),
            torch.enable_grad(),
        ):
            yield
    except RuntimeError as error:
        if "CUBLAS_WORKSPACE_CONFIG" in str(error):
            raise InputError(f"set CUBLAS_WORKSPACE_CONFIG={WORKSPACE} before this process uses {run.device}") from None
        if "deterministic implementation" in str(error):
            raise InputError(f"not the same each time on {run.device}: {str(error).split(',')[0]}") from None
        if not out_of_memory(error):
            raise
        raise InputError(f"out of memory on {run.device}: {less_memory(run)}") from None
