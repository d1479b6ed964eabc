"""Partitions: how the training images are dealt to the clients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, overload

import numpy as np
import torch
from torch import Tensor

from ..core.errors import InputError, check, check_number
from ..core.grammar import parse_one
from ..core.names import Named
from ..core.randomness import numpy_generator
from .base import Dataset, Split
from .catalogue import PARTITIONS

REDRAWS = 1000
TRIED, HOPELESS = 20, 40  # draws after which so many clients short of images, on average, mean that none will do


@dataclass(frozen=True, kw_only=True)
class Partition(Named, ABC):
    """Deals images to clients. The same seed deals alike."""

    def __call__(self, dataset: Dataset, clients: int, seed: int) -> Sequence[Tensor]:
        """For each client the indices of its training images; no image is dealt twice."""
        images = len(dataset.train)
        check(clients <= images, f"{clients} clients cannot share {images} training images: each needs one")
        parts = self.deal(dataset.train, dataset.num_classes, clients, numpy_generator(seed, "partition"))
        parts = parts if isinstance(parts, Parts) else Parts.of(parts)
        good = len(parts) == clients and bool(parts.sizes.all())
        check(good, f"the partition {self.name} must deal at least one image to each of {clients} clients")
        return parts

    @abstractmethod
    def deal(
        self, split: Split, num_classes: int, clients: int, generator: np.random.Generator
    ) -> Sequence[np.ndarray] | Parts:
        """One array of indices per client; the split has labels and, in some data sets, writers."""


class Parts(Sequence[Tensor]):
    """The indices of each client's images, as views of one array: no object is kept for a client.

    images: the indices of the first client's, then those of the second, and so on. sizes: how many each has.
    """

    def __init__(self, images: np.ndarray, sizes: np.ndarray):
        self.images, self.sizes = torch.from_numpy(images), sizes
        self.edges = np.concatenate(([0], np.cumsum(sizes)))

    @classmethod
    def of(cls, arrays: Sequence[np.ndarray]) -> Parts:
        """The same of one array per client."""
        sizes = np.array([len(array) for array in arrays], dtype=np.int64)
        return cls(np.concatenate([np.empty(0, dtype=np.int64), *arrays]), sizes)

    def __len__(self) -> int:
        return len(self.sizes)

    @overload
    def __getitem__(self, client: int) -> Tensor: ...
    @overload
    def __getitem__(self, client: slice) -> list[Tensor]: ...
    def __getitem__(self, client: int | slice) -> Tensor | list[Tensor]:
        if isinstance(client, slice):
            return [self[i] for i in range(*client.indices(len(self)))]
        i = range(len(self))[client]
        return self.images[int(self.edges[i]) : int(self.edges[i + 1])]


@dataclass(frozen=True, kw_only=True)
class IID(Partition):
    """A random permutation, cut into equal parts."""

    key: ClassVar[str] = "iid"

    def deal(self, split: Split, num_classes: int, clients: int, generator: np.random.Generator) -> Parts:
        least, over = divmod(len(split), clients)
        return Parts(generator.permutation(len(split)), least + (np.arange(clients) < over))


@dataclass(frozen=True, kw_only=True)
class Dirichlet(Partition):
    """Each class is dealt in shares drawn from Dirichlet(beta); small beta means skewed labels.

    Drawn again until every client has `min_samples` images, at most 1,000 times; fewer where over forty clients
    on average have too few, so that no draw will ever do.
    """

    key: ClassVar[str] = "dirichlet"
    source: ClassVar[str] = "Hsu et al., 2019"
    beta: float = 0.5
    min_samples: int = 10

    def __post_init__(self) -> None:
        check_number("beta", self.beta, above=0)
        check_number("min_samples", self.min_samples, at_least=1, whole=True)

    def deal(self, split: Split, num_classes: int, clients: int, generator: np.random.Generator) -> Parts:
        labels = split.labels.cpu().numpy()
        possible = clients * self.min_samples <= len(labels)
        few = f"{clients} clients cannot have {self.min_samples} images each: there are {len(labels)}"
        check(possible, f"{few}; use fewer clients or a smaller min_samples")
        members = [np.flatnonzero(labels == label) for label in range(num_classes)]
        best, short = 0, 0
        for draw in range(1, REDRAWS + 1):
            shares = generator.dirichlet(np.full(clients, self.beta), size=num_classes)
            counts = np.array([_counts(share, len(images)) for share, images in zip(shares, members, strict=True)])
            sizes = counts.sum(0)
            best = max(best, int(sizes.min()))
            if sizes.min() >= self.min_samples:
                break
            short += int((sizes < self.min_samples).sum())
            if draw == REDRAWS or (draw >= TRIED and short > HOPELESS * draw):
                raise InputError(
                    f"no Dirichlet partition with beta = {self.beta} gave each of {clients} clients {self.min_samples} "
                    f"of {len(labels)} images in {draw} draws (best minimum: {best}); "
                    "use a larger beta, fewer clients or a smaller min_samples"
                )
        order = np.concatenate([generator.permutation(images) for images in members])
        owners = np.repeat(np.tile(np.arange(clients), num_classes), counts.ravel())
        return Parts(order[np.argsort(owners, kind="stable")], sizes)


def _counts(shares: np.ndarray, images: int) -> np.ndarray:
    """How many of the images each client gets: the cumulative shares, rounded down, are where they are cut."""
    cuts = (np.cumsum(shares)[:-1] * images).astype(int)
    return np.diff(cuts, prepend=0, append=images)


@dataclass(frozen=True, kw_only=True)
class ByWriter(Partition):
    """Each client has the images of one writer: the first so many writers by id of those who have any."""

    key: ClassVar[str] = "writer"
    source: ClassVar[str] = "Caldas et al., 2018"

    def deal(self, split: Split, num_classes: int, clients: int, generator: np.random.Generator) -> Parts:
        writers = _writers(split)
        order = np.argsort(writers, kind="stable")
        starts = np.flatnonzero(np.diff(writers[order], prepend=-1))
        check(clients <= len(starts), f"{clients} clients need as many writers: the images are by {len(starts)}")
        edges = np.append(starts, len(order))[: clients + 1]
        return Parts(order[: edges[-1]], np.diff(edges))

    def writers(self, dataset: Dataset) -> int:
        """Return the largest number of clients: each has one writer."""
        return len(np.unique(_writers(dataset.train)))


def _writers(split: Split) -> np.ndarray:
    if split.writers is None:
        raise InputError("this data set does not say who wrote what: deal it by iid or dirichlet")
    return split.writers.cpu().numpy()


def make(name: str, **defaults: float) -> Partition:
    """Return the partition with this name: `iid`, `dirichlet(beta=0.1)`, `package.module:MyPartition(shards=2)`.

    defaults: options that count where the name gives none, as far as the partition has them.
    """
    key, options = parse_one(name, "partition")
    made: Partition = PARTITIONS.make(key, options, defaults=defaults)
    return made
