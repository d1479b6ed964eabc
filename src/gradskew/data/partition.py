"""Partitions of the training inputs among the clients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, overload

import numpy as np
import torch
from torch import Tensor

from ..core.errors import InputError, check, check_choice, check_number
from ..core.grammar import parse_one
from ..core.names import Named, is_built_in
from ..core.randomness import numpy_generator
from .base import Dataset, Split
from .catalogue import PARTITIONS
from .mixes import draw_counts

MAX_DRAWS = 1000
MIN_DRAWS = 20  # after these many draws, give up if more than MAX_SHORT clients per draw had too few inputs
MAX_SHORT = 40


@dataclass(frozen=True, kw_only=True)
class Partition(Named, ABC):
    """A way to divide the training inputs among the clients. The same seed gives the same partition.

    partitioner: the class of another library that does it; its code is in the digest of a run.
    """

    partitioner: ClassVar[type | None] = None

    def __call__(self, dataset: Dataset, clients: int, seed: int) -> Parts:
        """Return the indices of each client's training inputs, (k,) int64 per client; no two clients share an input.

        InputError if a client would have none, and for a user's class that does not keep to the docstring of `deal`.
        """
        size = len(dataset.train)
        check(clients <= size, f"{clients} clients cannot share {size} training inputs: each needs one")
        parts = self._dealt(dataset, clients, seed)
        good = len(parts) == clients and bool(parts.sizes.all())
        check(good, f"the partition {self.name} must deal at least one input to each of {clients} clients")
        if not is_built_in(type(self)):
            self._check_own(parts, self._dealt(dataset, clients, seed), size)
        return parts

    def _dealt(self, dataset: Dataset, clients: int, seed: int) -> Parts:
        parts = self.deal(dataset.train, dataset.num_classes, clients, numpy_generator(seed, "partition"))
        if isinstance(parts, Parts):
            return parts
        arrays = [np.asarray(part) for part in (parts if isinstance(parts, Sequence | np.ndarray) else [None])]
        whole = all(array.ndim == 1 and array.dtype.kind in "iu" for array in arrays if array.size)
        check(whole, f"the partition {self.name} must deal one array of indices, whole numbers, per client")
        return Parts.of([array.astype(np.int64, copy=False) for array in arrays])

    def _check_own(self, parts: Parts, again: Parts, size: int) -> None:
        """Raise InputError unless the parts of a user's class are of `size` inputs, each once, and the same again."""
        indices = parts.indices
        inside = indices.dtype == torch.int64 and 0 <= int(indices.min()) <= int(indices.max()) < size
        check(inside, f"the partition {self.name} must deal indices from 0 to {size - 1}")
        fit = int(parts.sizes.sum()) == len(indices)
        check(fit, f"the sizes of the partition {self.name} are not those of its parts")
        twice = f"the partition {self.name} deals an input to several clients, or twice to one"
        check(int(indices.bincount().max()) == 1, twice)
        same = np.array_equal(parts.sizes, again.sizes) and torch.equal(indices, again.indices)
        check(same, f"the partition {self.name} deals otherwise in a second call: draw from its generator")

    @abstractmethod
    def deal(
        self, split: Split, num_classes: int, clients: int, generator: np.random.Generator
    ) -> Sequence[np.ndarray] | Parts:
        """Return one array of indices per client, from the split's labels and, in some data sets, its writers.

        What is drawn is drawn from the generator. No input is dealt twice.
        """


class Parts(Sequence[Tensor]):
    """The indices of each client's inputs, as views of one array, so that a million clients take little memory.

    indices: (N,) int64, those of the first client, then those of the second, and so on. sizes: (clients,) int64, the
    number of inputs of each client.
    """

    def __init__(self, indices: np.ndarray, sizes: np.ndarray):
        self.indices, self.sizes = torch.from_numpy(indices), sizes
        self.edges = np.concatenate(([0], np.cumsum(sizes)))

    @classmethod
    def of(cls, arrays: Sequence[np.ndarray]) -> Parts:
        """Join one array of indices per client."""
        sizes = np.array([len(array) for array in arrays], dtype=np.int64)
        return cls(np.concatenate([np.empty(0, dtype=np.int64), *arrays]), sizes)

    @classmethod
    def owned(cls, indices: np.ndarray, owners: np.ndarray, clients: int) -> Parts:
        """Give each input to its owner. owners: the client of each of the indices, (k,) both."""
        return cls(indices[np.argsort(owners, kind="stable")], np.bincount(owners, minlength=clients))

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
        return self.indices[int(self.edges[i]) : int(self.edges[i + 1])]


def equal_sizes(total: int, parts: int) -> np.ndarray:
    """Return the sizes of equal parts of `total` (parts,): they differ by one at most, the larger ones come first."""
    size, rest = divmod(total, parts)
    return size + (np.arange(parts) < rest)


