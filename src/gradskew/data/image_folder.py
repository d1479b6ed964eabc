"""A user's images in folders, one for each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from ..core.errors import check, check_choice, check_number
from . import coding
from .image_tree import TEST_FOLDERS, classes_in, files_in
from .images import EncodedImage, format_like
from .own_source import OwnFile, check_exists
from .preparation import Examples


@dataclass(frozen=True, kw_only=True)
class ImageFolder(OwnFile):
    """Images of yours, JPEG or PNG, in a folder for each class: images:FOLDER(size=32), FOLDER/<class>/*.png.

    A folder with `train` is divided already: train/<class>, and val, validation or test; the first of these is the test
    part. size: resize images so that the shorter side is so long, and cut the middle out; None: all have the size of
    the first. colour: False for one channel.
    """

    key: ClassVar[str] = "images"
    wanted: ClassVar[str] = "FOLDER(size=32)"
    size: int | None = None
    colour: bool = True
    client: str | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("colour", self.colour, (False, True))
        if self.size is not None:
            check_number("size", self.size, at_least=1, at_most=1024, whole=True)

    def files(self) -> tuple[Sequence[Path], Sequence[Path]]:
        folder = self.folder
        if folder is None or not classes_in(folder / "train"):
            return super().files()
        own = next((folder / name for name in TEST_FOLDERS if classes_in(folder / name)), self.test_file)
        both = f"{str(folder)!r} is divided already: leave the folder in test out"
        check(own == self.test_file or self.test_file is None, both)
        return self.found(folder / "train"), [] if own is None else self.found(own)

    def found(self, path: Path) -> Sequence[Path]:
        check_exists(path, "folder ")
        check(path.is_dir(), f"{str(path)!r} is no folder")
        names = classes_in(path)
        check(len(names) > 0, f"{str(path)!r} has no folders, one for each class")
        return [file for files in files_in(path, names) for file in files]

    def examples(self, train: Sequence[Path], test: Sequence[Path]) -> Examples:
        images = [EncodedImage(path, repr(str(path))) for path in (*train, *test)]
        names = [path.parent.name for path in (*train, *test)]
        format = format_like(images[0], self.size, colour=self.colour)
        labels = coding.labels("the folder", *coding.of_array(np.array(names)))
        in_test = np.arange(len(images)) >= len(train) if test else None
        said = coding.about("folders", labels)

        def decode(index: np.ndarray) -> np.ndarray:
            return format.decode_all([[images[i] for i in index]], len(index))

        return Examples(labels, decode, None, in_test, said)
