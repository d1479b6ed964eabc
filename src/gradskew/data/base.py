"""A data set as tensors, and how it becomes a network's input."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ..core.errors import check, check_number
from ..core.names import Named

Array = np.ndarray[Any, Any]

EVALUATED, PIXELS = 1000, 1 << 25  # images at once, and entries of them, at most, that a test looks at


@dataclass(frozen=True)
class Split:
    """Images as stored (N, ...), of any dtype, and labels (N,) int64.

    writers (N,) int64: who wrote each, as an index into the sorted ids, if known.
    """

    images: Tensor
    labels: Tensor
    writers: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """Training and test images with labels 0..num_classes-1.

    Networks see `scale * image + shift` in float32, broadcast over an image: bytes stay bytes until they are needed.
    """

    train: Split
    test: Split
    num_classes: int
    scale: Tensor = field(default_factory=lambda: torch.tensor(1.0))
    shift: Tensor = field(default_factory=lambda: torch.tensor(0.0))

    def __post_init__(self) -> None:
        check_number("num_classes", self.num_classes, at_least=2, whole=True)
        for name, split in (("training", self.train), ("test", self.test)):
            good = split.labels.ndim == 1 and split.labels.dtype == torch.int64
            got = f"{str(split.labels.dtype).removeprefix('torch.')} of shape {tuple(split.labels.shape)}"
            check(good, f"the {name} labels must be int64 of shape (N,), not {got}")
            check(len(split) > 0, f"the {name} part of the data set is empty")
            same = len(split.images) == len(split.labels)
            check(same, f"the {name} part has {len(split.images)} images and {len(split.labels)} labels")
            shape = tuple(split.images.shape[1:])
            check(shape == self.shape, f"training images have the shape {self.shape}, {name} images {shape}")
            check(split.images.numel() > 0, f"images of shape {shape} have no pixels")
            check_labels(name, int(split.labels.min()), int(split.labels.max()), self.num_classes)
            if split.writers is not None:
                good = split.writers.dtype == torch.int64 and split.writers.shape == split.labels.shape
                check(good, f"the {name} writers must be int64 of shape {tuple(split.labels.shape)}, one an image")
                check(int(split.writers.min()) >= 0, f"the {name} writers must be numbered from 0")
            if split.images.is_floating_point():
                check(bool(split.images.isfinite().all()), f"the {name} images have non-finite entries")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image."""
        return tuple(self.train.images.shape[1:])

    @property
    def at_once(self) -> int:
        """How many images a test looks at at once."""
        return max(1, min(EVALUATED, PIXELS // math.prod(self.shape)))

    def inputs(self, images: Tensor) -> Tensor:
        """Stored images as a network's input: float32, of the same shape."""
        return images.to(torch.float32) * self.scale + self.shift

    def to(self, device: torch.device | str) -> Dataset:
        """The same data set on a device."""
        if torch.device(device) == self.train.images.device:
            return self
        train, test = (
            replace(split, images=split.images.to(device), labels=split.labels.to(device))
            for split in (self.train, self.test)
        )
        return replace(self, train=train, test=test, scale=self.scale.to(device), shift=self.shift.to(device))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that a run can see of the data."""
        total = hashlib.sha256(f"{self.num_classes} classes".encode())
        tensors = [self.scale, self.shift]
        for split in (self.train, self.test):
            tensors += [split.images, split.labels]
            tensors += [] if split.writers is None else [split.writers]
        for tensor in tensors:
            array = tensor.cpu().contiguous().numpy()
            total.update(f"{array.dtype.str} {array.shape}".encode())
            total.update(array.data)
        return total.hexdigest()


def check_labels(name: str, low: int, high: int, num_classes: int) -> None:
    """The least and the greatest label of a part are classes."""
    inside = low >= 0 and high < num_classes
    check(inside, f"the {name} labels run from {low} to {high}: 0 to {num_classes - 1} is allowed")


@dataclass(frozen=True, kw_only=True)
class Source(Named, ABC):
    """Where a data set comes from. Loaded once per process."""

    min_samples: ClassVar[int] = 10  # per client, under a Dirichlet partition
    partition: ClassVar[str] = "dirichlet"  # unless told otherwise
    recipe: ClassVar[Mapping[str, Any]] = {}  # the options of `bench` that fit it; chosen by unattacked runs alone

    @abstractmethod
    def read(self) -> Dataset:
        """Read the data set from its files."""

    def load(self, read: Callable[[], Dataset] | None = None) -> Dataset:
        """The data set; every later call gives the same object. read: how to get it here, if not from its files."""
        if self not in _loaded:
            _loaded[self] = (read or self.read)()
        return _loaded[self]


_loaded: dict[Source, Dataset] = {}
