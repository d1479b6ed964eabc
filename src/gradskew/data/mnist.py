"""MNIST: IDX files, as its authors and torchvision have them, or parquet files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from . import idx
from .file_source import FileSource, Layout
from .images import Format
from .parquet import ParquetTable

PARQUET = ParquetTable(images="image", labels="label", format=Format(size=28, colour=False))


@dataclass(frozen=True, kw_only=True)
class MNIST(FileSource):
    """60,000 + 10,000 handwritten digits, 28 x 28: the four IDX files (gzipped or not), or parquet.

    The IDX files may also be in `MNIST/raw` below the folder, where torchvision puts them.

    train_size, test_size: use only so many images, always the same random ones; None means all.
    """

    key: ClassVar[str] = "mnist"
    source: ClassVar[str] = "LeCun et al., 1998"
    num_classes: ClassVar[int] = 10
    recipe: ClassVar[Mapping[str, Any]] = {
        "model": "mlp(hidden=100)",
        "rounds": 40,
        "epochs": 1,
        "batch": 32,
        "lr": 0.1,
        "momentum": 0.9,
    }
    mean: ClassVar[float] = 0.1307
    std: ClassVar[float] = 0.3081
    hub: ClassVar[str] = "ylecun/mnist"
    advice: ClassVar[str] = (
        "Take the four IDX files of https://yann.lecun.com/exdb/mnist (or torchvision's folder), or the parquet files "
        "of ylecun/mnist on the Hugging Face hub, and name their folder with --data; or use --download"
    )

    def find(self, folder: Path) -> Layout | None:
        return idx.find(folder, "MNIST") or PARQUET.find(folder)
