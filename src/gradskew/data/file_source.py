"""Data sets in files: what all of them share, from the folder that a user names to the tensors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
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

LONGEST = 200  # characters of a writer's id
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
    """The training or the test part of a data set, its images not decoded yet.

    labels (N,) int64; decode: rising indices (k,) to images (k, ...) uint8; writers (N,): their ids, if known.
    """

    labels: Array
    decode: Callable[[Array], Array]
    writers: Array | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Array) -> Part:
        """The images with these rising indices."""
        writers = None if self.writers is None else self.writers[index]
        return Part(self.labels[index], lambda chosen: self.decode(index[chosen]), writers)

    def draw(self, option: str, size: int | None) -> Part:
        """`size` images in their order, by a draw that is always the same; None means all."""
        if size is None:
            return self
        check(size <= len(self), f"{option} = {size}, but that part has only {len(self)} images")
        order = torch.randperm(len(self), generator=generator(0, option))
        return self.take(order[:size].sort().values.numpy())

    def hold_out(self) -> tuple[Part, Part]:
        """The training and the test part: of each writer's images the last tenth, rounded up, is for the test."""
        ids, writer, counts = np.unique(np.asarray(self.writers), return_inverse=True, return_counts=True)
        alone = ids[counts == 1]
        if len(alone):
            raise InputError(f"the writer {str(alone[0])!r} has one image: none is left beside the test image")
        order = np.argsort(writer, kind="stable")
        place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)  # among the writer's own
        test = np.empty(len(order), bool)
        test[order] = place >= np.repeat(counts - -(-counts // 10), counts)
        return self.take(np.flatnonzero(~test)), self.take(np.flatnonzero(test))

    def split(self, ids: Array | None) -> Split:
        """All images, decoded; ids: of all writers, sorted."""
        writers = None if self.writers is None or ids is None else np.searchsorted(ids, self.writers)
        images = self.decode(np.arange(len(self)))
        return Split(tensor(images), tensor(self.labels), None if writers is None else tensor(writers))


def names(ids: Sequence[str], place: Path) -> Array:
    """Writers' ids in an array, where each takes the room of the longest."""
    longest = max(map(len, ids), default=0)
    check(longest <= LONGEST, f"{str(place)!r} has a writer whose id has {longest} characters: {LONGEST} is the most")
    return np.array(ids, np.str_)


def tensor(array: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


@dataclass(frozen=True)
class Layout:
    """The files of a data set in one of its layouts. read: the training and the test part."""

    folder: Path
    files: Sequence[Path]
    read: Callable[[], tuple[Part, Part]]

    @classmethod
    def of(
        cls, folder: Path, train: Sequence[Path], test: Sequence[Path], read: Callable[[Sequence[Path]], Part]
    ) -> Layout:
        """The files of each part, and how a part is read. Without files of the test part, it is held out."""
        return cls(folder, [*train, *test], lambda: (read(train), read(test)) if test else read(train).hold_out())


@dataclass(frozen=True, kw_only=True)
class FileSource(Source, ABC):
    """A data set in a folder of files, decoded once and then read from the cache.

    train_size, test_size: use only so many images, by a draw that is always the same; None means all.
    """

    num_classes: ClassVar[int]
    mean: ClassVar[float | tuple[float, ...]] = 0.0  # of pixels between 0 and 1, per channel
    std: ClassVar[float | tuple[float, ...]] = 1.0
    hub: ClassVar[str] = ""  # owner/name[/folder] on the Hugging Face hub
    usual: ClassVar[Path | None] = None  # where a package of the system puts the files
    advice: ClassVar[str]  # what to get, and where from
    train_size: int | None = None
    test_size: int | None = None
    folder: Path | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("train_size", "test_size"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), at_least=1, whole=True)

    @abstractmethod
    def find(self, folder: Path) -> Layout | None:
        """The layout that the folder has; None: it has nothing of this data set."""

    def read(self) -> Dataset:
        try:
            layout = self.layout()
            return cache.through(self.name, layout.folder, layout.files, lambda: self.decode(layout))
        except InputError as error:
            raise InputError(f"{self.key}: {error}") from None
        except MemoryError:
            fewer = " or ".join(name for name in ("train_size", "size") if hasattr(self, name))
            raise InputError(f"{self.key}: out of memory while decoding: a smaller {fewer} needs less") from None
        except OSError as error:
            raise InputError(f"{self.key}: cannot read {str(error.filename)!r}: {error.strerror}") from None

    def layout(self) -> Layout:
        """The files, all there."""
        folder = self.folder or self.usual
        check(folder is not None, f"no folder is given. {self.advice}")
        folder = Path(str(folder))
        check(folder.is_dir(), f"there is no folder {str(folder)!r}. {self.advice}")
        layout = self.find(folder)
        if layout is None:
            raise InputError(f"the folder {str(folder)!r} has none of its files. {self.advice}")
        return layout

    def decode(self, layout: Layout) -> Dataset:
        """The data set from its files, past the cache."""
        train, test = layout.read()
        for name, part in (("training", train), ("test", test)):
            check(len(part) > 0, f"the {name} part of the data set is empty")
            check_labels(name, part.labels.min(), part.labels.max(), self.num_classes)
        train, test = train.draw("train_size", self.train_size), test.draw("test_size", self.test_size)
        known = [part.writers for part in (train, test) if part.writers is not None]
        ids = np.unique(np.concatenate(known)) if known else None
        mean, std = (torch.tensor(value, dtype=torch.float64) for value in (self.mean, self.std))
        scale, shift = (1 / (255 * std)).float(), (0 - mean / std).float()
        if mean.ndim:
            scale, shift = scale.reshape(-1, 1, 1), shift.reshape(-1, 1, 1)
        return Dataset(train.split(ids), test.split(ids), self.num_classes, scale=scale, shift=shift)
