"""From a user's rows to a training and a test part, and what is said about that."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..core.errors import check, check_choice, check_number
from ..core.names import Fields
from ..core.randomness import numpy_generator
from . import standard
from .base import Array, Dataset
from .coding import Coded, listed
from .file_source import Part

SHARE = 0.2  # of the rows, for the test part
FEW = 6  # classes whose shares are listed one by one


@dataclass(frozen=True)
class Examples:
    """Rows of a user's data, not divided yet.

    decode: from rising indices (k,) to the inputs (k, *shape), with NaN for a missing value. clients: whose each row
    is, -1 for test rows of no client; None if that is not known. targets: (N,) float64, the numbers to predict; None
    for a classification. in_test: (N,) bool, the rows of the data's own test
    part; None if it has none. said: sentences on how the rows were read. tokens: whether the inputs are tokens, which
    stay as they are.
    """

    labels: Coded
    decode: Callable[[Array], Array]
    clients: Coded | None = None
    in_test: Array | None = None
    said: Sequence[str] = ()
    tokens: bool = False
    targets: Array | None = None

    def select(self, index: Array) -> Examples:
        """Return the rows with these rising indices (k,)."""
        clients = None if self.clients is None else self.clients.select(index).used()
        in_test = None if self.in_test is None else self.in_test[index]
        targets = None if self.targets is None else self.targets[index]
        labels, decode = self.labels.select(index), lambda at: self.decode(index[at])
        return replace(self, labels=labels, decode=decode, clients=clients, in_test=in_test, targets=targets)


@dataclass(frozen=True, kw_only=True)
class Preparation(Fields):
    """How rows become a data set.

    test: the share of the rows that is the test part, at most 0.5; None means the data's own test part, else 0.2. It is
    drawn by `seed`, the same for all runs: of each client's rows this share, rounded, evenly over the classes; without
    clients of all rows. min_rows: leave out clients with fewer rows. shape: the shape of an input, for images in
    columns. standardise: subtract the mean of the training rows and divide by their standard deviation: of each entry
    of a vector, of each channel of an image, and of the numbers to predict. train_size, test_size: use only so many
    rows, always the same random ones; None: all.
    """

    test: float | str | None = None
    seed: int = 0
    min_rows: int = 1
    shape: tuple[int, ...] | None = None
    standardise: bool = True
    train_size: int | None = None
    test_size: int | None = None

    def __post_init__(self) -> None:
        if self.test is not None and not isinstance(self.test, str):
            check_number("test", self.test, above=0, at_most=0.5)
        check_number("seed", self.seed, at_least=0, whole=True)
        check_number("min_rows", self.min_rows, at_least=1, whole=True)
        check_choice("standardise", self.standardise, (False, True))
        sides = (self.shape,) if isinstance(self.shape, (int, float)) else self.shape
        object.__setattr__(self, "shape", sides)
        check(sides is None or len(sides) > 0, "shape names the sides of an input, such as (28,28)")
        for side in sides or ():
            check_number("a side in shape", side, at_least=1, whole=True)
        for name in ("train_size", "test_size"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), at_least=1, whole=True)

    def dataset(self, examples: Examples) -> Dataset:
        """Divide the rows, decode and standardise them; InputError for rows of which that is not possible."""
        examples, left_out = self._without_few(examples)
        train_rows, test_rows, divided = self._divided(examples)
        train = _part(examples, train_rows, "training").sample("train_size", self.train_size)
        test = _part(examples, test_rows, "test").sample("test_size", self.test_size)
        check(not examples.tokens or self.shape is None, "shape is of images in columns, and the inputs are texts")
        if train.targets is not None and test.targets is not None and self.standardise:
            answers = standard.standardise(train.targets, test.targets)
            train, test = replace(train, targets=answers.train), replace(test, targets=answers.test)
        inputs = self._decoded(train)
        changed = self.standardise and not examples.tokens
        scaled = (standard.standardise if changed else standard.keep)(inputs, self._decoded(test))
        ids = None if examples.clients is None else np.arange(len(examples.clients.names))
        said = [*examples.said, *left_out, *divided, *_on_parts(examples, train, test)]
        said += [] if examples.tokens else [self._on_inputs(inputs)]
        return Dataset(
            replace(train, decode=scaled.train.__getitem__).to_split(ids),
            replace(test, decode=scaled.test.__getitem__).to_split(ids),
            len(examples.labels.names),
            scale=torch.from_numpy(np.asarray(scaled.scale, np.float32)),
            shift=torch.from_numpy(np.asarray(scaled.shift, np.float32)),
            tokens=examples.tokens,
            notes=tuple("".join(map(_printable, sentence)) for sentence in said),
        )

    def _without_few(self, examples: Examples) -> tuple[Examples, list[str]]:
        """Leave out clients with fewer rows than min_rows; InputError for a client that cannot be divided."""
        if examples.clients is None:
            check(self.min_rows == 1, "min_rows is of clients: client names the column or array of their ids")
            return examples, []
        own = np.ones(len(examples.labels), bool) if examples.in_test is None else ~examples.in_test
        counts = np.bincount(examples.clients.codes[own], minlength=len(examples.clients.names))
        few = (counts > 0) & (counts < self.min_rows)
        if few.any():
            codes = examples.clients.codes
            kept = examples.select(np.flatnonzero(~few[codes] | (codes < 0)))
            clients, rows = int(few.sum()), int(counts[few].sum())
            gone = f"{clients} client{'s' * (clients > 1)} with fewer than {self.min_rows} rows"
            return kept, [f"{gone}: left out, {rows} row{'s' * (rows > 1)} in all"]
        single = [examples.clients.names[i] for i in np.flatnonzero(counts == 1).tolist()]
        whose = f"the client{'s' * (len(single) > 1)} {listed(single)} {'have' if len(single) > 1 else 'has'} one row"
        more = "min_rows=2 leaves such clients out, and a test part of its own (test=FILE) leaves them their row"
        check(examples.in_test is not None or not single, f"{whose}, and it cannot both train and test: {more}")
        return examples, []

    def _divided(self, examples: Examples) -> tuple[Array, Array, list[str]]:
        """Return the rows of the training and of the test part, and a sentence on how they were divided."""
        if examples.in_test is not None:
            both = "the data have a test part of their own, and test is the share of one that is drawn: leave it out"
            check(self.test is None or isinstance(self.test, str), both)
            check(self.seed == 0, "seed draws a test part, and the data have one of their own: leave it out")
            rows = np.flatnonzero(~examples.in_test), np.flatnonzero(examples.in_test)
            return *rows, ["the test part is the data's own"]
        test, how = self._held_out(examples, SHARE if self.test is None else float(self.test))
        return np.flatnonzero(~test), np.flatnonzero(test), [how]

    def _held_out(self, examples: Examples, share: float) -> tuple[Array, str]:
        """Return which rows are a test part of this share, (N,) bool, and a sentence on how they were chosen."""
        clients = None if examples.clients is None else examples.clients.codes
        single = [examples.labels.names[i] for i in np.flatnonzero(examples.labels.counts == 1).tolist()]
        alone = f"the class{'es' * (len(single) > 1)} {listed(single)} {'have' if len(single) > 1 else 'has'} one row"
        possible = not single or examples.targets is not None  # tenths of numbers are no classes
        check(possible, f"{alone}, and it cannot both train and test: leave it out, or give more")
        whose = "each client's rows" if clients is not None else "all rows"
        how = f"the test part is {100 * share:g} % of {whose}, evenly over the classes, draw {self.seed}"
        return held_out(examples.labels.codes, clients, share, self.seed), how

    def _decoded(self, part: Part) -> Array:
        inputs = part.decode(np.arange(len(part)))
        if self.shape is None:
            return inputs
        entries, wanted = math.prod(inputs.shape[1:]), " x ".join(map(str, self.shape))
        check(entries == math.prod(self.shape), f"an input has {entries} entries: they do not make {wanted}")
        return inputs.reshape(len(inputs), *self.shape)

    def _on_inputs(self, train: Array) -> str:
        shape = " x ".join(map(str, train.shape[1:]))
        if not self.standardise:
            return f"inputs of {shape} as they are, not standardised"
        of = {2: "each entry", 4: "each channel"}.get(train.ndim, "all entries")
        return f"inputs of {shape}, minus the mean and over the standard deviation of {of} of the training rows"


def held_out(labels: Array, clients: Array | None, share: float, seed: int) -> Array:
    """Return which rows are the test part, (N,) bool: of a client's m rows k = round(share m), from 1 to m - 1.

    Its rows are put in the order of their classes, at random within a class; the test part has k of them at equal
    distances, so that a class has the share, rounded up or down. Without clients all rows are of one.
    """
    order = np.lexsort((numpy_generator(seed, "test part").permutation(len(labels)), labels))
    owner = np.zeros(len(labels), np.int64) if clients is None else clients
    order = order[np.argsort(owner[order], kind="stable")]
    sizes = np.bincount(owner)
    m, k = sizes[owner[order]], num_held_out(sizes, share)[owner[order]]
    place = np.arange(len(order)) - (np.cumsum(sizes) - sizes)[owner[order]]
    test = np.empty(len(order), bool)
    test[order] = (2 * (place + 1) * k + m) // (2 * m) > (2 * place * k + m) // (2 * m)
    return test


def num_held_out(sizes: Array, share: float) -> Array:
    """Return how many of each client's m rows are the test part: round(share m), from 1 to m - 1 (of one row, 0)."""
    return np.clip(np.floor(share * sizes + 0.5).astype(np.int64), 1, sizes - 1)


