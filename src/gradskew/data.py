"""A data set as tensors, and the loaders: where each comes from and how it becomes a network's input."""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from .checks import InputError, check, check_number
from .names import Named, Registry, parse_one
from .randomness import generator

DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")  # Debian's dataset-fashion-mnist


@dataclass(frozen=True)
class Split:
    """Images as stored (N, ...), of any dtype, and labels (N,) int64. writers (N,): who wrote each, if known."""

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
            low, high = int(split.labels.min()), int(split.labels.max())
            inside = low >= 0 and high < self.num_classes
            check(inside, f"the {name} labels run from {low} to {high}: 0 to {self.num_classes - 1} is allowed")
            if split.images.is_floating_point():
                check(bool(split.images.isfinite().all()), f"the {name} images have non-finite entries")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image."""
        return tuple(self.train.images.shape[1:])

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


@dataclass(frozen=True, kw_only=True)
class Source(Named, ABC):
    """Where a data set comes from. Loaded once per process."""

    min_samples: ClassVar[int] = 10  # per client, under a Dirichlet partition

    @abstractmethod
    def read(self) -> Dataset:
        """Read the data set from its files."""

    def load(self) -> Dataset:
        """The data set; every later call gives the same object."""
        if self not in _loaded:
            _loaded[self] = self.read()
        return _loaded[self]


_loaded: dict[Source, Dataset] = {}


@dataclass(frozen=True, kw_only=True)
class Digits(Source):
    """scikit-learn's 1,797 handwritten digits of 8 x 8 pixels: 1,437 to train, 360 to test, the same split always."""

    key: ClassVar[str] = "digits"
    source: ClassVar[str] = "Alpaydin and Kaynak, UCI 1998"
    min_samples: ClassVar[int] = 2

    def read(self) -> Dataset:
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        pixels = torch.from_numpy(images.reshape(-1, 8, 8).astype(np.uint8))
        order = torch.randperm(len(labels), generator=generator(0, "split of the digits"))
        split = Split(pixels[order], torch.from_numpy(labels.astype(np.int64))[order])
        train = Split(split.images[:1437], split.labels[:1437])
        test = Split(split.images[1437:], split.labels[1437:])
        return Dataset(train, test, 10, scale=torch.tensor(1 / 16))


@dataclass(frozen=True, kw_only=True)
class FashionMNIST(Source):
    """60,000 + 10,000 images of clothes, 28 x 28, from the four IDX files (gzipped or not) in a folder.

    train_size: use only the first so many training images; None means all.
    """

    key: ClassVar[str] = "fashion_mnist"
    source: ClassVar[str] = "Xiao et al., 2017"
    train_size: int | None = None
    folder: Path | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.train_size is not None:
            check_number("train_size", self.train_size, at_least=1, whole=True)

    def read(self) -> Dataset:
        folder = Path(self.folder or DEBIAN_FASHION)
        hint = "Debian's package dataset-fashion-mnist brings the files; --data names another folder"
        check(folder.is_dir(), f"no folder {str(folder)!r} with Fashion-MNIST's IDX files: {hint}")
        train, test = (
            Split(
                read_idx(folder, f"{part}-images-idx3-ubyte", 3),
                read_idx(folder, f"{part}-labels-idx1-ubyte", 1).long(),
            )
            for part in ("train", "t10k")
        )
        if self.train_size is not None:
            enough = self.train_size <= len(train)
            check(enough, f"train_size = {self.train_size}, but there are only {len(train)} training images")
            train = Split(train.images[: self.train_size], train.labels[: self.train_size])
        mean, std = 0.2860, 0.3530  # of the training pixels, between 0 and 1
        return Dataset(train, test, 10, scale=torch.tensor(1 / (255 * std)), shift=torch.tensor(-mean / std))


def read_idx(folder: Path, name: str, ndim: int) -> Tensor:
    """The uint8 array in the IDX file `name` or `name.gz` (format: LeCun's MNIST page)."""
    path = next((path for path in (folder / f"{name}.gz", folder / name) if path.exists()), None)
    if path is None:
        raise InputError(f"{name}.gz is missing in {str(folder)!r}")
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"cannot read {str(path)!r}: {error}") from None
    header = 4 + 4 * ndim
    good = len(content) >= header and content[:4] == bytes([0, 0, 8, ndim])
    check(good, f"{str(path)!r} is not an IDX file of bytes with {ndim} dimensions")
    shape = [int(size) for size in np.frombuffer(content[4:header], ">u4")]
    wanted = math.prod(shape)
    check(
        len(content) - header == wanted, f"{str(path)!r} holds {len(content) - header} bytes, its header says {wanted}"
    )
    return torch.from_numpy(np.frombuffer(content[header:], np.uint8).reshape(shape).copy())


SOURCES: Registry[Source] = Registry("dataset", [Digits, FashionMNIST])


def make(name: str, *, folder: Path | None = None) -> Source:
    """The source with this name: `digits`, `fashion_mnist(train_size=10000)`; folder: where its files are."""
    key, options = parse_one(name, "dataset")
    known: Mapping[str, object] = {"folder": folder} if folder is not None and key != "digits" else {}
    check(folder is None or key != "digits", "the digits are embedded: they are read from no folder")
    return SOURCES.make(key, {**options, **known})
