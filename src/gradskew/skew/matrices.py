"""Reading a user's matrix of updates, from one file or from a folder with one file per client.

Files are mapped, so that a matrix may be larger than memory. Nothing is unpickled: `.npy` and `.safetensors` hold only
numbers.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..core.errors import InputError, check

IN_MEMORY = 1 << 30  # bytes: a new matrix that is larger is a mapped temporary file
STRIP = 1 << 24  # entries that are copied at a time
PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".npz", ".joblib")
SAFETENSORS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
WHOLE = ("I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL")  # counters and masks, which are no updates

Array = NDArray[Any]


def read_matrix(path: Path | str) -> Tensor:
    """Read a matrix of updates (n, d), float32 or float64, which may be larger than memory.

    path: a `.npy` file (n, d); a `.safetensors` file with one tensor (n, d); or a folder with one file per client,
    which is one row: a `.npy` of any shape, flattened, or a `.safetensors` with all its tensors flattened, in the order
    of their names. Clients are sorted by file name, client2 before client10. float16 and bfloat16 become float32;
    tensors of whole numbers in a `.safetensors`, such as batch norm's counters, are left out. Files are mapped
    read-only and never changed. Raises InputError for anything else.
    """
    path = Path(path)
    if path.is_dir():
        return _tensor(_folder(path))
    parts = _parts(path)
    wrong = f"{str(path)!r} holds {len(parts)} tensors ({', '.join(map(repr, list(parts)[:4]))}, ...)"
    check(len(parts) == 1, f"{wrong}: one matrix (n, d) is wanted, or a folder with one file per client")
    ((name, array),) = parts.items()
    wrong = f"{name or str(path)!r} has the shape {array.shape}"
    check(array.ndim == 2 and array.size > 0, f"{wrong}: a matrix (n, d) with n, d >= 1 is wanted, one client per row")
    usable = array.dtype in (np.float32, np.float64) and array.flags.c_contiguous and array.flags.aligned
    return _tensor(array if usable else _copied(len(array), array.shape[1], iter(array), _kind(array)))


def with_front(front: Tensor, rows: Tensor) -> Tensor:
    """Return front (f, d) above rows (n, d): a new matrix (f + n, d), in a temporary file if it is large."""
    check(front.shape[1] == rows.shape[1], f"front has {front.shape[1]} columns, rows has {rows.shape[1]}")
    kind: Any = {torch.float32: np.float32, torch.float64: np.float64}[rows.dtype]
    both = (each.numpy() for matrix in (front.to(rows.dtype), rows) for each in matrix)
    return _tensor(_copied(len(front) + len(rows), rows.shape[1], both, kind))


def kept(rows: Tensor, good: Tensor) -> Tensor:
    """Return the rows (n, d) where good (n,) is true: a new matrix, in a temporary file if it is large."""
    kind: Any = {torch.float32: np.float32, torch.float64: np.float64}[rows.dtype]
    selected = (row.numpy() for row, keep in zip(rows, good.tolist(), strict=True) if keep)
    return _tensor(_copied(int(good.sum()), rows.shape[1], selected, kind))


def _tensor(array: Array) -> Tensor:
    """Return a tensor on the memory of the array, which must not be written."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def _copied(n: int, d: int, rows: Iterator[Array], kind: Any) -> Array:
    """Copy rows into a new matrix (n, d) of dtype `kind`, in strips, with bfloat16 widened."""
    matrix = _new_matrix(n, d, kind)
    for target, row in zip(matrix, rows, strict=True):
        for start in range(0, d, STRIP):
            part = row[start : start + STRIP]
            target[start : start + STRIP] = _widened(part) if part.dtype == np.uint16 else part
    return matrix


def _new_matrix(n: int, d: int, kind: Any) -> Array:
    """Return an uninitialised matrix (n, d), in a mapped temporary file if it is large."""
    if n * d * np.dtype(kind).itemsize <= IN_MEMORY:
        return np.empty((n, d), kind)
    try:
        with tempfile.TemporaryFile() as file:  # the mapping keeps it open
            return np.memmap(file, dtype=kind, mode="w+", shape=(n, d))
    except OSError as error:
        size = n * d * np.dtype(kind).itemsize
        raise InputError(f"no room for {size / 1e9:.1f} GB in {tempfile.gettempdir()}: {error.strerror}") from None


