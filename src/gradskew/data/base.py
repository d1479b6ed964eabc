"""A data set as tensors, and how a network gets to see it."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ..core.errors import InputError, check, check_number
from ..core.given import check_unmasked
from ..core.importing import place_of, with_place
from ..core.names import Named

Array = np.ndarray[Any, Any]

LARGEST_WHOLE = 1 << 24  # up to which float32 has every whole number
LARGEST_LABEL = 1 << 53  # in a float
NUMPY_FLOATS = (torch.float16, torch.float32, torch.float64)
MAX_TEST_BATCH = 1000  # inputs of a batch in a test
MAX_TEST_ENTRIES = 1 << 25  # entries of all the inputs of such a batch
STATES, ATTENTION = 512, 6  # entries that a network makes of a token, and of each pair of tokens


@dataclass(frozen=True)
class Split:
    """The training or the test part of a data set.

    inputs: (N, *shape), as they are stored, of any dtype. labels: (N,) whole numbers of any type, kept as int64.
    writers: (N,) int64, the writer of each input as an index into the sorted ids; None if the writers are unknown.
    targets: (N,) float32, the numbers that are to be predicted; None for a classification.
    NumPy arrays become tensors, and floats that NumPy does not have, such as bfloat16, float32.
    """

    inputs: Tensor
    labels: Tensor
    writers: Tensor | None = None
    targets: Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("inputs", "labels", "writers", "targets"):
            values = getattr(self, name)
            if isinstance(values, np.ndarray):
                check_unmasked(name, values)
                object.__setattr__(self, name, torch.from_numpy(np.ascontiguousarray(values)))
        object.__setattr__(self, "inputs", widened(self.inputs))
        if self.targets is not None:
            object.__setattr__(self, "targets", self.targets.float())
        if self.labels.dtype != torch.int64 and not self.labels.is_complex():
            numbers = whole_numbers(self.labels.double().cpu().numpy())
            if numbers is not None:
                object.__setattr__(self, "labels", torch.from_numpy(numbers).to(self.labels.device))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def images(self) -> Tensor:
        """The inputs, by the name that suits images."""
        return self.inputs

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors that there are, by name."""
        named = {name: getattr(self, name) for name in ("inputs", "labels", "writers", "targets")}
        return {name: tensor for name, tensor in named.items() if tensor is not None}

    def select(self, index: Tensor) -> Split:
        """Return the inputs with these indices (k,), and what belongs to them."""
        return Split(**{name: tensor[index.to(tensor.device)] for name, tensor in self.tensors.items()})


@dataclass(frozen=True)
class Dataset:
    """Training and test inputs with labels 0, ..., num_classes - 1.

    Networks get `scale * input + shift` in float32; scale and shift are broadcast over the shape of an input. Inputs
    that are stored as bytes stay bytes until then. notes: sentences on what was done to make the tensors, for people.
    tokens: whether the inputs are those of a text, (length,), for which networks take more memory.
    Raises InputError if the parts do not fit together, and for whole numbers beyond 2^24, such as tokens, that float32
    would change.
    """

    train: Split
    test: Split
    num_classes: int
    scale: Tensor = field(default_factory=lambda: torch.tensor(1.0))
    shift: Tensor = field(default_factory=lambda: torch.tensor(0.0))
    notes: Sequence[str] = ()
    tokens: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "num_classes", check_number("num_classes", self.num_classes, at_least=2, whole=True))
        for part in ("scale", "shift"):
            if not isinstance(getattr(self, part), Tensor):
                object.__setattr__(self, part, torch.as_tensor(getattr(self, part), dtype=torch.float32))
        printable = all(isinstance(note, str) and note.isprintable() for note in self.notes)
        check(printable, "notes must be texts of one line, which can be printed")
        for name, split in (("training", self.train), ("test", self.test)):
            good = split.labels.ndim == 1 and split.labels.dtype == torch.int64
            got = f"{str(split.labels.dtype).removeprefix('torch.')} of shape {tuple(split.labels.shape)}"
            check(good, f"the {name} labels must be whole numbers of shape (N,), not {got}")
            check(len(split) > 0, f"the {name} part of the data set is empty")
            same = len(split.inputs) == len(split.labels)
            check(same, f"the {name} part has {len(split.inputs)} inputs and {len(split.labels)} labels")
            shape = tuple(split.inputs.shape[1:])
            check(shape == self.shape, f"training inputs have the shape {self.shape}, {name} inputs {shape}")
            check(split.inputs.numel() > 0, f"inputs of shape {shape} have no entries")
            check_labels(name, int(split.labels.min()), int(split.labels.max()), self.num_classes)
            if split.writers is not None:
                good = split.writers.dtype == torch.int64 and split.writers.shape == split.labels.shape
                check(good, f"the {name} writers must be int64 of shape {tuple(split.labels.shape)}, one per input")
                check(int(split.writers.min()) >= 0, f"the {name} writers must be numbered from 0")
            if split.targets is not None:
                good = split.targets.dtype == torch.float32 and split.targets.shape == split.labels.shape
                good = good and bool(split.targets.isfinite().all())
                check(good, f"the {name} targets must be finite float32 of shape {tuple(split.labels.shape)}")
            _check_inputs(name, split.inputs)
        both = (self.train.targets is None) == (self.test.targets is None)
        check(both, "one part of the data set has targets, and the other has none")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input."""
        return tuple(self.train.inputs.shape[1:])

    @cached_property
    def vocabulary(self) -> int:
        """The number of tokens from 0 to the largest in the inputs."""
        return 1 + max(int(split.inputs.max()) for split in (self.train, self.test))

    @property
    def test_batch_size(self) -> int:
        """The number of inputs in a batch of a test, so that the batch fits into memory."""
        return max(1, min(MAX_TEST_BATCH, MAX_TEST_ENTRIES // self.entries))

    @property
    def entries(self) -> int:
        """The number of entries of an input; of a text, about those that a network makes of it."""
        length = math.prod(self.shape)
        return length * (max(STATES, self.vocabulary) + ATTENTION * length) if self.tokens else length

    def inputs(self, stored: Tensor) -> Tensor:
        """Convert stored inputs (k, *shape) to what a network gets: float32 of the same shape."""
        return stored.to(torch.float32, copy=True).mul_(self.scale).add_(self.shift)

    def to(self, device: torch.device | str) -> Dataset:
        """Return the data set on a device; the writers stay where they are."""
        if torch.device(device) == self.train.inputs.device:
            return self
        train, test = (
            replace(split, **{name: each.to(device) for name, each in split.tensors.items() if name != "writers"})
            for split in (self.train, self.test)
        )
        return replace(self, train=train, test=test, scale=self.scale.to(device), shift=self.shift.to(device))

    def with_notes(self, notes: Sequence[str]) -> Dataset:
        """Return the data set with other notes; its tensors are neither copied nor checked again."""
        same = copy(self)
        vars(same)["notes"] = tuple(notes)
        return same

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the values, dtypes and shapes of all tensors and of num_classes, in hexadecimal."""
        total = hashlib.sha256(f"{self.num_classes} classes".encode())
        tensors = [self.scale, self.shift]
        for split in (self.train, self.test):
            tensors += split.tensors.values()
        for tensor in tensors:
            array = tensor.cpu().contiguous().numpy()
            total.update(f"{array.dtype.str} {array.shape}".encode())
            total.update(array.data)
        return total.hexdigest()


