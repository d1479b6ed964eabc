"""CIFAR-10's original batches: five files to train, one to test, in a binary and in a Python version."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InputError, check
from .base import Array
from .file_source import Layout, Part

NAMES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
SHAPE = (-1, 3, 32, 32)
ROW = 3 * 32 * 32


def find(folder: Path) -> Layout | None:
    """The batches in a folder, or in the folder that their archive makes in it."""
    versions = (("cifar-10-batches-bin", ".bin", read_binary), ("cifar-10-batches-py", "", read_python))
    for inside, suffix, read in versions:
        for home in (folder, folder / inside):
            files = [home / f"{name}{suffix}" for name in NAMES]
            missing = [path.name for path in files if not path.is_file()]
            if len(missing) < len(files):
                check(not missing, f"{', '.join(missing)} missing in {str(home)!r}: is the download complete?")
                return _layout(folder, files, read)
    return None


def _layout(folder: Path, files: Sequence[Path], read: Callable[[Path], tuple[Array, Array]]) -> Layout:
    def part(paths: Sequence[Path]) -> Part:
        images, labels = zip(*map(read, paths), strict=True)
        return Part(np.concatenate(labels), np.concatenate(images).__getitem__)

    return Layout.of(folder, files[:-1], files[-1:], part)


def read_binary(path: Path) -> tuple[Array, Array]:
    """Images (N, 3, 32, 32) and labels (N,): a row of 3,073 bytes each, the label first."""
    content = np.fromfile(path, np.uint8)
    whole = len(content) > 0 and len(content) % (1 + ROW) == 0
    check(whole, f"{str(path)!r} holds {len(content)} bytes, no whole number of images: is the download complete?")
    rows = content.reshape(-1, 1 + ROW)
    return rows[:, 1:].reshape(SHAPE), rows[:, 0].astype(np.int64)


def read_python(path: Path) -> tuple[Array, Array]:
    """Images (N, 3, 32, 32) and labels (N,): a dictionary, pickled by Python 2."""
    wrong = InputError(f"{str(path)!r} is no Python batch of CIFAR-10, or damaged")
    with path.open("rb") as file:
        try:
            content = _Unpickler(file, encoding="bytes").load()
            data, labels = (_plain(content[key]) for key in (b"data", b"labels"))
        except InputError as error:
            raise InputError(f"{str(path)!r}: {error}") from None
        except Exception:  # a pickle is a program: it may fail in any way
            raise wrong from None
    good = data.dtype == np.uint8 and labels.dtype.kind == "i"
    if not (good and labels.shape == data.shape[:1] and data.shape[1:] == (ROW,)):
        raise wrong
    return data.reshape(SHAPE), labels.astype(np.int64)


class _Type:
    """Stands for a numpy.dtype in a pickle: of whole numbers, nothing else."""

    def __init__(self, name: bytes | str, *flags: object):
        text = name.decode("ascii") if isinstance(name, bytes) else name
        if not re.fullmatch("[iu][1248]", text):
            raise pickle.UnpicklingError(f"an array of {text}")
        self.dtype = np.dtype(text)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        big = state[1] in (b">", ">")
        self.dtype = self.dtype.newbyteorder(">" if big else "<")


class _Array:
    """Stands for a numpy.ndarray in a pickle. NumPy itself would believe a file that calls its bytes addresses."""

    values: Array | None = None

    def __init__(self, *blank: object):
        """What is in it comes with its state."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, by_columns, content = state
        self.values = np.frombuffer(content, kind.dtype).reshape(shape, order="F" if by_columns else "C")


def _plain(value: Any) -> Array:
    """An array of the pickle, or a list of numbers, as an array."""
    return np.array(value.values if isinstance(value, _Array) else value)


ADMITTED = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
}


class _Unpickler(pickle.Unpickler):
    """Makes arrays and plain containers, and calls nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        wanted = f"{module}.{name}"
        check((module, name) in ADMITTED, f"it asks for {wanted!r:.80}; only arrays and plain containers are read")
        return ADMITTED[module, name]
