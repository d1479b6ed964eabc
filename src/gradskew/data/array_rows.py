"""A user's arrays, from a file or from memory, as rows."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from ..core.errors import check
from ..core.given import check_unmasked
from . import coding
from .base import Array
from .preparation import Examples

Part = tuple[Array, Array, Array | None]  # inputs, labels and clients
CHANNELS = (1, 3, 4)  # numbers of channels by which the last axis of images is known for that of the channels


def of_parts(parts: Sequence[Part], missing: str, regression: bool = False) -> Examples:
    """Return the arrays of one part, or of a training and a test part, as rows; InputError if they do not fit."""
    if len(parts) == 1:
        return rows(*parts[0], missing=missing, regression=regression)
    first, other = ((_numbers(inputs), np.asarray(labels), clients) for inputs, labels, clients in parts)
    same = first[0].shape[1:] == other[0].shape[1:]
    check(same, f"training inputs have the shape {first[0].shape[1:]}, test inputs {other[0].shape[1:]}")
    for inputs, labels, _ in (first, other):
        fits = len(inputs) == labels.size
        check(fits, f"a part has {len(inputs)} inputs and {labels.size} labels: one label for each input")
    check(first[2] is not None or other[2] is None, "the test part has clients, and the training part has none")
    clients = (
        first[2] if other[2] is None else np.concatenate([np.asarray(part[2]).reshape(-1) for part in (first, other)])
    )
    labels = np.concatenate([first[1].reshape(-1), other[1].reshape(-1)])
    inputs = np.concatenate([first[0], other[0]])
    return rows(inputs, labels, clients, missing=missing, train=len(first[0]), regression=regression)


def rows(
    inputs: Array,
    labels: Array,
    clients: Array | None = None,
    *,
    missing: str = "refuse",
    train: int | None = None,
    regression: bool = False,
) -> Examples:
    """Return arrays as rows: inputs (N, *shape), labels (N,) or (N, 1), clients (N,); InputError if they do not fit.

    Images (N, H, W, C) become (N, C, H, W). missing: what to do about NaN, as in `Columns`. train: the number of first
    rows that are the training part, where the others are a test part of its own, for which clients may be left out;
    None: nobody has divided them. regression: whether labels are numbers to predict.
    """
    inputs, labels = _numbers(inputs), np.asarray(labels)
    labels = labels.reshape(-1) if labels.shape[1:] == (1,) else labels
    one = f"there must be one label for each input, a number or a text, and not {labels.shape} labels"
    check(labels.ndim == 1 and len(labels) == len(inputs), f"{one} for {len(inputs)} inputs")
    check(len(labels) > 0, "there are no rows")
    said = []
    if inputs.ndim == 4 and inputs.shape[3] in CHANNELS and inputs.shape[1] not in CHANNELS:
        inputs = inputs.transpose(0, 3, 1, 2)
        said.append(f"images with the channels last, {inputs.shape[1]}: moved to the front")
    inputs, kept, about = _without_gaps(inputs, missing)
    coded, targets = coding.answers("the array of labels", *_values("labels", labels[kept]), regression)
    owners = None
    if clients is not None:
        clients = np.asarray(clients)
        sizes = {len(labels), train or len(labels)}
        good = clients.shape in {shape for size in sizes for shape in ((size,), (size, 1))}
        check(
            good, f"there must be one client for each input, and not {clients.shape} for {train or len(labels)} inputs"
        )
        different, places = _values("clients", clients.reshape(-1)[kept[kept < len(clients)]])
        owners = coding.ids(different, np.append(places, np.full(len(kept) - len(places), -1)))
    in_test = None if train is None else kept >= train
    said += [*about, *coding.about("labels", coded, targets)]
    return Examples(coded, inputs.__getitem__, owners, in_test, said, targets=targets)


def _numbers(inputs: Any) -> Array:
    check_unmasked("inputs", inputs)
    array = np.asarray(inputs)
    kinds = {"O": "Python objects", "c": "complex numbers", "U": "texts", "S": "texts", "M": "dates", "m": "times"}
    held = kinds.get(array.dtype.kind, str(array.dtype))
    check(array.dtype.kind in "fiub", f"the array of inputs holds {held}, not numbers")
    check(array.ndim > 1, f"the array of inputs must have a row for each input, not the shape {array.shape}")
    check(0 not in array.shape[1:], f"inputs of the shape {array.shape[1:]} have no entries")
    return array.astype(np.uint8) if array.dtype.kind == "b" else array


def _without_gaps(inputs: Array, missing: str) -> tuple[Array, Array, list[str]]:
    """Return the inputs of the rows that are kept, their indices, and what is said of missing values, which are NaN."""
    every = np.arange(len(inputs))
    if inputs.dtype.kind != "f":
        return inputs, every, []
    flat = inputs.reshape(len(inputs), -1)
    with np.errstate(over="ignore", invalid="ignore"):
        odd = np.flatnonzero(~np.isfinite(flat.sum(1)))  # a finite sum has finite terms; a sum may overflow
    infinite = [int(row) for row in odd if np.isinf(flat[row]).any()]
    check(not infinite, f"{len(infinite)} rows have infinite inputs, the first is row {sum(infinite[:1]) + 1}")
    gaps = np.array([row for row in odd if np.isnan(flat[row]).any()], dtype=np.int64)
    if not len(gaps):
        return inputs, every, []
    total = f"{len(gaps):,} of {len(inputs):,} rows have inputs that are NaN, the first of them row {gaps[0] + 1}"
    ways = "missing=drop leaves them out, missing=mean puts in the mean of the training rows"
    check(missing != "refuse", f"{total}: {ways}")
    if missing == "mean":
        return inputs, every, [f"{total}: they are the mean of the training rows"]
    kept = np.delete(every, gaps)
    check(len(kept) > 0, "each row has an input that is NaN: no row is left")
    return inputs[kept], kept, [f"{total}: these rows are left out"]


def _values(name: str, array: Array) -> tuple[list[Any], Array]:
    check_unmasked(name, array)
    if array.dtype.kind in "OSU":
        values = [value.decode() if isinstance(value, bytes) else value for value in array.tolist()]
        gaps = [row for row, value in enumerate(values) if _absent(value)]
        check(not gaps, f"{len(gaps):,} of {len(values):,} {name} are missing, the first is row {sum(gaps[:1]) + 1}")
        numeric = all(isinstance(value, (Real, np.bool_)) for value in values)
        array = np.array(values if numeric else [str(value) for value in values])
    good = array.dtype.kind in "fiubU" and not (array.dtype.kind == "f" and np.isnan(array).any())
    check(good, f"{name} must be numbers or texts, one for each input, none missing")
    return coding.of_array(array)


def _absent(value: Any) -> bool:
    """Whether an object is a missing value: None, NaN of any kind, and the text that NumPy makes of NaN among texts."""
    return value is None or str(value) in ("", "nan", "NaT", "<NA>")
