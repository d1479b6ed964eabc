"""Fashion-MNIST: IDX files, as its authors and Debian distribute them, or parquet files."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ..core.errors import InputError, check
from .file_source import FileSource, Layout, Part
from .images import Format
from .parquet import ParquetTable

DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")  # of Debian's package dataset-fashion-mnist
PARQUET = ParquetTable(images="image", labels="label", format=Format(size=28, colour=False))
IMAGES, LABELS = "{}-images-idx3-ubyte", "{}-labels-idx1-ubyte"


@dataclass(frozen=True, kw_only=True)
class FashionMNIST(FileSource):
    """60,000 + 10,000 images of clothes in 10 classes, 28 x 28: the four IDX files (gzipped or not), or parquet.

    The IDX files may also be in `FashionMNIST/raw` below the folder, where torchvision puts them.

    train_size, test_size: use only so many images, always the same random ones; None means all.
    """

    key: ClassVar[str] = "fashion_mnist"
    source: ClassVar[str] = "Xiao et al., 2017"
    num_classes: ClassVar[int] = 10
    recipe: ClassVar[Mapping[str, Any]] = {
        "model": "mlp(hidden=100)",
        "rounds": 40,
        "epochs": 1,
        "batch": 32,
        "lr": 0.1,
        "momentum": 0.9,
    }
    mean: ClassVar[float] = 0.2860
    std: ClassVar[float] = 0.3530
    hub: ClassVar[str] = "zalando-datasets/fashion_mnist"
    default_folder: ClassVar[Path] = DEBIAN_FASHION
    advice: ClassVar[str] = (
        "Debian's package dataset-fashion-mnist brings the four IDX files, and so does "
        "https://github.com/zalandoresearch/fashion-mnist; --data names another folder with them or with the parquet "
        "files of zalando-datasets/fashion_mnist on the Hugging Face hub; or use --download"
    )

    def find(self, folder: Path) -> Layout | None:
        names = [name.format(part) for part in ("train", "t10k") for name in (IMAGES, LABELS)]
        homes = (folder, folder / "raw", folder / "FashionMNIST" / "raw")
        home = next((home for home in homes if any(_existing(home, name) for name in names)), None)
        if home is None:
            return PARQUET.find(folder)
        files = [_idx_file(home, name) for name in names]
        return Layout(home, files, lambda: (_part(home, "train"), _part(home, "t10k")))


def _part(folder: Path, name: str) -> Part:
    images = read_idx(folder, IMAGES.format(name), 3).numpy()
    labels = read_idx(folder, LABELS.format(name), 1).long().numpy()
    check(len(images) == len(labels), f"the part {name!r} has {len(images)} images and {len(labels)} labels")
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
