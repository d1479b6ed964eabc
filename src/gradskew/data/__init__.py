"""Data sets. One source a file, one table of names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..core.errors import check
from ..core.names import Registry, parse_one
from . import hub
from .arrays import put_together, take_apart
from .base import Dataset, Source, Split
from .cifar10 import CIFAR10
from .digits import Digits
from .fashion_mnist import DEBIAN_FASHION, FashionMNIST, read_idx
from .femnist import FEMNIST
from .file_source import FileSource
from .imagenet import ImageNet12, Imagenette

__all__ = [
    "CIFAR10",
    "DEBIAN_FASHION",
    "FEMNIST",
    "SOURCES",
    "Dataset",
    "Digits",
    "FashionMNIST",
    "FileSource",
    "ImageNet12",
    "Imagenette",
    "Source",
    "Split",
    "make",
    "put_together",
    "read_idx",
    "take_apart",
]

SOURCES: Registry[Source] = Registry("dataset", [Digits, FashionMNIST, CIFAR10, ImageNet12, Imagenette, FEMNIST])


def make(name: str, *, folder: Path | None = None, download: bool = False) -> Source:
    """The source with this name: `digits`, `cifar10(train_size=10000)`.

    folder: where its files are. download: get them from the Hugging Face hub, or use what was got before.
    """
    key, options = parse_one(name, "dataset")
    if key == Digits.key:
        check(folder is None and not download, "the digits are embedded: they are read from no folder")
    source = SOURCES.make(key, {**options, **({} if folder is None else {"folder": folder})})
    if download and isinstance(source, FileSource):
        check(source.folder is None, "give a folder or have the data downloaded, not both")
        check(bool(source.hub), f"{key} cannot be downloaded. {source.advice}")
        return replace(source, folder=hub.fetch(source.hub))
    return source
