"""Rows as users give them: of torch or NumPy, checked, and results of the same kind."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .errors import check

HALVES = (torch.float16, torch.bfloat16)
LARGEST = 1e70  # exclusive bound on float64 entries


def largest_entry(dtype: torch.dtype) -> float:
    """Return the largest entry that rows of this type may have, float32 or float64."""
    return torch.finfo(dtype).max if dtype == torch.float32 else LARGEST * (1 - 2.0**-23)  # less rounding


def as_tensor(name: str, values: Any) -> Tensor:
    """Return a tensor or a NumPy array as a detached tensor, float16 and bfloat16 as float32. name: for the message.

    A float32 or float64 array shares its memory. InputError for what is neither.
    """
    if isinstance(values, np.ndarray):
        check_unmasked(name, values)
        check(values.dtype.char in "efd", f"{name} must be float32 or float64, not {values.dtype}: convert them first")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            values = torch.from_numpy(np.ascontiguousarray(values, values.dtype.newbyteorder("=")))
    check(isinstance(values, Tensor), f"{name} must be a torch tensor or a NumPy array, not {type(values).__name__}")
    tensor: Tensor = values.detach()
    return tensor.float() if tensor.dtype in HALVES else tensor


def apart(result: Any, *given: Any) -> Any:
    """Return a result of torch or NumPy; a copy of it if it may lie in the memory of given rows."""
    arrays = [rows for rows in given if isinstance(rows, np.ndarray)]
    if isinstance(result, np.ndarray):
        return result.copy() if any(np.may_share_memory(result, rows) for rows in arrays) else result
    places = [rows.ctypes.data for rows in arrays]
    places += [rows.untyped_storage().data_ptr() for rows in given if isinstance(rows, Tensor)]
    return result.clone() if result.untyped_storage().data_ptr() in places else result


def as_generator(generator: torch.Generator | None) -> torch.Generator:
    """Return a given generator, or a new one of the CPU with seed 0; InputError for what is none."""
    if generator is None:
        return torch.Generator().manual_seed(0)
    kind = type(generator).__name__
    check(isinstance(generator, torch.Generator), f"generator must be a torch.Generator, not {kind}")
    return generator


def check_unmasked(name: str, array: Any) -> None:
    """Raise InputError for a masked array with a masked entry, whose data would count. name: for the message."""
    check(not np.ma.is_masked(array), f"{name} has masked entries, whose data would count: fill them first")


def as_kind(result: Tensor, rows: Any, *, keep_type: bool = False) -> Any:
    """Return a result as a NumPy array if the rows are one, else as it is.

    keep_type: if the rows are float16 or bfloat16, so is the result, whose finite entries are cut at their largest.
    """
    if isinstance(rows, np.ndarray):
        result = _as_half(result, torch.float16) if keep_type and rows.dtype.char == "e" else result
        return np.ascontiguousarray(result.cpu().numpy())
    return _as_half(result, rows.dtype) if keep_type and isinstance(rows, Tensor) and rows.dtype in HALVES else result


def _as_half(result: Tensor, half: torch.dtype) -> Tensor:
    """Return a result in half precision, finite entries cut at the largest number."""
    bound = torch.finfo(half).max
    return torch.where(result.isinf(), result, result.clamp(-bound, bound)).to(half)


def check_rows(name: str, rows: Tensor) -> None:
    """Raise InputError unless rows is a finite float32 or float64 matrix (n, d), n, d >= 1. name: for the message.

    float64 entries must be below 1e70, so that the squares of sums of their squares are finite. Where all are below
    1e-80 these may be 0, and rules and attacks may take rows for equal that are not.
    """
    check_matrix(name, rows)
    bad = (~finite_rows(rows)).nonzero()[:, 0].tolist()
    first = f"{len(bad)} of {len(rows)} rows are not finite, the first is row {(bad or [0])[0]}"
    check(not bad, f"{name}: {first}: remove them first")
    fits = rows.dtype == torch.float32 or max(map(abs, map(float, rows.detach().aminmax()))) < LARGEST
    check(fits, f"{name} has entries of {LARGEST:g} or more, whose fourth powers are too large for float64")


def check_matrix(name: str, rows: Tensor) -> None:
    """Raise InputError unless rows is a float32 or float64 matrix (n, d), n, d >= 1; its entries are not read."""
    check(isinstance(rows, Tensor), f"{name} must be a torch tensor, not {type(rows).__name__}")
    good = rows.ndim == 2 and rows.numel() > 0
    check(good, f"{name} must have the shape (n, d) with n, d >= 1, not {tuple(rows.shape)}")
    dense = rows.layout == torch.strided and not rows.is_meta
    check(dense, f"{name} must be a dense tensor with values: convert it first")
    good = rows.dtype in (torch.float32, torch.float64)
    kind = str(rows.dtype).removeprefix("torch.")
    check(good, f"{name} must be float32 or float64, not {kind}: convert them first")


def finite_rows(updates: Tensor) -> Tensor:
    """Return which rows have finite entries only: (n,) bool."""
    good = updates.detach().sum(1).isfinite()  # a finite sum has finite terms; a sum may overflow
    for i in (~good).nonzero()[:, 0].tolist():
        good[i] = updates[i].isfinite().all()
    return good


def version(updates: Tensor) -> int:
    """Return how often a tensor was changed in place; 0 for an inference tensor, which has no counter."""
    return 0 if updates.is_inference() else updates._version
