"""Parquet files as on the Hugging Face hub: a column of encoded images and a column of labels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import InputError, check
from .base import Array, whole_numbers
from .file_source import Layout, Part, id_array
from .images import EncodedImage, Format

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

FILE_NAME = re.compile(r"(?P<part>[a-z]+)(-(?P<number>\d{5})-of-(?P<count>\d{5}).*)?\.parquet")
PATTERNS = ("*.parquet", "*/*.parquet", "*/*/*.parquet")


@dataclass(frozen=True, kw_only=True)
class ParquetTable:
    """The names of a data set's columns: of images as {bytes, path}, of labels as whole numbers, of writers as strings.

    test: the names that the test part may have; the first that the folder has is taken. If it has none and the writers
    are known, the last tenth of each writer's images is the test part.
    """

    images: str
    labels: str
    writers: str | None = None
    test: Sequence[str] = ("test",)
    format: Format

    def find(self, folder: Path) -> Layout | None:
        """Return the layout of a folder with parquet files in it or up to two folders below; None if it has none.

        InputError if files of a part are missing.
        """
        files = sorted(path for pattern in PATTERNS for path in folder.glob(pattern))
        train, test = files_of_part(files, ["train"]), files_of_part(files, self.test)
        if not train and not test:
            return None
        missing = f"has no parquet files of the {'test' if train else 'training'} part: is the download complete?"
        check(bool(train) and bool(test or self.writers), f"the folder {str(folder)!r} {missing}")
        return Layout.of_parts(folder, train, test, self.read)

    def read(self, files: Sequence[Path]) -> Part:
        """Read the labels and writers of one part; its images are read when they are decoded."""
        labels, writers = [], []
        for path in files:
            with opened(path) as file:
                labels.append(_values(file, self.labels, path, kind="integer"))
                if self.writers is not None:
                    writers.append(_values(file, self.writers, path, kind="string"))
                check_images(_type(file, self.images, path), f"the column {self.images!r} of {str(path)!r}")
        return Part(
            np.concatenate(labels),
            lambda index: self.format.decode_all(encoded_images(files, self.images, index), len(index)),
            np.concatenate(writers) if writers else None,
        )


def encoded_images(files: Sequence[Path], name: str, index: Array) -> Iterator[list[EncodedImage]]:
    """Yield the images with these rising indices (k,) of a column in files, one row group at a time."""
    before = 0
    for path in files:
        with opened(path) as file:
            start, part = before, f"{name}.bytes" if file.schema_arrow.field(name).type.num_fields else name
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                rows = index[np.searchsorted(index, before) : np.searchsorted(index, before + count)]
                if len(rows):
                    column = file.read_row_group(group, [part], use_threads=False).column(0)
                    values = column.take(rows - before).to_pylist()
                    places = [f"row {row - start} of {str(path)!r}" for row in rows]
                    yield [encoded(value, place) for value, place in zip(values, places, strict=True)]
                before += count


def files_of_part(files: Sequence[Path], names: Sequence[str]) -> list[Path]:
    """Return the files of the first of the named parts that has any; InputError if some of its files are missing.

    A file is named like `train-00000-of-00002.parquet` or `train/0000.parquet`.
    """
    matches = [(FILE_NAME.fullmatch(path.name), path) for path in files]
    parts = [(match["part"] if match else path.parent.name, match, path) for match, path in matches]
    for name in names:
        shards = [(match, path) for part, match, path in parts if part == name]
        if shards:
            paths, folders = [path for _, path in shards], sorted({str(path.parent) for _, path in shards})
            check(len(folders) == 1, f"{' and '.join(folders)} both have a part {name!r}: name one of the folders")
            count = max(int(match["count"] or 1) if match else len(paths) for match, _ in shards)
            numbers = {match["number"] if match else path.name for match, path in shards}
            versions = f"{folders[0]!r} has more than one version of the part {name!r}: keep one"
            check(len(numbers) == len(paths) <= count, versions)
            complete = f"{folders[0]!r} has {len(paths)} of the {count} parquet files of the part {name!r}"
            check(len(paths) == count, f"{complete}: is the download complete?")
            return paths
    return []


@contextmanager
def opened(path: Path) -> Iterator[ParquetFile]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield file
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"cannot read {str(path)!r}: is the download complete? ({reason})") from None


def _values(file: ParquetFile, name: str, path: Path, *, kind: str) -> Array:
    """Read a whole column (N,); InputError if a row has no value. kind: `integer` or `string`."""
    from pyarrow import types

    given, wrong = _type(file, name, path), f"the column {name!r} of {str(path)!r} must have one {kind} per row"
    numbers = types.is_integer(given) or types.is_floating(given)
    check(numbers if kind == "integer" else types.is_string(given) or types.is_large_string(given), wrong)
    column = file.read([name], use_threads=False).column(0)
    check(column.null_count == 0, wrong)
    if kind == "string":
        return id_array(column.to_pylist(), path)
    whole = whole_numbers(column.to_numpy())
    if whole is None:
        raise InputError(wrong)
    return whole


def check_images(kind: Any, place: str) -> None:
    """Raise InputError unless a column of this type holds encoded images. place: what a message calls the column."""
    import pyarrow.types
    from pyarrow.types import is_binary, is_large_binary

    field = kind.get_field_index("bytes") if pyarrow.types.is_struct(kind) else -1
    good = field >= 0 and any(is_kind(kind.field(field).type) for is_kind in (is_binary, is_large_binary))
    check(good, f"{place} must hold encoded images as {{bytes, path}}, not {kind}")


def _type(file: ParquetFile, name: str, path: Path) -> Any:
    schema = file.schema_arrow
    check(name in schema.names, f"{str(path)!r} has no column {name!r}; it has {', '.join(schema.names)}")
    check(schema.names.count(name) == 1, f"{str(path)!r} has more than one column {name!r}")
    return schema.field(name).type


def encoded(value: Any, place: str) -> EncodedImage:
    """Return the image in a value of a column: its bytes, or {bytes, path}, of which path is a file without bytes."""
    content = value["bytes"] if isinstance(value, dict) else value
    path = Path(value.get("path") or "") if isinstance(value, dict) else Path()
    if not content and path.is_absolute():
        return EncodedImage(path, repr(str(path)))
    if not content:
        raise InputError(f"{place} has no image")
    return EncodedImage(content, place)
