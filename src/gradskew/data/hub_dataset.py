"""A data set of the Hugging Face hub, or in a folder of this machine, by the library `datasets`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..core.errors import InputError, check
from ..core.importing import import_extra
from . import hub
from .coding import listed
from .image_columns import ImageColumns
from .own_source import OwnSource
from .preparation import Examples

if TYPE_CHECKING:
    import pyarrow

NAME = re.compile(r"\w[\w.-]*(/[\w.-]+)?")  # of a data set on the hub
SAVED = ("dataset_dict.json", "state.json")  # one of them is in a folder that `save_to_disk` has written
TESTS = ("test", "validation", "val")


@dataclass(frozen=True)
class ArrowFiles:
    """The files of the training part and of a test part of its own, and the names of these parts."""

    train: Sequence[Path]
    test: Sequence[Path]
    names: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class HubDataset(OwnSource, ImageColumns):
    """A data set of the Hugging Face hub: hf:OWNER/NAME(label=COLUMN), or in a folder that `datasets` reads: hf:FOLDER.

    A folder is one that `save_to_disk` has written, or of files that `load_dataset` takes: csv, json, parquet, images.
    Without label and images, these are the only column of classes and the only one of images that the data set
    declares. config: its configuration, also called subset. revision: a branch, tag or commit; None: the newest. train,
    test: the names of its parts, also called splits; by default train, and test, validation or val. A number for test
    is the share of the training part that is the test part instead. hub: the same as the name behind hf.
    """

    key: ClassVar[str] = "hf"
    unlisted: ClassVar[Sequence[str]] = (*OwnSource.unlisted, "hub")
    wanted: ClassVar[str] = "OWNER/NAME(label=COLUMN)"
    hub: str | None = None
    config: str | None = None
    revision: str | None = None
    train: str | None = None

    def __post_init__(self) -> None:
        if NAME.fullmatch(self.rest) and not Path(self.rest).exists():
            check(self.hub is None, f"the name is given twice: {self.rest!r} and {self.hub!r}")
            object.__setattr__(self, "hub", self.rest)
            object.__setattr__(self, "rest", "")
        ImageColumns.__post_init__(self)
        OwnSource.__post_init__(self)
        for name in ("hub", "config", "revision", "train"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, str(getattr(self, name)))
        both = f"the hub's {self.hub} and the folder {str(self.folder)!r} are both given"
        check(self.hub is None or self.folder is None, both)
        check(self.revision is None or self.folder is None, "revision is of the hub, and a folder has none")

    def files(self) -> tuple[Sequence[Path], Sequence[Path]]:
        """Return the Arrow files of both parts; of a folder all its files, as images may lie beside a table."""
        if self.folder is None:
            if not all(path.exists() for path in (*self.downloaded.train, *self.downloaded.test)):
                del vars(self)["downloaded"]  # it was sent to another machine
            return self.downloaded.train, self.downloaded.test
        check(self.folder.is_dir(), f"there is no folder {str(self.folder)!r}; names on the hub are OWNER/NAME")
        files = sorted(path for path in self.folder.rglob("*") if path.is_file() and not _is_hidden(path, self.folder))
        check(len(files) > 0, f"the folder {str(self.folder)!r} is empty")
        return files, []

    @cached_property
    def downloaded(self) -> ArrowFiles:
        """The files of the hub's data set on this machine. Worker processes get their names with the source."""
        if self.hub is None:
            raise InputError(f"no data set is given: write {self.key}:{self.wanted}, or name a folder with --data")
        return self._chosen(hub.load(self.hub, self.config, self.revision))

    def examples(self, train: Sequence[Path], test: Sequence[Path]) -> Examples:
        read = self.downloaded if self.folder is None else self._chosen(self._of_folder(self.folder))
        commit = hub.commit(read.train) if self.hub else ""
        said = [f"{self.hub}, revision={commit}"] if commit else []
        said.append(f"read from the part{'s' * (len(read.names) > 1)} {' and '.join(map(repr, read.names))}")
        columns = ImageColumns(**{each.name: getattr(self, each.name) for each in fields(ImageColumns)})
        examples = columns.of_tables(*map(_table, filter(None, (read.train, read.test))))
        return replace(examples, said=[*said, *examples.said])

    def _of_folder(self, folder: Path) -> Mapping[str, Any]:
        """Return the parts in a folder by name, each a `datasets.Dataset`."""
        datasets = import_extra("datasets", "hf", "it")
        saved = any((folder / name).is_file() for name in SAVED)
        check(self.config is None or not saved, f"config is of files, and save_to_disk has written {str(folder)!r}")
        with hub.one_line_errors(repr(str(folder))):
            if saved:
                read = datasets.load_from_disk(str(folder), keep_in_memory=False)
            else:
                read = datasets.load_dataset(str(folder), self.config, keep_in_memory=False)
        return read if isinstance(read, Mapping) else {"train": read}

    def _chosen(self, parts: Mapping[str, Any]) -> ArrowFiles:
        """Return the files of the training part and the test part; of no test part where a share is drawn."""
        names = [self.train or (next(iter(parts)) if len(parts) == 1 else "train")]
        if isinstance(self.test, str):
            check(self.test != names[0], f"train and test both name the part {self.test!r}")
            names.append(self.test)
        elif self.test is None:
            names += [name for name in TESTS if name in parts and name != names[0]][:1]
        for option, name in zip(("train", "test"), names, strict=False):
            check(name in parts, f"there is no part {name!r}: {option}=NAME names one of {listed([*parts])}")
        files = [[Path(each["filename"]).absolute() for each in parts[name].cache_files] for name in names]
        return ArrowFiles(files[0], files[1] if len(files) > 1 else [], names)


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _table(files: Sequence[Path]) -> pyarrow.Table:
    """Return the rows of Arrow files as `datasets` writes them, mapped into memory."""
    import pyarrow

    return pyarrow.concat_tables(pyarrow.ipc.open_stream(pyarrow.memory_map(str(path))).read_all() for path in files)
