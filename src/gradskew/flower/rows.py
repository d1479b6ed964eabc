"""Flower's arrays as rows, and back. The round's model determines the names, shapes and types of the arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.errors import check
from ..core.given import finite_rows
from .interface import Array, ArrayRecord, Message, RecordDict

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of batch norm, as torch names them
LONGEST = 200  # characters of a reason, which may quote a client
Numbers = NDArray[Any]


class Layout:
    """The round's model, as a row (d,) of trained parameters and a row (b,) of batch norm's statistics.

    statistics: the last parts of the names of arrays that are no parameters. Arrays of other than floating numbers are
    in neither row: the model keeps its own. kept: the names of the statistics.
    """

    def __init__(self, model: ArrayRecord, statistics: Sequence[str] = STATISTICS):
        self.model = {name: array.numpy() for name, array in model.items()}
        floating = [name for name, array in self.model.items() if array.dtype.kind == "f"]
        self.kept = [name for name in floating if name.rpartition(".")[2] in statistics]
        self.trained = [name for name in floating if name not in self.kept]
        check(bool(self.trained), f"the model has no trained array, but {', '.join(self.model) or 'none at all'}")
        self.d, self.b = (sum(self.model[name].size for name in names) for names in (self.trained, self.kept))

    def params(self) -> Tensor:
        """Return the model's trained arrays as one vector (d,)."""
        params = torch.empty(self.d)
        for target, name, part in _parts(params, self.trained, self.model):
            target[part] = self.model[name].ravel()
        return params

    def read(self, arrays: ArrayRecord, row: Tensor, statistics: Tensor) -> str | None:
        """Write model sent - model received into row (d,), and the statistics (b,). Returns why it cannot, or None."""
        if set(arrays) != set(self.model):
            names = sorted(set(arrays) ^ set(self.model))
            return f"another architecture: it differs in {_some(names)}"
        try:
            received = {name: arrays[name].numpy() for name in (*self.trained, *self.kept)}
        except Exception as error:  # bytes from outside: whatever is wrong with them, they are no array
            return f"an array that cannot be read ({type(error).__name__})"
        wrong = [name for name, array in received.items() if array.shape != self.model[name].shape]
        if wrong:
            return f"arrays of another shape: {_some(wrong)}"
        if not all(array.dtype.kind == "f" for array in received.values()):
            return "arrays of other than floating numbers"
        with np.errstate(all="ignore"):  # what overflows is not finite: checked below
            for target, name, part in _parts(row, self.trained, self.model):
                target[part] = (self.model[name].astype(_wide(self.model[name])) - received[name]).ravel()
            for target, name, part in _parts(statistics, self.kept, self.model):
                target[part] = received[name].ravel()
        finite = bool(finite_rows(row[None]).all() and statistics.isfinite().all())
        return None if finite else "NaN or infinity"

    def step(self, arrays: ArrayRecord) -> Tensor | None:
        """Return model - arrays (d,), None if the arrays are not finite or of another architecture."""
        step, statistics = torch.empty(self.d), torch.empty(self.b)
        return step if self.read(arrays, step, statistics) is None else None

    def after(self, aggregate: Tensor, statistics: Tensor) -> dict[str, Numbers]:
        """Return the model after the step w - aggregate, with these statistics; a variance is never below 0."""
        model = dict(self.model)
        for source, name, part in _parts(aggregate, self.trained, self.model):
            before = self.model[name]
            step = source[part].astype(np.float64).reshape(before.shape)
            model[name] = np.asarray(before - step, before.dtype)  # NumPy makes an array () a scalar
        for source, name, part in _parts(statistics, self.kept, self.model):
            before = self.model[name]
            model[name] = source[part].reshape(before.shape).astype(before.dtype)
        return {name: array.clip(min=0) if name.endswith("running_var") else array for name, array in model.items()}

    def forged(self, row: Tensor) -> dict[str, Array]:
        """Return the trained arrays of a client that sends this row (d,)."""
        arrays = {}
        for source, name, part in _parts(row, self.trained, self.model):
            before = self.model[name]
            arrays[name] = Array(np.asarray(before - source[part].reshape(before.shape), before.dtype))
        return arrays

    def restored(self, arrays: ArrayRecord) -> ArrayRecord:
        """Return the arrays in the model's types, and the model's own where these are not of floating numbers."""
        made = {name: array.numpy() for name, array in arrays.items()}
        for name in made.keys() & self.model.keys():
            before = self.model[name]
            made[name] = made[name].astype(before.dtype) if before.dtype.kind == "f" else before
        return record(made)


def record(arrays: Mapping[str, Numbers]) -> ArrayRecord:
    """Return the arrays as Flower has them."""
    return ArrayRecord({name: Array(np.asarray(array)) for name, array in arrays.items()})


@dataclass(frozen=True)
class Received:
    """The usable replies of a round, their rows (n, d) and statistics (n, b).

    rejected: by node, why its reply cannot be used.
    """

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
    rows, statistics = torch.empty(len(replies), layout.d), torch.empty(len(replies), layout.b)
    good: list[Message] = []
    rejected: dict[int, str] = {}
    for reply in replies:
        reason = _unusable(reply) or refuse(reply.content)
        reason = reason or layout.read(arrays_of(reply), rows[len(good)], statistics[len(good)])
        if reason is None:
            good.append(reply)
        else:
            rejected[reply.metadata.src_node_id] = reason[:LONGEST]
    return Received(good, rows[: len(good)], statistics[: len(good)], rejected)


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


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
