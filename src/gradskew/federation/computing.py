"""The torch settings of a run: threads, determinism, precision; and the error when memory runs out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..core.errors import InputError, out_of_memory
from ..core.numerics import deterministic, fixed_threads, float32_products
from .memory import less_memory
from .run import Run


@contextmanager
def computing(run: Run) -> Iterator[None]:
    """Apply the run's settings of torch inside the block, independent of the caller's.

    Raises InputError if torch runs out of memory, with the options that need less.
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
        if not out_of_memory(error):
            raise
        raise InputError(f"out of memory on {run.device}: {less_memory(run)}") from None