def members_of(labels: np.ndarray, num_classes: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Return the indices of the inputs of each class, in a random order."""
    return [generator.permutation(np.flatnonzero(labels == label)) for label in range(num_classes)]


def dealt(members: Sequence[np.ndarray], counts: np.ndarray) -> Parts:
    """Deal the first inputs of each class in their order: counts (classes, clients) of them to each client."""
    num_classes, clients = counts.shape
    owners = np.repeat(np.tile(np.arange(clients), num_classes), counts.ravel())
    first = [inputs[:count] for inputs, count in zip(members, counts.sum(1), strict=True)]
    return Parts.owned(np.concatenate(first), owners, clients)


def check_enough(labels: np.ndarray, clients: int, each: int, option: str = "min_samples") -> None:
    """Raise InputError where the inputs are too few for `each` a client. option: that says how many these are."""
    wrong = f"{clients} clients cannot have {each} inputs each: there are {len(labels)}"
    check(clients * each <= len(labels), f"{wrong}; use fewer clients or a smaller {option}")


@dataclass(frozen=True, kw_only=True)
class IID(Partition):
    """A random permutation, cut into equal parts."""

    key: ClassVar[str] = "iid"

    def deal(self, split: Split, num_classes: int, clients: int, generator: np.random.Generator) -> Parts:
        return Parts(generator.permutation(len(split)), equal_sizes(len(split), clients))


@dataclass(frozen=True, kw_only=True)
class Dirichlet(Partition):
    """Shares of each class are drawn from Dirichlet(beta); a small beta gives skewed labels.

    The draw is repeated until every client has `min_samples` inputs, at most 1,000 times. It ends after 20 draws or
    more if over 40 clients per draw had too few on average, as then no draw will do. InputError if no draw does.

    by: `client` draws the shares of the classes of each client instead; all clients have equally many inputs then,
    `size` if that is given, and take turns to draw one from their shares: see `mixes.draw_counts`.
    """

    key: ClassVar[str] = "dirichlet"
    source: ClassVar[str] = "Hsu et al., 2019"
    beta: float = 0.5
    min_samples: int = 10
    by: str = "class"
    size: int | None = None

    def __post_init__(self) -> None:
        check_number("beta", self.beta, above=0)
        check_number("min_samples", self.min_samples, at_least=1, whole=True)
        check_choice("by", self.by, ("class", "client"))
        if self.size is not None:
            check_number("size", self.size, at_least=1, whole=True)
            check(self.by == "client", "size is the number of inputs of each client: it needs by=client")
            few = f"size = {self.size} is less than min_samples = {self.min_samples}"
            check(self.size >= self.min_samples, few)

    def deal(self, split: Split, num_classes: int, clients: int, generator: np.random.Generator) -> Parts:
        labels = split.labels.cpu().numpy()
        check_enough(labels, clients, self.size or self.min_samples, "size" if self.size else "min_samples")
        if self.by == "client":
            mixes = generator.dirichlet(np.full(num_classes, self.beta), size=clients)
            members = members_of(labels, num_classes, generator)
            left = np.array([len(inputs) for inputs in members])
            sizes = equal_sizes(clients * self.size if self.size else len(labels), clients)
            return dealt(members, draw_counts(mixes, sizes, left, generator).T)
        members = [np.flatnonzero(labels == label) for label in range(num_classes)]
        best, short = 0, 0
        for draw in range(1, MAX_DRAWS + 1):
            shares = generator.dirichlet(np.full(clients, self.beta), size=num_classes)
            counts = np.array([_counts(share, len(inputs)) for share, inputs in zip(shares, members, strict=True)])
            sizes = counts.sum(0)
            best = max(best, int(sizes.min()))
            if sizes.min() >= self.min_samples:
                break
            short += int((sizes < self.min_samples).sum())
            if draw == MAX_DRAWS or (draw >= MIN_DRAWS and short > MAX_SHORT * draw):
                raise InputError(
                    f"no Dirichlet partition with beta = {self.beta} gave each of {clients} clients {self.min_samples} "
                    f"of {len(labels)} inputs in {draw} draws (best minimum: {best}); "
                    "use a larger beta, fewer clients or a smaller min_samples"
                )
        return dealt([generator.permutation(inputs) for inputs in members], counts)


def _counts(shares: np.ndarray, size: int) -> np.ndarray:
    """Return the number of inputs of each client (clients,): `size` are cut at the cumulative shares, rounded down."""
    cuts = (np.cumsum(shares)[:-1] * size).astype(int)
    return np.diff(cuts, prepend=0, append=size)


@dataclass(frozen=True, kw_only=True)
class ByWriter(Partition):
    """Each client has the inputs of one writer; the clients are the first writers, by id, who have any inputs."""

    key: ClassVar[str] = "writer"
    source: ClassVar[str] = "Caldas et al., 2018"

    def deal(self, split: Split, num_classes: int, clients: int, generator: np.random.Generator) -> Parts:
        writers = _writers(split)
        order = np.argsort(writers, kind="stable")
        starts = np.flatnonzero(np.diff(writers[order], prepend=-1))
        own = f"the data have {len(starts)} clients of their own, not {clients}: partition = dirichlet deals anew"
        check(clients <= len(starts), own)
        edges = np.append(starts, len(order))[: clients + 1]
        return Parts(order[: edges[-1]], np.diff(edges))

    def writers(self, dataset: Dataset) -> int:
        """Return the number of writers, which is the largest number of clients."""
        return len(np.unique(_writers(dataset.train)))


def _writers(split: Split) -> np.ndarray:
    if split.writers is None:
        raise InputError("these data have no clients of their own (client=NAME, of files): use iid or dirichlet")
    return split.writers.cpu().numpy()


def make(name: str | Partition, **defaults: float) -> Partition:
    """Return the partition with this name: `iid`, `dirichlet(beta=0.1)`, `package.module:MyPartition(shards=2)`.

    A partition that is an object is returned as it is. defaults: options that count where the name gives none, as far
    as the partition has them.
    """
    if not isinstance(name, str):
        check(isinstance(name, Partition), f"a partition is a name or a Partition, not {name!r:.60}")
        own: Partition = PARTITIONS.with_own_key(name)
        return own
    key, options = parse_one(name, "partition")
    made: Partition = PARTITIONS.make(key, options, defaults=defaults)
    return made
