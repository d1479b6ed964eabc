"""Fashion-MNIST: IDX files, as its authors and Debian distribute them, or parquet files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from .idx import IDXSource

DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")  # of Debian's package dataset-fashion-mnist


@dataclass(frozen=True, kw_only=True)
class FashionMNIST(IDXSource):
    """60,000 + 10,000 images of clothes in 10 classes, 28 x 28: the four IDX files (gzipped or not), or parquet.

    The IDX files may also be in `FashionMNIST/raw` below the folder, where torchvision puts them.

    train_size, test_size: use only so many images, always the same random ones; None means all.
    """

    key: ClassVar[str] = "fashion_mnist"
    source: ClassVar[str] = "Xiao et al., 2017"
    unpacked: ClassVar[str] = "FashionMNIST"
    mean: ClassVar[float] = 0.2860
    std: ClassVar[float] = 0.3530
    hub: ClassVar[str] = "zalando-datasets/fashion_mnist"
    default_folder: ClassVar[Path] = DEBIAN_FASHION
    advice: ClassVar[str] = (
        "Debian's package dataset-fashion-mnist brings the four IDX files, and so does "
        "https://github.com/zalandoresearch/fashion-mnist; --data names another folder with them or with the parquet "
        "files of zalando-datasets/fashion_mnist on the Hugging Face hub; or use --download"
    )
