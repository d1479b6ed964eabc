"""What a user's own files have in common: where they are, and how they become a data set."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from ..core.errors import InputError, check
from . import cache
from .base import Dataset, Source
from .file_source import reading
from .preparation import Examples, Preparation

READ_FROM = "read from "  # begins the first note of a user's file or folder; its name follows
GIVEN = "FILE"  # stands in a name for the file of the test part, as no name has a path
COMMON = {"epochs": 1, "batch": 32, "momentum": 0.9}
TABULAR: Mapping[str, Any] = {**COMMON, "model": "mlp", "rounds": 40, "lr": 0.05}
CONVOLVED: Mapping[str, Any] = {**COMMON, "model": "cnn(stride=2)", "rounds": 50, "lr": 0.1}
WRITTEN: Mapping[str, Any] = {**COMMON, "model": "transformer", "rounds": 60, "lr": 0.1}
LEAST_SIDE = 16  # of an image that a convolutional network gets by default


def recipe_for(dataset: Dataset) -> Mapping[str, Any]:
    """Return the options of `bench` that fit: a convolutional network for images, a transformer for texts, an mlp.

    The loss is squared for numbers to predict.
    """
    shape = dataset.shape
    images = len(shape) in (2, 3) and min(shape[-2:]) >= LEAST_SIDE
    fits = WRITTEN if dataset.tokens else CONVOLVED if images else TABULAR
    return fits if dataset.train.targets is None else {**fits, "loss": "squared"}


def origin_of(notes: Sequence[str]) -> str:
    """Return the name of the file or folder that a data set was read from, by its notes; "" for another one.

    >>> origin_of(["read from 'a.csv'", "3 columns are inputs"])
    'a.csv'
    """
    quoted = re.fullmatch(READ_FROM + """(['"])(.*)\\1""", next(iter(notes), ""))
    return quoted[2] if quoted else ""


@dataclass(frozen=True, kw_only=True)
class OwnSource(Preparation, Source, ABC):
    """Rows of the user's choice. client: the name of the column or array with the ids of the clients.

    rest: the path, as it is written behind the prefix; `folder` is the same path, from `--data`. No path is in the
    name: what a run depends on is the content. The last part of the path is the first note of the data set.
    """

    min_samples: ClassVar[int] = 2
    unlisted: ClassVar[Sequence[str]] = ("folder", "rest", "test_file")
    wanted: ClassVar[str]  # what the path must name, for error messages
    client: str | None = None
    folder: Path | None = field(default=None, repr=False)
    rest: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.folder is not None:
            object.__setattr__(self, "folder", Path(self.folder))
        if self.rest:
            check(self.folder is None, f"the path is given twice: {self.rest!r} and, by data, {str(self.folder)!r}")
            object.__setattr__(self, "folder", Path(self.rest).expanduser())
            object.__setattr__(self, "rest", "")

    @property
    def partition(self) -> str:  # type: ignore[override]
        return "dirichlet" if self.client is None else "writer"

    @property
    def recipe(self) -> Mapping[str, Any]:  # type: ignore[override]
        return recipe_for(self.load())

    def read(self) -> Dataset:
        with reading(self):
            train, test = self.files()
            files = [path.absolute() for path in (*train, *test)]
            folder = Path(os.path.commonpath([path.parent for path in files]))
            read = cache.load_or_make(self.name, folder, files, lambda: self.dataset(self.examples(train, test)))
        if self.folder is None:
            return read
        return read.with_notes([f"{READ_FROM}{self.folder.absolute().name!r}", *read.notes])

    @abstractmethod
    def files(self) -> tuple[Sequence[Path], Sequence[Path]]:
        """Return the files of the training part, or of all rows, and those of a test part of its own."""

    @abstractmethod
    def examples(self, train: Sequence[Path], test: Sequence[Path]) -> Examples:
        """Read the rows of the files; those of `test` are the test part."""


@dataclass(frozen=True, kw_only=True)
class OwnFile(OwnSource, ABC):
    """Rows in a file or folder of the user's. test may be a path, too, whose rows are the test part."""

    test_file: Path | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.test_file is not None:
            object.__setattr__(self, "test_file", Path(self.test_file))
        elif isinstance(self.test, str):
            object.__setattr__(self, "test_file", Path(self.test).expanduser())
            object.__setattr__(self, "test", GIVEN)

    def files(self) -> tuple[Sequence[Path], Sequence[Path]]:
        path = self.folder
        if path is None:
            raise InputError(f"no file is given: write {self.key}:{self.wanted}, or name it with --data")
        train, test = self.found(path), [] if self.test_file is None else self.found(self.test_file)
        both = [other for other in test for each in train if other.samefile(each)]
        check(not both, f"the test file is the training file {''.join(map(str, both[:1]))!r}: its rows cannot be both")
        return train, test

    def found(self, path: Path) -> Sequence[Path]:
        """Return the files at a path; InputError if there are none."""
        check_exists(path)
        check(path.is_file(), f"{str(path)!r} is no file")
        return [path]


def check_exists(path: Path, kind: str = "") -> None:
    """Raise InputError unless a file or folder is at a path. kind: the word before the path in the message."""
    unclosed = ": is ')' missing at its end?" if str(path).count("(") > str(path).count(")") else ""
    check(path.exists(), f"there is no {kind}{str(path)!r}{unclosed}")