def _widened(bits: Array) -> Array:
    """Convert bfloat16, given as uint16, to float32, of which it is the upper half."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _kind(array: Array) -> Any:
    """Return the dtype of a matrix for the entries of an array: float64 for float64, else float32."""
    return np.float64 if array.dtype == np.float64 else np.float32


def _folder(path: Path) -> Array:
    """Read one row per file into a new matrix."""
    files = sorted((each for each in path.iterdir() if each.name[0] != "."), key=lambda each: _natural(each.name))
    check(bool(files), f"the folder {str(path)!r} is empty: one .npy or .safetensors file per client is wanted")
    first = _layout(_parts(files[0]))
    d = sum(math.prod(shape) for _, shape, _ in first)
    check(d > 0, f"{str(files[0])!r} holds no numbers")
    kinds = {kind for _, _, kind in first}
    matrix = _new_matrix(len(files), d, np.float64 if kinds == {"<f8"} else np.float32)
    for row, file in zip(matrix, files, strict=True):
        parts = _parts(file)
        same = _layout(parts) == first
        check(same, f"{file.name} differs from {files[0].name}: {_summary(_layout(parts))}, not {_summary(first)}")
        start = 0
        for array in parts.values():
            flat = array.reshape(1, -1)
            row[start : start + flat.size] = _copied(1, flat.size, iter(flat), row.dtype)[0] if flat.size else 0
            start += flat.size
    return matrix


def _layout(parts: Mapping[str, Array]) -> list[tuple[str, tuple[int, ...], str]]:
    """Return the name, shape and dtype of each tensor."""
    return [(name, array.shape, array.dtype.str) for name, array in parts.items()]


def _summary(layout: list[tuple[str, tuple[int, ...], str]]) -> str:
    """Return the first three tensors of a layout as text."""
    listed = [f"{name} {shape} {kind}".strip() for name, shape, kind in layout[:3]]
    return ", ".join(listed) + (f" and {len(layout) - 3} more" if len(layout) > 3 else "")


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a sort key that puts client2 before client10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _parts(path: Path) -> dict[str, Array]:
    """Map the tensors of a file, by name; the one of a `.npy` has the name ''."""
    suffix = path.suffix.lower()
    if suffix in PICKLES:
        reason = "may be a pickle, which can run code when it is read" if suffix != ".npz" else "cannot be mapped"
        raise InputError(f"{str(path)!r} {reason}: save it by numpy.save or safetensors.torch.save_file instead")
    check(suffix in (".npy", ".safetensors"), f"{str(path)!r} is neither .npy nor .safetensors, nor a folder of them")
    try:
        return {"": _npy(path)} if suffix == ".npy" else _safetensors(path)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror or error}") from None
    except (
        ValueError,
        EOFError,
        SafetensorError,
        OverflowError,
        TokenError,
        SyntaxError,
    ) as error:  # of NumPy's parser too
        raise InputError(f"{str(path)!r} is damaged, or not what its name says: {error}") from None


def _npy(path: Path) -> Array:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    good = array.dtype in (np.float16, np.float32, np.float64) and array.dtype.isnative
    check(good, f"{str(path)!r} holds {array.dtype.str}: float64, 32 or 16 in the machine's own byte order is wanted")
    return np.asarray(array)


def _safetensors(path: Path) -> dict[str, Array]:
    """Map the tensors of a file by the offsets in its header, which the library has checked."""
    with safe_open(path, framework="np") as file:
        names = sorted(file.keys())
    with path.open("rb") as raw:
        length = int.from_bytes(raw.read(8), "little")
        header = json.loads(raw.read(length))
    parts = {}
    for name in names:
        kind, (start, end) = header[name]["dtype"], header[name]["data_offsets"]
        if kind in WHOLE:
            continue
        check(kind in SAFETENSORS, f"{name!r} in {str(path)!r} holds {kind}: floating-point numbers are wanted")
        shape = tuple(header[name]["shape"])
        empty = start == end
        options = {"offset": 8 + length + start, "shape": shape, "dtype": SAFETENSORS[kind]}
        parts[name] = np.empty(shape, SAFETENSORS[kind]) if empty else np.asarray(np.memmap(path, mode="r", **options))
    check(bool(parts), f"{str(path)!r} holds no tensor of floating-point numbers")
    return parts
