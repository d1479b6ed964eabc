"""CIFAR-10: binary batches, Python batches or parquet files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from . import cifar_batches
from .file_source import PHOTOS, FileSource, Layout
from .images import Format
from .parquet import ParquetTable

PARQUET = ParquetTable(images="img", labels="label", format=Format(size=32))


@dataclass(frozen=True, kw_only=True)
class CIFAR10(FileSource):
    """50,000 + 10,000 photographs in 10 classes, 32 x 32 in colour: binary batches, Python batches or parquet.

    train_size, test_size: use only so many images, always the same random ones; None means all.
    """

    key: ClassVar[str] = "cifar10"
    source: ClassVar[str] = "Krizhevsky, 2009"
    num_classes: ClassVar[int] = 10
    recipe: ClassVar[Mapping[str, Any]] = {**PHOTOS, "rounds": 60}
    mean: ClassVar[tuple[float, ...]] = (0.4914, 0.4822, 0.4465)
    std: ClassVar[tuple[float, ...]] = (0.2023, 0.1994, 0.2010)
    hub: ClassVar[str] = "uoft-cs/cifar10"
    advice: ClassVar[str] = (
        "Unpack cifar-10-binary.tar.gz or cifar-10-python.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html, "
        "or take the parquet files of uoft-cs/cifar10 on the Hugging Face hub, and name their folder with --data; "
        "or use --download"
    )

    def find(self, folder: Path) -> Layout | None:
        return cifar_batches.find(folder) or PARQUET.find(folder)
