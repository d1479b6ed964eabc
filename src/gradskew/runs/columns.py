"""The metrics of a run as columns, a value for each round; of a stored run the longest ones stay on disk."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ..federation.metrics import Metrics, values_of

LENS = "lens."  # before the name of a measure of the lens
HONEST = "honest"  # the number of honest rows, beside the measures of the lens
STATISTICS = ("above", "skewness", "pearson", "principal_skewness", "principal_pearson")  # of projections: `PROJECTED`
MEASURES = (
    *("round", HONEST, "f", "skewed", "spread", "principal_share", "shift", "density", "farthest", "mean_norm"),
    *("gradient_spread", "gradient_mean_norm", "gradient_cosine"),
    *("cosine", "kappa", "kappa_bound", "progress", "selected", "shut_out", "clients", "classes", *STATISTICS[:3]),
)
# What is kept in memory of a stored run: not the projections of the rows, nor what is read of few runs.
KEPT = (
    *("accuracy", "byzantine_rows", "byzantine_share", "distance", "rejected", "clamped", "stepped", "attack", "rule"),
    *(LENS + name for name in MEASURES),
)
Packed = Any  # an array of floats, JSON, or the column itself


class Columns:
    """The metrics of a run by name, None where a round lacks one.

    `columns["distance"]` has a value for each round, `columns["lens.kappa"]` one for each round that the lens measured,
    of which `columns["lens.round"]` has the numbers. kept: columns that are not read from the rounds.
    """

    def __init__(self, rounds: Sequence[Metrics], kept: Mapping[str, Packed] | None = None):
        self._rounds, self._kept = rounds, kept or {}

    def __getitem__(self, name: str) -> list[Any]:
        if name in self._kept:
            return _unpacked(self._kept[name])
        return dict(_columns(self._rounds, [name]))[name]


class StoredRounds(Sequence[Metrics]):
    """The rounds of a stored run, which are read again when they are asked for. columns: what is kept of them."""

    def __init__(self, rounds: Sequence[Metrics], read: Callable[[], Sequence[Metrics]]):
        self._length, self._read = len(rounds), read
        self.columns = Columns(self, {name: _packed(column) for name, column in _columns(rounds, KEPT)})

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Metrics]:
        return iter(self._read())

    def __getitem__(self, place: Any) -> Any:
        return self._read()[place]

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented


def _columns(rounds: Sequence[Metrics], names: Iterable[str]) -> Iterator[tuple[str, list[Any]]]:
    """Yield the columns with these names."""
    lenses = values_of(rounds, "lens")
    measured = [number for number, lens in enumerate(lenses) if lens]
    of_lens = [lenses[number] for number in measured]
    for name in names:
        if name == LENS + "round":
            yield name, measured
        elif name.startswith(LENS):
            yield name, _measure(of_lens, name.removeprefix(LENS))
        else:
            yield name, values_of(rounds, name)


def _measure(lenses: Sequence[Any], name: str) -> list[Any]:
    """Return a measure, or a statistic of the projections, of each lens."""
    if name == HONEST:
        return list(map(len, values_of(lenses, "towards")))
    if name not in STATISTICS:
        return values_of(lenses, name)
    from ..skew.statistics import PROJECTED, of_each  # imports torch

    kind, statistic = PROJECTED[name]
    return [value if math.isfinite(value) else None for value in of_each(statistic, values_of(lenses, kind))]


def _packed(column: list[Any]) -> Packed:
    """Return a column of floats as 8 bytes each, NaN for None, another one as JSON if msgspec can write it."""
    kinds = {*map(type, column)}
    if kinds <= {float, type(None)}:
        return array("d", column if kinds == {float} else [math.nan if value is None else value for value in column])
    try:
        return msgspec.json.encode(column)
    except (UnicodeEncodeError, OverflowError):  # half a surrogate pair, an integer of more than 64 bits
        return column


def _unpacked(column: Packed) -> list[Any]:
    if isinstance(column, bytes):
        return msgspec.json.decode(column)  # type: ignore[no-any-return]
    return [None if value != value else value for value in column] if isinstance(column, array) else column
