"""Subsets of ImageNet: twelve classes that users copy from it, and Imagenette, which anybody can download."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ..core.errors import check, check_number
from . import image_tree
from .file_source import PHOTOS, FileSource, Layout
from .images import Format
from .parquet import ParquetTable


@dataclass(frozen=True, kw_only=True)
class Subset(FileSource, ABC):
    """Photographs in the classes of a folder tree, or in parquet files."""

    mean: ClassVar[tuple[float, ...]] = (0.485, 0.456, 0.406)
    std: ClassVar[tuple[float, ...]] = (0.229, 0.224, 0.225)
    recipe: ClassVar[Mapping[str, Any]] = PHOTOS
    archive: ClassVar[str] = ""  # the names of the folders that its archives unpack to
    size: int = 224

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("size", self.size, at_least=1, at_most=1024, whole=True)

    def find(self, folder: Path) -> Layout | None:
        format = Format(size=self.size, crop=True)
        table = ParquetTable(images="image", labels="label", test=("validation", "val", "test"), format=format)
        unpacked = (
            sorted(path for path in folder.glob(self.archive) if (path / "train").is_dir()) if self.archive else []
        )
        here = image_tree.find(folder, self.num_classes, format)
        if here is None and unpacked:
            names = ", ".join(path.name for path in unpacked)
            check(len(unpacked) == 1, f"{str(folder)!r} has {names}: name one of them")
            return image_tree.find(unpacked[0], self.num_classes, format)
        return here or table.find(folder)


@dataclass(frozen=True, kw_only=True)
class ImageNet12(Subset):
    """Twelve classes of ImageNet: a folder tree train/<class>/*.JPEG and val/<class>/*.JPEG, or parquet.

    size: images are resized so that the shorter side is size * 256 / 224, then cropped to the central size x size.
    train_size, test_size: use only so many images, always the same random ones; None means all.
    """

    key: ClassVar[str] = "imagenet12"
    source: ClassVar[str] = "Deng et al., CVPR 2009"
    num_classes: ClassVar[int] = 12
    advice: ClassVar[str] = (
        "Copy twelve classes of ImageNet (https://image-net.org) into a folder as train/<class>/*.JPEG and "
        "val/<class>/*.JPEG, and name it with --data; without ImageNet, --dataset imagenette is like it"
    )


@dataclass(frozen=True, kw_only=True)
class Imagenette(Subset):
    """Ten easy classes of ImageNet, 9,469 + 3,925 photographs: the folder tree train, val or parquet.

    size: images are resized so that the shorter side is size * 256 / 224, then cropped to the central size x size.
    train_size, test_size: use only so many images, always the same random ones; None means all.
    """

    key: ClassVar[str] = "imagenette"
    source: ClassVar[str] = "Howard, fast.ai 2019"
    num_classes: ClassVar[int] = 10
    hub: ClassVar[str] = "frgfm/imagenette/320px"
    archive: ClassVar[str] = "imagenette2*"
    advice: ClassVar[str] = (
        "Unpack imagenette2-320.tgz from https://github.com/fastai/imagenette, or take the parquet files of "
        "frgfm/imagenette (320px) on the Hugging Face hub, and name their folder with --data; or use --download"
    )
