"""Fashion-MNIST: IDX files, as its authors and Debian distribute them, or parquet files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from . import idx
from .file_source import FileSource, Layout
from .images import Format
from .parquet import ParquetTable

DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")  # of Debian's package dataset-fashion-mnist
PARQUET = ParquetTable(images="image", labels="label", format=Format(size=28, colour=False))


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
        return idx.find(folder, "FashionMNIST") or PARQUET.find(folder)
