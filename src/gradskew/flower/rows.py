"""Flower's arrays as rows, and back. The round's model determines the names, shapes and types of the arrays."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.errors import check
from ..core.given import finite_rows
from ..core.round import Layer, Round
from .interface import Array, ArrayRecord, Message, RecordDict

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of batch norm, as torch names them
VARIANCES = ("running_var", "moving_var", "moving_variance")  # never below 0; the last are of Keras
LONGEST = 200  # characters of a reason, which may quote a client
KNOWN = Round(clients=(), params=torch.empty(0), layers={})  # the parts of a round that a server of Flower has
Numbers = NDArray[Any]


class Layout:
    """The round's model, as a row (d,) of trained parameters and a row (b,) of batch norm's statistics.

    statistics: the last parts of the names of arrays that are no parameters. fixed: the names of arrays that no client
    trains, see `fixed_of`. These are in neither row: the model keeps its own. kept: the names of the statistics.
    """

    def __init__(self, model: ArrayRecord, statistics: Sequence[str] = STATISTICS, fixed: Container[str] = ()):
        self.model = {name: array.numpy() for name, array in model.items()}
        self.names = frozenset(self.model)
        floating = [name for name, array in self.model.items() if array.dtype.kind == "f" and name not in fixed]
        self.kept = [name for name in floating if name.rpartition(".")[2] in statistics]
        self.trained = [name for name in floating if name not in self.kept]
        check(self.d > 0, f"the model has no trained array, but {', '.join(self.model) or 'none at all'}")

    @property
    def d(self) -> int:
        return sum(self.model[name].size for name in self.trained)

    @property
    def b(self) -> int:
        return sum(self.model[name].size for name in self.kept)

    def asked(self, replies: Iterable[ArrayRecord]) -> Layout:
        """Return the layout of the arrays that most of the replies have: the model keeps its own of all others.

        Clients may keep batch norm, or all but a head, to themselves, and may send more than the model has. Trained are
        those that most of these replies have as floating numbers: averaging turns a counter into one on the server.
        """
        replies = list(replies)
        forms = Counter(frozenset(arrays) for arrays in replies)
        sent = [names for names in forms if any(self.model[name].size for name in self.trained if name in names)]
        layout, order = copy.copy(self), lambda names: (forms[names], len(names & self.names), sorted(names))
        layout.names = max(sent, key=order, default=self.names)
        same = [arrays for arrays in replies if layout.names == set(arrays)]
        trained = [name for name in self.trained if name in layout.names]
        layout.trained = [name for name in trained if 2 * sum(_floating(each[name]) for each in same) >= len(same)]
        if layout.d == 0:
            layout.trained = trained
        layout.kept = [name for name in self.kept if name in layout.names]
        return layout

    def round(self, server_round: int, nodes: Sequence[int]) -> Round:
        """Return what the server knows of a round, counted from 1, with replies of these nodes."""
        params = self.params()
        layers = {n: Layer(part, self.model[n].shape) for _, n, part in _parts(params, self.trained, self.model)}
        return Round(number=server_round - 1, clients=nodes, params=params, layers=layers)

    def params(self) -> Tensor:
        """Return the model's trained arrays as one vector (d,)."""
        params = torch.empty(self.d)
        for target, name, part in _parts(params, self.trained, self.model):
            target[part] = self.model[name].ravel()
        return params

    def read(self, arrays: ArrayRecord, row: Tensor, statistics: Tensor) -> str | None:
        """Write model sent - model received into row (d,), and the statistics (b,). Returns why it cannot, or None."""
        if self.names != set(arrays):
            return f"another architecture: it differs in {some(sorted(self.names ^ set(arrays)))}"
        try:
            received = {name: arrays[name].numpy() for name in (*self.trained, *self.kept)}
        except Exception as error:  # bytes from outside: whatever is wrong with them, they are no array
            return f"an array that cannot be read ({type(error).__name__})"
        wrong = [name for name, array in received.items() if array.shape != self.model[name].shape]
        if wrong:
            return f"arrays of another shape: {some(wrong)}"
        floating = all(received[name].dtype.kind == "f" for name in self.trained)
        if not floating or not all(received[name].dtype.kind in "fiub" for name in self.kept):
            return "arrays of other than floating numbers"
        with np.errstate(all="ignore"):  # what overflows is not finite: checked below
            for target, name, part in _parts(row, self.trained, self.model):
                target[part] = (self.model[name].astype(_wide(self.model[name])) - received[name]).ravel()
            for target, name, part in _parts(statistics, self.kept, self.model):
                target[part] = received[name].ravel()
        finite = bool(finite_rows(row[None]).all() and statistics.isfinite().all())
        return None if finite else "NaN or infinity"

    def step(self, arrays: ArrayRecord) -> Tensor | None:
        """Return model - arrays (d,), None if the trained ones are missing, of another shape or not finite."""
        step, alone = torch.empty(self.d), copy.copy(self)
        alone.names, alone.kept = frozenset(arrays), []
        return step if alone.read(arrays, step, torch.empty(0)) is None else None

    def after(self, aggregate: Tensor, statistics: Tensor) -> dict[str, Numbers]:
        """Return the model after the step w - aggregate, with these statistics; a variance is never below 0."""
        model = dict(self.model)
        for source, name, part in _parts(aggregate, self.trained, self.model):
            before = self.model[name]
            step = source[part].astype(np.float64).reshape(before.shape)
            model[name] = _valid(name, np.asarray(before - step, before.dtype))  # NumPy makes an array () a scalar
        for source, name, part in _parts(statistics, self.kept, self.model):
            before = self.model[name]
            model[name] = _valid(name, source[part].reshape(before.shape).astype(before.dtype))
        return model

    def forged(self, row: Tensor) -> dict[str, Array]:
        """Return the trained arrays of a client that sends this row (d,). InputError if their type is too narrow."""
        arrays = {}
        for source, name, part in _parts(row, self.trained, self.model):
            before = self.model[name]
            with np.errstate(over="ignore"):
                array = np.asarray(before - source[part].reshape(before.shape), before.dtype)
            check(bool(np.isfinite(array).all()), f"a forged row is beyond {before.dtype}, the type of {name!r}")
            arrays[name] = Array(array)
        return arrays

    def stepped(self, arrays: ArrayRecord, after: Mapping[str, Numbers]) -> ArrayRecord:
        """Return the arrays of a strategy: trained ones in the model's types, the model's others as in `after`."""
        made = {name: array.numpy() for name, array in arrays.items()}
        made |= {name: after[name] for name in made.keys() & after.keys()}
        for name in arrays.keys() & set(self.trained):
            made[name] = _valid(name, arrays[name].numpy().astype(self.model[name].dtype))
        return record(made)


