"""MNIST: IDX files, as its authors and torchvision have them, or parquet files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .idx import IDXSource


@dataclass(frozen=True, kw_only=True)
class MNIST(IDXSource):
    """60,000 + 10,000 handwritten digits, 28 x 28: the four IDX files (gzipped or not), or parquet.

    The IDX files may also be in `MNIST/raw` below the folder, where torchvision puts them.

    train_size, test_size: use only so many images, always the same random ones; None means all.
    """

    key: ClassVar[str] = "mnist"
    source: ClassVar[str] = "LeCun et al., 1998"
    unpacked: ClassVar[str] = "MNIST"
    mean: ClassVar[float] = 0.1307
    std: ClassVar[float] = 0.3081
    hub: ClassVar[str] = "ylecun/mnist"
    advice: ClassVar[str] = (
        "Take the four IDX files of https://yann.lecun.com/exdb/mnist (or torchvision's folder), or the parquet files "
        "of ylecun/mnist on the Hugging Face hub, and name their folder with --data; or use --download"
    )
