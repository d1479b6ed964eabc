"""CIFAR-100: the binary or the Python version, or parquet files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from . import cifar_batches
from .file_source import PHOTOS, FileSource, Layout
from .images import Format
from .parquet import ParquetTable

PARQUET = ParquetTable(images="img", labels="fine_label", format=Format(size=32))


@dataclass(frozen=True, kw_only=True)
class CIFAR100(FileSource):
    """50,000 + 10,000 photographs in 100 classes, 32 x 32 in colour: the binary or Python version, or parquet.

    train_size, test_size: use only so many images, always the same random ones; None means all.
    """

    key: ClassVar[str] = "cifar100"
    source: ClassVar[str] = "Krizhevsky, 2009"
    num_classes: ClassVar[int] = 100
    recipe: ClassVar[Mapping[str, Any]] = {**PHOTOS, "rounds": 60}
    mean: ClassVar[tuple[float, ...]] = (0.5071, 0.4865, 0.4409)
    std: ClassVar[tuple[float, ...]] = (0.2673, 0.2564, 0.2762)
    hub: ClassVar[str] = "uoft-cs/cifar100"
    advice: ClassVar[str] = (
        "Unpack cifar-100-binary.tar.gz or cifar-100-python.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html, "
        "or take the parquet files of uoft-cs/cifar100 on the Hugging Face hub, and name their folder with --data; "
        "or use --download"
    )

    def find(self, folder: Path) -> Layout | None:
        return cifar_batches.find_100(folder) or PARQUET.find(folder)
