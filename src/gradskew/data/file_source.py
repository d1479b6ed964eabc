"""What data sets in files have in common: from the folder that a user names to the tensors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ..core.errors import InputError, check, check_number
from ..core.randomness import generator
from . import cache
from .base import Array, Dataset, Source, Split, check_labels

MAX_ID_LENGTH = 200  # characters of a writer's id
# The options of `bench` that fit small photographs: the recipe of more than one data set.
PHOTOS: Mapping[str, Any] = {
    "model": "cnn(stride=2)",
    "rounds": 50,
    "epochs": 1,
    "batch": 32,
    "lr": 0.1,
    "momentum": 0.9,
}


@dataclass(frozen=True)
class Part:
    """The training or the test part of a data set, whose inputs are not decoded yet.

    labels: (N,) int64. decode: from rising indices (k,) to the inputs (k, ...) uint8. writers: (N,) the id of each
    input's writer; None if the writers are unknown. targets: (N,) the numbers to predict; None for a classification.
    """

    labels: Array
    decode: Callable[[Array], Array]
    writers: Array | None = None
    targets: Array | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, index: Array) -> Part:
        """Return the inputs with these rising indices (k,)."""
        writers, targets = (None if each is None else each[index] for each in (self.writers, self.targets))
        return Part(self.labels[index], lambda selected: self.decode(index[selected]), writers, targets)

    def sample(self, option: str, size: int | None) -> Part:
        """Draw `size` inputs, always the same for the same option, and keep their order; None means all inputs."""
        if size is None:
            return self
        check(size <= len(self), f"{option} = {size}, but that part has only {len(self)} inputs")
        order = torch.randperm(len(self), generator=generator(0, option))
        return self.select(order[:size].sort().values.numpy())

    def hold_out(self) -> tuple[Part, Part]:
        """Divide into a training and a test part: the last tenth of each writer's inputs, rounded up, is for the test.

        InputError if a writer has only one.
        """
        ids, writer, counts = np.unique(np.asarray(self.writers), return_inverse=True, return_counts=True)
        single = ids[counts == 1]
        if len(single):
            raise InputError(
                f"the writer {str(single[0])!r} has one input: it cannot be divided into training and test"
            )
        test = last_of_each(writer, -(-counts // 10))
        return self.select(np.flatnonzero(~test)), self.select(np.flatnonzero(test))

    def to_split(self, ids: Array | None) -> Split:
        """Decode all inputs. ids: the sorted ids of the writers of both parts; None if the writers are unknown."""
        writers = None if self.writers is None or ids is None else np.searchsorted(ids, self.writers)
        inputs = self.decode(np.arange(len(self)))
        targets = None if self.targets is None else self.targets.astype(np.float32)
        optional = (None if each is None else _tensor(each) for each in (writers, targets))
        return Split(_tensor(inputs), _tensor(self.labels), *optional)


def last_of_each(owners: Array, counts: Array) -> Array:
    """Return which rows are the last of their owner's, (N,) bool: counts[i] of those of the owner i."""
    order, sizes = np.argsort(owners, kind="stable"), np.bincount(owners)
    place = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)  # among the owner's rows
    last = np.empty(len(order), bool)
    last[order] = place >= np.repeat(sizes - counts, sizes)
    return last


@contextmanager
def reading(source: Source) -> Iterator[None]:
    """Raise what goes wrong in the block, where the files of a source are read, as an InputError with its key."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{source.key}: {error}") from None
    except MemoryError:
        fewer = " or ".join(name for name in ("train_size", "size") if hasattr(source, name))
        raise InputError(f"{source.key}: out of memory while decoding: a smaller {fewer} needs less") from None
    except OSError as error:
        raise InputError(f"{source.key}: cannot read {str(error.filename)!r}: {error.strerror}") from None


def id_array(ids: Sequence[str], path: Path) -> Array:
    """Return the writers' ids in the file `path` as a NumPy array (k,), where each takes the memory of the longest."""
    longest = max(map(len, ids), default=0)
    allowed = f"at most {MAX_ID_LENGTH} are allowed"
    check(longest <= MAX_ID_LENGTH, f"{str(path)!r} has a writer whose id has {longest} characters: {allowed}")
    return np.array(ids, np.str_)


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