def fixed_of(model: ArrayRecord) -> frozenset[str]:
    """Return the names of the arrays that no client trains, from the model before the first round: integers and masks.

    Later, averaging makes floating numbers of integers, and infinity means that the training diverged.
    """
    arrays = ((name, array.numpy()) for name, array in model.items())
    return frozenset(name for name, array in arrays if array.dtype.kind != "f" or not np.isfinite(array).all())


def record(arrays: Mapping[str, Numbers]) -> ArrayRecord:
    """Return the arrays as Flower has them."""
    return ArrayRecord({name: Array(np.asarray(array)) for name, array in arrays.items()})


@dataclass(frozen=True)
class Received:
    """The usable replies of a round, their rows (n, d) and statistics (n, b) float64.

    layout: of what was asked of the replies. rejected: by node, why its reply cannot be used.
    """

    layout: Layout
    replies: Sequence[Message]
    rows: Tensor
    statistics: Tensor
    rejected: Mapping[int, str]

    @property
    def nodes(self) -> list[int]:
        return [reply.metadata.src_node_id for reply in self.replies]


def receive(
    layout: Layout, replies: Iterable[Message], refuse: Callable[[RecordDict], str | None] = lambda content: None
) -> Received:
    """Read the replies, in their order, into one matrix. refuse: returns why a content is not wanted, or None."""
    replies = list(replies)
    layout = layout.asked(arrays_of(reply) for reply in replies if _unusable(reply) is None)
    rows = torch.empty(len(replies), layout.d)
    statistics = torch.empty(len(replies), layout.b, dtype=torch.float64)
    good: list[Message] = []
    rejected: dict[int, str] = {}
    for reply in replies:
        reason = _unusable(reply) or refuse(reply.content)
        reason = reason or layout.read(arrays_of(reply), rows[len(good)], statistics[len(good)])
        if reason is None:
            good.append(reply)
        else:
            rejected[reply.metadata.src_node_id] = reason[:LONGEST]
    return Received(layout, good, rows[: len(good)], statistics[: len(good)], rejected)


def arrays_of(reply: Message) -> ArrayRecord:
    """Return the arrays of a reply that has one record of them."""
    (arrays,) = reply.content.array_records.values()
    return arrays


def printable(text: str) -> str:
    """Cut a text from outside, and escape what does not print, so that it stays on one line.

    >>> printable("two\\nlines")
    'two\\\\nlines'
    """
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text[:LONGEST])[:LONGEST]


def _unusable(reply: Message) -> str | None:
    if reply.has_error():
        return f"an error: {printable(reply.error.reason or 'no reason')}"
    records = len(reply.content.array_records) if reply.has_content() else 0
    return None if records == 1 else f"{records} records of arrays instead of one"


def _parts(row: Tensor, names: Iterable[str], model: Mapping[str, Numbers]) -> Iterable[tuple[Numbers, str, slice]]:
    """Yield the row as a NumPy view, with the name and the place of each array in it."""
    start = 0
    for name in names:
        stop = start + model[name].size
        yield row.numpy(), name, slice(start, stop)
        start = stop


def _wide(array: Numbers) -> np.dtype[Any]:
    """Return the type for differences: that of the array, but float32 for float16, which would lose digits."""
    return np.promote_types(array.dtype, np.float32)


def _floating(array: Array) -> bool:
    """Return whether an array says that it is of floating numbers."""
    try:
        return np.dtype(array.dtype).kind == "f"
    except TypeError:
        return False


def _valid(name: str, array: Numbers) -> Numbers:
    """Return the array, without negative numbers if it is a variance."""
    return np.asarray(array.clip(min=0)) if name.endswith(VARIANCES) else array


def some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
