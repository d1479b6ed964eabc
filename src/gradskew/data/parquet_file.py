"""A user's table in Parquet files: of numbers and texts, or of encoded images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..core.errors import check
from .base import Array
from .columns import Columns
from .image_columns import ImageOptions
from .images import format_like
from .own_source import OwnFile
from .parquet import PATTERNS, check_images, encoded_images, files_of_part, opened
from .preparation import Examples

if TYPE_CHECKING:
    import pyarrow

PARTS = (["train"], ["test", "validation", "val"])


@dataclass(frozen=True, kw_only=True)
class ParquetFile(ImageOptions, OwnFile, Columns):
    """A table of yours in Parquet: parquet:FILE_OR_FOLDER(labels=COLUMN,client=COLUMN), or images in a column.

    A folder may have a training and a test part, as on the Hugging Face hub (train-00000-of-00001.parquet); else all
    its files are rows. Without images all columns but label and client are inputs, as in a CSV file. labels: the same
    as label.
    """

    key: ClassVar[str] = "parquet"
    wanted: ClassVar[str] = "FILE(labels=COLUMN,client=COLUMN)"
    labels: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.labels is not None:
            check(self.label is None, "labels and label are the same option: give one")
            object.__setattr__(self, "label", str(self.labels))
            object.__setattr__(self, "labels", None)
        for base in (ImageOptions, Columns, OwnFile):
            base.__post_init__(self)
        self.check_images_named()

    def files(self) -> tuple[Sequence[Path], Sequence[Path]]:
        train, test = super().files()
        if self.folder is not None and self.folder.is_dir() and not test:
            parts = [files_of_part(train, names) for names in PARTS]
            check(bool(parts[0]) or not parts[1], f"{str(self.folder)!r} has a test part, and no training part")
            train, test = (parts[0], parts[1]) if parts[0] else (train, test)
        return train, test

    def found(self, path: Path) -> Sequence[Path]:
        if not path.is_dir():
            return super().found(path)
        files = sorted(each for pattern in PATTERNS for each in path.glob(pattern))
        check(len(files) > 0, f"the folder {str(path)!r} has no parquet files")
        return files

    def examples(self, train: Sequence[Path], test: Sequence[Path]) -> Examples:
        rows, own = [self._table(path) for path in train], [self._table(path, in_test=True) for path in test]
        if self.images is None:
            return self.read_tables(rows, own)
        files, name = [*train, *test], self.images
        first = next(encoded_images(files, name, np.array([0])), [])
        check(len(first) > 0, "there are no rows")
        format = format_like(first[0], self.size, colour=self.colour)

        def decode(index: Array) -> Array:
            return format.decode_all(encoded_images(files, name, index), len(index))

        return self.read_tables(rows, own, decode)

    def _table(self, path: Path, *, in_test: bool = False) -> pyarrow.Table:
        """Read the columns that count from a file."""
        with opened(path) as file:
            names = file.schema_arrow.names
            needed = self.needed(names, self.images, in_test=in_test)
            if self.images is not None:
                check_images(file.schema_arrow.field(self.images).type, f"the column {self.images!r} of {str(path)!r}")
            return file.read(needed, use_threads=False)