def widened(tensor: Tensor) -> Tensor:
    """Return a tensor of floats that NumPy does not have, such as bfloat16, as float32, which has the same values."""
    return tensor.float() if tensor.is_floating_point() and tensor.dtype not in NUMPY_FLOATS else tensor


def whole_numbers(values: Array) -> Array | None:
    """Return whole numbers of any type, also floats such as 3.0, as int64; None if a value is not whole.

    >>> whole_numbers(np.array([3.0, 7.0])), whole_numbers(np.array([0.5]))
    (array([3, 7]), None)
    """
    if values.dtype.kind in "ib":
        return values.astype(np.int64)
    good = values.dtype.kind in "uf" and bool((np.abs(values) <= LARGEST_LABEL).all())
    return values.astype(np.int64) if good and (np.rint(values) == values).all() else None


def _check_inputs(name: str, inputs: Tensor) -> None:
    """Raise InputError unless float32 has the inputs of the part `name`: finite numbers, whole ones unchanged."""
    check(not inputs.is_complex(), f"the {name} inputs are complex: store real and imaginary parts as numbers")
    if inputs.is_floating_point():
        largest = torch.finfo(torch.float32).max
        fits = inputs.isfinite().all() and (inputs.dtype != torch.float64 or inputs.abs().max() <= largest)
        check(bool(fits), f"the {name} inputs have non-finite entries, or some that float32 does not have")
    elif inputs.dtype.itemsize >= 4:
        low, high = (int(value) for value in inputs.to(torch.int64).aminmax())
        exact = -LARGEST_WHOLE <= low <= high <= LARGEST_WHOLE
        wrong = f"the {name} inputs are whole numbers from {low} to {high}, and float32 changes those beyond 2^24"
        check(exact, f"{wrong}: number tokens from 0, or store measurements as float32")


def check_labels(name: str, low: int, high: int, num_classes: int) -> None:
    """Raise InputError unless the lowest and the highest label of the part `name` are classes."""
    inside = low >= 0 and high < num_classes
    check(inside, f"the {name} labels run from {low} to {high}: 0 to {num_classes - 1} is allowed")


@dataclass(frozen=True, kw_only=True)
class Source(Named, ABC):
    """A data set that can be loaded. Equal sources share one Dataset per process.

    scaling: what is done to its numbers, in words; "" where the notes of the data set say so, or nothing is done.
    """

    min_samples: ClassVar[int] = 10  # per client, under a Dirichlet partition
    partition: ClassVar[str] = "dirichlet"  # the default
    recipe: ClassVar[Mapping[str, Any]] = {}  # the options of `bench` that fit it; chosen by unattacked runs alone
    scaling: ClassVar[str] = ""

    @abstractmethod
    def read(self) -> Dataset:
        """Read the data set from its files; InputError if that fails."""

    def load(self, read: Callable[[], Dataset] | None = None) -> Dataset:
        """Return the data set, the same object at every call. The first call makes it by `read`, or by `self.read`."""
        if self not in _loaded:
            try:
                made = (read or self.read)()
            except Exception as error:
                if isinstance(error, InputError) or not place_of(error):
                    raise
                raise InputError(f"read of {self.name} raised {with_place(error)}") from error
            kind = type(made).__name__
            check(isinstance(made, Dataset), f"read of {self.name} must return a gradskew.data.Dataset, not a {kind}")
            _loaded[self] = made
        return _loaded[self]


_loaded: dict[Source, Dataset] = {}