@dataclass(frozen=True)
class Layout:
    """The files of a data set in one of its layouts. read: a function that returns the training and the test part.

    held_out: whether the test part is divided from the training part, as the folder has none.
    """

    folder: Path
    files: Sequence[Path]
    read: Callable[[], tuple[Part, Part]]
    held_out: bool = False

    @classmethod
    def of_parts(
        cls, folder: Path, train: Sequence[Path], test: Sequence[Path], read: Callable[[Sequence[Path]], Part]
    ) -> Layout:
        """Return the layout with these files; `read` reads a part. Without test files the test part is held out."""
        if test:
            return cls(folder, [*train, *test], lambda: (read(train), read(test)))
        return cls(folder, train, lambda: read(train).hold_out(), held_out=True)


@dataclass(frozen=True, kw_only=True)
class FileSource(Source, ABC):
    """A data set in a folder of files, decoded once and then read from the cache.

    tokens: whether the inputs are texts as tokens, which stay as they are. train_size, test_size: use only so many
    inputs, always the same random ones; None means all.
    """

    num_classes: ClassVar[int]
    tokens: ClassVar[bool] = False
    mean: ClassVar[float | tuple[float, ...]] = 0.0  # of pixels scaled to 0..1, per channel
    std: ClassVar[float | tuple[float, ...]] = 1.0
    hub: ClassVar[str] = ""  # owner/name[/folder] on the Hugging Face hub
    default_folder: ClassVar[Path | None] = None  # where a package of the operating system puts the files
    advice: ClassVar[str]  # where users get the files, for error messages
    train_size: int | None = None
    test_size: int | None = None
    folder: Path | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("train_size", "test_size"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), at_least=1, whole=True)

    @property
    def scaling(self) -> str:  # type: ignore[override]
        if self.tokens:
            return ""
        return "pixels over 255" + (f", minus {self.mean}, over {self.std}" if self.std != 1 else "")

    @abstractmethod
    def find(self, folder: Path) -> Layout | None:
        """Return the layout of a folder; None if it has no file of this data set; InputError if files are missing."""

    def read(self) -> Dataset:
        with reading(self):
            layout = self.layout()
            return cache.load_or_make(self.name, layout.folder, layout.files, lambda: self.decode(layout))

    def layout(self) -> Layout:
        """Return the layout of the folder; InputError if there is no folder or no data set in it."""
        folder = self.folder or self.default_folder
        check(folder is not None, f"no folder is given. {self.advice}")
        folder = Path(str(folder))
        check(folder.is_dir(), f"there is no folder {str(folder)!r}. {self.advice}")
        layout = self.find(folder)
        if layout is None:
            raise InputError(f"the folder {str(folder)!r} has none of its files. {self.advice}")
        return layout

    def decode(self, layout: Layout) -> Dataset:
        """Decode the data set from its files, without the cache."""
        train, test = layout.read()
        for name, part in (("training", train), ("test", test)):
            check(len(part) > 0, f"the {name} part of the data set is empty")
            check_labels(name, part.labels.min(), part.labels.max(), self.num_classes)
        train, test = train.sample("train_size", self.train_size), test.sample("test_size", self.test_size)
        writers = [part.writers for part in (train, test) if part.writers is not None]
        ids = np.unique(np.concatenate(writers)) if writers else None
        parts = train.to_split(ids), test.to_split(ids)
        notes = ["the test part is the last tenth of each writer's inputs, rounded up"] if layout.held_out else []
        if self.tokens:
            return Dataset(*parts, self.num_classes, tokens=True, notes=notes)
        mean, std = (torch.tensor(value, dtype=torch.float64) for value in (self.mean, self.std))
        scale, shift = (1 / (255 * std)).float(), (0 - mean / std).float()
        if mean.ndim:
            scale, shift = scale.reshape(-1, 1, 1), shift.reshape(-1, 1, 1)
        return Dataset(*parts, self.num_classes, scale=scale, shift=shift, notes=notes)