def _part(examples: Examples, index: Array, name: str) -> Part:
    """Return some of the rows; InputError if they are none. name: what the message calls the part."""
    check(len(index) > 0, f"the {name} part of the data set is empty")
    clients = None if examples.clients is None else examples.clients.codes
    if clients is not None and (clients[index] < 0).any():
        clients = None
    return Part(examples.labels.codes, examples.decode, clients, examples.targets).select(index)


def _on_parts(examples: Examples, train: Part, test: Part) -> list[str]:
    """Return sentences on the sizes, on the balance of the classes, and on the clients."""
    names = examples.labels.names
    counts = [np.bincount(part.labels, minlength=len(names)) for part in (train, test)]
    said = [f"{len(train):,} training rows, {len(test):,} test rows; {_balance(names, counts[0])}"]
    never = [name for name, count in zip(names, counts[0], strict=True) if not count]
    said += [f"no training row is of class {listed(never)}"] if never else []
    if train.writers is not None:
        sizes = np.bincount(train.writers)
        sizes = sizes[sizes > 0]
        said.append(f"{len(sizes)} clients with {sizes.min():,} to {sizes.max():,} training rows")
    return said


def _printable(char: str) -> str:
    """Return a character of a name, escaped if it cannot be printed."""
    return char if char.isprintable() else repr(char)[1:-1]


def _balance(names: Sequence[str], counts: Array) -> str:
    """Return the shares of the classes as text."""
    shares = 100 * counts / counts.sum()
    if len(names) <= FEW:
        each = [f"{name:.40} {share:.1f} %" for name, share in zip(names, shares, strict=True)]
        return f"classes {', '.join(each)}"
    low, high = int(shares.argmin()), int(shares.argmax())
    ends = f"{shares[low]:.1f} % ({names[low]:.40}) to {shares[high]:.1f} % ({names[high]:.40})"
    return f"{len(names)} classes of {ends}"
