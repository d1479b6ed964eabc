"""The original files of CIFAR-10 (five training batches and one of the test) and of CIFAR-100 (one each)."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InputError, check
from .base import Array, whole_numbers
from .file_source import Layout, Part

NAMES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
SHAPE = (-1, 3, 32, 32)
ROW = 3 * 32 * 32
Read = Callable[[Path], tuple[Array, Array]]


def find(folder: Path) -> Layout | None:
    """Return the layout of a folder with CIFAR-10's batches, or with their unpacked archive; None if it has neither.

    InputError if some of the batches are missing.
    """
    versions = (("cifar-10-batches-bin", ".bin", read_binary), ("cifar-10-batches-py", "", read_python))
    return _find(folder, NAMES, versions)


def find_100(folder: Path) -> Layout | None:
    """Return the layout of a folder with CIFAR-100's two files, as `find` does; labels are its 100 fine ones."""
    binary, python = partial(read_binary, labels=2), partial(read_python, key=b"fine_labels")
    return _find(folder, ("train", "test"), (("cifar-100-binary", ".bin", binary), ("cifar-100-python", "", python)))


def _find(folder: Path, names: Sequence[str], versions: Sequence[tuple[str, str, Read]]) -> Layout | None:
    """Return the layout of the files `names` in one of the versions: (unpacked folder, suffix, function that reads)."""
    for unpacked, suffix, read in versions:
        for home in (folder, folder / unpacked):
            files = [home / f"{name}{suffix}" for name in names]
            missing = [path.name for path in files if not path.is_file()]
            if len(missing) < len(files):
                check(not missing, f"{', '.join(missing)} missing in {str(home)!r}: is the download complete?")
                return _layout(folder, files, read)
    return None


def _layout(folder: Path, files: Sequence[Path], read: Read) -> Layout:
    def part(paths: Sequence[Path]) -> Part:
        images, labels = zip(*map(read, paths), strict=True)
        return Part(np.concatenate(labels), np.concatenate(images).__getitem__)

    return Layout.of_parts(folder, files[:-1], files[-1:], part)


def read_binary(path: Path, *, labels: int = 1) -> tuple[Array, Array]:
    """Read images (N, 3, 32, 32) uint8 and labels (N,) int64 from rows of 3,072 bytes behind the labels.

    labels: how many of them a row has, each a byte; the last one counts.
    """
    content = np.fromfile(path, np.uint8)
    whole = len(content) > 0 and len(content) % (labels + ROW) == 0
    check(whole, f"{str(path)!r} holds {len(content)} bytes, not a whole number of images: is the download complete?")
    rows = content.reshape(-1, labels + ROW)
    return rows[:, labels:].reshape(SHAPE), rows[:, labels - 1].astype(np.int64)


def read_python(path: Path, *, key: bytes = b"labels") -> tuple[Array, Array]:
    """Read images (N, 3, 32, 32) uint8 and labels (N,) int64 from a dictionary that Python 2 pickled. key: of these."""
    wrong = InputError(f"{str(path)!r} is not a Python batch of CIFAR, or damaged")
    with path.open("rb") as file:
        try:
            content = _Unpickler(file, encoding="bytes").load()
            data, labels = (_to_array(content[name]) for name in (b"data", key))
        except InputError as error:
            raise InputError(f"{str(path)!r}: {error}") from None
        except Exception:  # a pickle is a program: it may fail in any way
            raise wrong from None
    whole = whole_numbers(labels)
    if whole is None or data.dtype != np.uint8 or whole.shape != data.shape[:1] or data.shape[1:] != (ROW,):
        raise wrong
    return data.reshape(SHAPE), whole


class _DType:
    """What the unpickler makes instead of a numpy.dtype; it accepts whole numbers only."""

    def __init__(self, name: bytes | str, *flags: object):
        text = name.decode("ascii") if isinstance(name, bytes) else name
        if not re.fullmatch("[iu][1248]", text):
            raise pickle.UnpicklingError(f"an array of {text}")
        self.dtype = np.dtype(text)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        big_endian = state[1] in (b">", ">")
        self.dtype = self.dtype.newbyteorder(">" if big_endian else "<")


class _Array:
    """What the unpickler makes instead of a numpy.ndarray, which would take bytes of the file for memory addresses."""

    values: Array | None = None

    def __init__(self, *_: object):
        """Make an empty array, which `__setstate__` fills."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran_order, content = state
        self.values = np.frombuffer(content, kind.dtype).reshape(shape, order="F" if fortran_order else "C")


def _to_array(value: Any) -> Array:
    """Convert an array of the pickle, or a list of numbers, to a NumPy array."""
    return np.array(value.values if isinstance(value, _Array) else value)


ALLOWED = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
}


class _Unpickler(pickle.Unpickler):
    """Unpickle arrays and plain containers, and call nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        wanted = f"{module}.{name}"
        check((module, name) in ALLOWED, f"it asks for {wanted!r:.80}; only arrays and plain containers are read")
        return ALLOWED[module, name]
