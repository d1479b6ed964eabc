"""Labels and client ids of any kind as whole numbers from 0."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import check
from .base import LARGEST_LABEL, Array

LARGEST_TARGET = 1e18  # whose square float32 has
SHOWN = 10  # names that a sentence lists at most
LONGEST = 40  # characters of a name in a sentence


@dataclass(frozen=True)
class Coded:
    """Values as numbers: value i is called names[codes[i]], and each name occurs. codes: (N,) int64, -1 for none."""

    codes: Array
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.codes)

    def select(self, index: Array) -> Coded:
        """Return the values with these indices (k,); a name that no longer occurs keeps its number."""
        return Coded(self.codes[index], self.names)

    @property
    def counts(self) -> Array:
        """How often each name occurs: (names,)."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.names))

    def used(self) -> Coded:
        """Return the values numbered without the names that do not occur."""
        kept = np.flatnonzero(self.counts)
        codes = np.where(self.codes < 0, -1, np.searchsorted(kept, self.codes))
        return Coded(codes, [self.names[i] for i in kept.tolist()])


def answers(name: str, values: Sequence[Any], places: Array, regression: bool) -> tuple[Coded, Array | None]:
    """Return classes, and the numbers to predict if the labels are such (regression); see `labels` and `tenths`."""
    return tenths(name, values, places) if regression else (labels(name, values, places), None)


def about(name: str, coded: Coded, targets: Array | None = None) -> list[str]:
    """Return a sentence on classes that have other names than their numbers; empty for those that have not."""
    if targets is not None:
        return [f"{name} is to be predicted; classes 0 to {len(coded.names) - 1} are its tenths"]
    same = list(coded.names) == [str(i) for i in range(len(coded.names))]
    return [] if same else [f"{name} {listed(coded.names)} are classes 0 to {len(coded.names) - 1}"]


def labels(name: str, values: Sequence[Any], places: Array) -> Coded:
    """Return labels as classes 0, 1, ...: whole numbers in their order, anything else as texts in alphabetical order.

    name: what a message calls the labels. values: the different values, at most once each. places: (N,) the index of
    each row's value. InputError for numbers that are not whole, and unless there are two classes or more.
    """
    numbers = [number(value) for value in values]
    if all(each is not None for each in numbers):
        broken = next((value for value, each in zip(values, numbers, strict=True) if not _whole(each)), None)
        measured = f"{name} has numbers that are not whole, such as {broken}: classes are whole numbers or texts"
        check(broken is None, f"{measured}; regression=True predicts numbers")
        keys: list[Any] = [int(each) for each in numbers if each is not None]
    else:
        keys = [str(value) for value in values]
    coded = _coded(keys, places).used()
    only = f"{name} has one class only, {_short(coded.names[0])}" if len(coded.names) else f"{name} has no rows"
    check(len(coded.names) > 1, f"{only}: an accuracy says something for two classes or more")
    many = f"{name} has {len(coded.names):,} classes in {len(coded):,} rows: is it the column of classes?"
    check(2 * len(coded.names) <= max(len(coded), 8), many)
    return coded


def tenths(name: str, values: Sequence[Any], places: Array) -> tuple[Coded, Array]:
    """Return numbers to predict (N,) float64, and as classes their tenths: a tenth of the rows each, in rising order.

    name, values, places: as in `labels`. Equal numbers are in one class, the lowest possible.
    """
    numbers = [number(value) for value in values]
    wrong = next((str(value) for value, each in zip(values, numbers, strict=True) if each is None), None)
    check(wrong is None, f"{name} has texts such as {_short(wrong or '')}, and regression=True predicts numbers")
    targets = np.array(numbers, np.float64)[places]
    check(bool((np.abs(targets) <= LARGEST_TARGET).all()), f"{name} has numbers beyond {LARGEST_TARGET:g}")
    ordered = np.sort(targets)
    check(len(ordered) > 0 and ordered[0] < ordered[-1], f"{name} has one number only: there is nothing to predict")
    codes = 10 * np.searchsorted(ordered, targets) // len(targets)
    parts = [targets[codes == code] for code in range(10)]
    return Coded(codes, [f"{part.min():g} to {part.max():g}" if len(part) else "–" for part in parts]).used(), targets


def ids(values: Sequence[Any], places: Array) -> Coded:
    """Return ids of clients as numbers, in alphabetical order; whole numbers without leading zeros by value.

    values, places: as in `labels`, and -1 for a row of no client. 007 and 7 are two clients.
    """
    texts = [str(int(value)) if isinstance(value, float) and value.is_integer() else str(value) for value in values]
    plain = all(text.isascii() and text.isdigit() and text == str(int(text)) for text in texts)
    coded = _coded([int(text) for text in texts] if plain else texts, places)
    return coded.used()


def of_array(values: Array) -> tuple[list[Any], Array]:
    """Return the different values of an array (N,) and the index of each row's value: what `labels` and `ids` take."""
    different, places = np.unique(values, return_inverse=True)
    return different.tolist(), places


def _coded(keys: Sequence[Any], places: Array) -> Coded:
    """Number the keys in rising order; equal ones are one."""
    ordered = sorted(set(keys))
    place = {key: i for i, key in enumerate(ordered)}
    codes = np.array([place[key] for key in keys], dtype=np.int64)
    named = np.append(codes, -1)[places] if len(codes) else np.full(len(places), -1)
    return Coded(named, [str(key) for key in ordered])


def number(value: Any) -> float | int | None:
    """Return a value as a number if it is one, or the text of a finite one; else None."""
    if isinstance(value, (int, float)):
        return value
    try:
        read = float(value) if str(value).isascii() and "_" not in str(value) else math.nan
    except (TypeError, ValueError):
        return None
    return read if math.isfinite(read) else None


def _whole(value: float | int | None) -> bool:
    return value is not None and abs(value) <= LARGEST_LABEL and value == int(value)


def _short(name: str) -> str:
    """Return a name in quotes, cut where it is long; a number as it is."""
    shown = name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}..."
    return shown if shown.lstrip("-").isdigit() else repr(shown)


def listed(names: Sequence[str]) -> str:
    """Return names for a sentence: the first ones, and how many more.

    >>> listed(["no", "yes"]), listed([str(i) for i in range(12)])
    ("'no', 'yes'", '0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more')
    """
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(_short, names[:SHOWN])) + more
