"""IDX files, as MNIST and what followed it come: four files, gzipped or not."""

from __future__ import annotations

import gzip
import math
import zlib
from abc import ABC
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ..core.errors import InputError, check
from .file_source import FileSource, Layout, Part
from .images import Format
from .parquet import ParquetTable

IMAGES, LABELS = "{}-images{}idx3-ubyte", "{}-labels{}idx1-ubyte"
SEPARATORS = ("-", ".")  # train-images-idx3-ubyte, and train-images.idx3-ubyte
PARQUET = ParquetTable(images="image", labels="label", format=Format(size=28, colour=False))


class IDXSource(FileSource, ABC):
    """A data set of ten classes, 28 x 28, in four IDX files or in parquet.

    unpacked: the folder in which torchvision has its folder `raw`.
    """

    unpacked: ClassVar[str]
    num_classes: ClassVar[int] = 10
    recipe: ClassVar[Mapping[str, Any]] = {
        "model": "mlp(hidden=100)",
        "rounds": 40,
        "epochs": 1,
        "batch": 32,
        "lr": 0.1,
        "momentum": 0.9,
    }

    def find(self, folder: Path) -> Layout | None:
        homes = (folder, folder / "raw", folder / self.unpacked / "raw")
        return find(homes, ("train", "t10k")) or PARQUET.find(folder)


def find(homes: Sequence[Path], parts: Sequence[str]) -> Layout | None:
    """Return the layout of the first of these folders with IDX files; None if none has any.

    parts: what the names of the training and of the test part begin with.
    """
    for home in homes:
        for sep in SEPARATORS:
            names = [text.format(part, sep) for part in parts for text in (IMAGES, LABELS)]
            if any(_existing(home, each) for each in names):
                return _layout(home, names)
    return None


def _layout(home: Path, names: Sequence[str]) -> Layout:
    files = [_idx_file(home, name) for name in names]
    return Layout(home, files, lambda: (_part(home, *names[:2]), _part(home, *names[2:])))


def _part(folder: Path, images_name: str, labels_name: str) -> Part:
    images = read_idx(folder, images_name, 3).numpy()
    labels = read_idx(folder, labels_name, 1).long().numpy()
    part = images_name.partition("-images")[0]
    check(len(images) == len(labels), f"the part {part!r} has {len(images)} images and {len(labels)} labels")
    return Part(labels, lambda index: images[index])


def _existing(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / f"{name}.gz", folder / name) if path.exists()), None)


def _idx_file(folder: Path, name: str) -> Path:
    path = _existing(folder, name)
    if path is None:
        raise InputError(f"{name}.gz is missing in {str(folder)!r}")
    return path


def read_idx(folder: Path, name: str, ndim: int) -> Tensor:
    """Read the uint8 array of `ndim` dimensions in the IDX file `name` or `name.gz` (format: LeCun's MNIST page)."""
    path = _idx_file(folder, name)
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"cannot read {str(path)!r}: {error}") from None
    header = 4 + 4 * ndim
    good = len(content) >= header and content[:4] == bytes([0, 0, 8, ndim])
    check(good, f"{str(path)!r} is not an IDX file of bytes with {ndim} dimensions")
    shape = [int(size) for size in np.frombuffer(content[4:header], ">u4")]
    size, wanted = len(content) - header, math.prod(shape)
    check(size == wanted, f"{str(path)!r} holds {size} bytes, its header says {wanted}")
    return torch.from_numpy(np.frombuffer(content[header:], np.uint8).reshape(shape).copy())
