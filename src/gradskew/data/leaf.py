"""LEAF's JSON files: inputs and labels, user by user."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InputError, check
from .base import Array, whole_numbers
from .file_source import Layout, Part, id_array

Convert = Callable[[Sequence[Any], Sequence[Any], str], tuple[Array, Array]]
"""A function (x, y, place) -> inputs (k, ...) and labels (k,) of a user. place: what a message calls the user."""


def find(folder: Path, convert: Convert) -> Layout | None:
    """Return the layout of a folder with train/*.json and test/*.json, or of data below it; None if it has none."""
    for home in (folder, folder / "data"):
        train, test = (sorted((home / part).glob("[!.]*.json")) for part in ("train", "test"))
        if train or test:
            check(bool(train), f"{str(home / 'train')!r} has no JSON files")
            return Layout.of_parts(folder, train, test, lambda files: _read(files, convert))
    return None


def whole_labels(given: Sequence[Any], place: str) -> Array:
    """Return the labels of a user (k,) int64; InputError unless they are whole numbers."""
    try:
        labels = whole_numbers(np.array(given))
    except ValueError:  # lists inside
        labels = None
    if labels is None or labels.ndim != 1:
        raise InputError(f"{place} has labels that are not whole numbers")
    return labels


def _read(files: Sequence[Path], convert: Convert) -> Part:
    """Read the inputs, labels and writers of a part, writer by writer."""
    parts = [(user, *convert(x, y, place)) for path in files for user, x, y, place in _users(path)]
    check(len(parts) > 0, f"no writers in {', '.join(repr(str(path)) for path in files)}")
    ids, inputs, labels = zip(*parts, strict=True)
    writers = np.repeat(np.array(ids), [len(row) for row in labels])
    return Part(np.concatenate(labels), np.concatenate(inputs).__getitem__, writers)


def _users(path: Path) -> Iterator[tuple[str, list[Any], list[Any], str]]:
    """Yield each user's id, lists x and y of the same length, and what a message calls the user."""
    try:
        content = json.loads(path.read_bytes())
        users, data_of = content["users"], content["user_data"]
        absent = [str(user) for user in users if user not in data_of]
        users = [(str(user), data_of.get(user)) for user in users]
    except (ValueError, RecursionError):
        raise InputError(f"{str(path)!r} is not JSON: is the download complete?") from None
    except (LookupError, TypeError, AttributeError):
        raise InputError(f"{str(path)!r} is not LEAF's: it needs `users` and `user_data` of each") from None
    without = f"{len(absent)} of {len(users)} users without data"
    check(not absent, f"{str(path)!r} has {without}: {', '.join(absent[:3])}{', ...' if absent[3:] else ''}")
    check(len(id_array([user for user, _ in users], path)) == len(dict(users)), f"{str(path)!r} names a user twice")
    for user, data in users:
        place = f"the writer {user!r} in {str(path)!r}"
        good = isinstance(data, Mapping) and all(isinstance(data.get(key), list) for key in ("x", "y"))
        check(good, f"{place} has no lists x and y")
        inputs, labels = len(data["x"]), len(data["y"])
        check(inputs == labels, f"{place} has {inputs} inputs and {labels} labels")
        yield user, data["x"], data["y"], place
