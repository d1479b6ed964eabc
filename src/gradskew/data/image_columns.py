"""The columns of a table that may hold encoded images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import check, check_choice, check_number
from ..core.names import Fields
from .base import Array
from .columns import Columns
from .declared import columns_of
from .images import EncodedImage, format_like
from .parquet import check_images, encoded
from .preparation import Examples

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True, kw_only=True)
class ImageOptions(Fields):
    """How a column of encoded images is read.

    images: the column, {bytes, path}, which is the input then. size: resize images so that the shorter side is so long,
    and cut the middle out; None: all have the size of the first. colour: False for one channel.
    """

    images: str | None = None
    size: int | None = None
    colour: bool = True

    def __post_init__(self) -> None:
        if self.images is not None:
            object.__setattr__(self, "images", str(self.images))
        check_choice("colour", self.colour, (False, True))
        if self.size is not None:
            check_number("size", self.size, at_least=1, at_most=1024, whole=True)

    def check_images_named(self) -> None:
        """Raise InputError for options of images where no column holds the images."""
        for name, given in (("size", self.size is not None), ("colour", not self.colour)):
            check(self.images is not None or not given, f"{name} is of images: images names their column")


@dataclass(frozen=True, kw_only=True)
class ImageColumns(ImageOptions, Columns):
    """The columns of a table, of which one may hold encoded images."""

    def __post_init__(self) -> None:
        ImageOptions.__post_init__(self)
        Columns.__post_init__(self)

    def of_tables(self, train: pyarrow.Table, test: pyarrow.Table | None = None) -> Examples:
        """Return the rows of a table, and of a test part of its own.

        Label and images that no option names are the only columns that the table declares as such.
        """
        chosen, said = self._with_declared(train.schema)
        chosen.check_images_named()
        tables = [train] if test is None else [train, test]
        needed = [chosen.needed(each.column_names, chosen.images, in_test=each is test) for each in tables]
        rows = [each.select(names) for each, names in zip(tables, needed, strict=True)]
        examples = chosen.read_tables(rows[:1], rows[1:], chosen._decoder(tables))
        return replace(examples, said=[*said, *examples.said])

    def _decoder(self, tables: Sequence[pyarrow.Table]) -> Callable[[Array], Array] | None:
        """Return the function from rising indices (k,) among the rows of all tables to their images; None without."""
        if self.images is None:
            return None
        name = self.images
        for table in tables:
            check_images(table.schema.field(name).type, f"the column {name!r}")
        first = next(_encoded(tables, name, np.array([0])), [])
        check(len(first) > 0, "there are no rows")
        format = format_like(first[0], self.size, colour=self.colour)
        return lambda index: format.decode_all(_encoded(tables, name, index), len(index))

    def _with_declared(self, schema: pyarrow.Schema) -> tuple[ImageColumns, list[str]]:
        """Return the columns with the label and the images that a table declares, and sentences on these."""
        label, images = self.label, self.images
        if label is None:
            label = _only(columns_of(schema, "ClassLabel"))
        if not (images or self.text or self.features or self.categories or self.drop):
            images = _only(columns_of(schema, "Image"))
        found = {"label": label if self.label is None else None, "images": images if self.images is None else None}
        said = [f"{option}={column}, as the data set declares" for option, column in found.items() if column]
        return replace(self, label=label, images=images), said


def _only(names: Sequence[str]) -> str | None:
    """Return the only name; None if there are none or several."""
    return names[0] if len(names) == 1 else None


def _encoded(tables: Sequence[pyarrow.Table], name: str, index: Array) -> Iterator[list[EncodedImage]]:
    """Yield the images with these rising indices (k,) among the rows of all tables, from one chunk at a time."""
    before = 0
    for chunk in (chunk for table in tables for chunk in table.column(name).chunks):
        rows = index[np.searchsorted(index, before) : np.searchsorted(index, before + len(chunk))]
        if len(rows):
            values = chunk.take(rows - before).to_pylist()
            yield [encoded(value, f"row {row}") for value, row in zip(values, rows, strict=True)]
        before += len(chunk)
