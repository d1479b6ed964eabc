"""A column of a table as inputs: numbers, or an input of 0 and 1 for each of its texts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import check
from ..core.grammar import format_value
from . import coding
from .base import Array
from .coding import listed

if TYPE_CHECKING:
    import pyarrow

NULLS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "#N/A", "?", "-nan", "n/a")  # texts of a missing value
COMMA = re.compile(r"[+-]?\d+,\d+")  # 3,5
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")  # 1,234.5
MOST_VALUES = 100  # different texts of a column that become one input each


@dataclass(frozen=True)
class Input:
    """A column as inputs: of numbers, or an input of 0 and 1 for each of its texts.

    values: (N,) float64, NaN for a missing value; with names: (N,) int64, the number of the name, -1 for none.
    """

    name: str
    values: Array
    names: Sequence[str] = ()

    @classmethod
    def of(cls, name: str, column: pyarrow.ChunkedArray, *, category: bool) -> Input:
        """Read a column; InputError unless it has numbers or few texts."""
        from pyarrow import types

        kind, has, without = kind_of(column), f"the column {name!r}", f"drop={format_value(name)} leaves it out"
        numeric = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind)
        text = types.is_string(kind) or types.is_large_string(kind)
        encoded = f", images={format_value(name)} reads encoded images" if types.is_struct(kind) else ""
        check(not types.is_null(kind), f"{has} has no values: {without}")
        held = "dates or times" if types.is_temporal(kind) else str(kind)
        check(numeric or text, f"{has} holds {held}, neither numbers nor texts: {without}{encoded}")
        column = column.cast(kind)
        if numeric and not category:
            values = column.cast("float64").to_numpy()
            check(not np.isinf(values).any(), f"{has} has infinite numbers: {without}")
            check(not np.isnan(values).all(), f"{has} has no values: {without}")
            return cls(name, values)
        return cls._of_texts(name, column, category=category)

    @classmethod
    def _of_texts(cls, name: str, column: pyarrow.ChunkedArray, *, category: bool) -> Input:
        """Read a column of texts, which may be numbers, or one of categories."""
        has, without = f"the column {name!r}", f"drop={format_value(name)} leaves it out"
        different, places = different_values(name, column)
        check(len(different) > 0, f"{has} has no values: {without}")
        numbers = [coding.number(value) for value in different]
        words = [str(value) for value, number in zip(different, numbers, strict=True) if number is None]
        if not words and not category:
            return cls(name, np.append(np.array(numbers, np.float64), np.nan)[places])
        decimal = bool(words) and all(map(COMMA.fullmatch, words))
        thousands = bool(words) and all(map(THOUSANDS.fullmatch, words))
        meant = ["decimal=',' reads them as numbers"] * decimal
        meant += [("; if they divide thousands, " if decimal else "") + "write the numbers without them"] * thousands
        check(not meant, f"{has} has numbers with commas, such as {''.join(words[:1])}: {''.join(meant)}")
        mixed = f"{has} has numbers, and {len(words):,} texts such as {listed(words[:1])}"
        ways = f"{without}, categories={format_value(name)} takes each as a category"
        check(category or len(words) == len(different), f"{mixed}: {ways}")
        many = f"{has} has {len(different):,} different texts, more than {MOST_VALUES}: is it an id? {without}"
        many += f"; text={format_value(name)} makes the texts the inputs"
        check(len(different) <= MOST_VALUES, many)
        order = sorted(range(len(different)), key=lambda i: (numbers[i] is None, numbers[i] or 0, str(different[i])))
        rank = np.append(np.argsort(order), -1)
        return cls(name, rank[places], [str(different[i]) for i in order])

    @property
    def is_numbering(self) -> bool:
        """Whether each row has another whole number, from the least to the largest without a gap, as ids have."""
        if self.names or len(self.values) < 3 or self.missing.any():
            return False
        return bool((np.diff(np.sort(self.values)) == 1).all())

    @property
    def width(self) -> int:
        """The number of inputs."""
        return len(self.names) or 1

    @property
    def missing(self) -> Array:
        """Which rows have no value: (N,) bool."""
        return self.values < 0 if self.names else np.isnan(self.values)

    def numbers(self, rows: Array) -> Array:
        """Return the inputs of some rows (k, width), NaN for a missing value."""
        values = self.values[rows, None]
        if not self.names:
            return values
        return np.where(values < 0, np.nan, values == np.arange(len(self.names)))


def kind_of(column: pyarrow.ChunkedArray) -> Any:
    """Return the type of a column's values."""
    from pyarrow import types

    return column.type.value_type if types.is_dictionary(column.type) else column.type


def _plain(column: pyarrow.ChunkedArray) -> pyarrow.ChunkedArray:
    """Return a column without dictionaries; NaN, and texts such as NA and ?, become missing values."""
    from pyarrow import array, compute, scalar, types

    column = column.cast(kind_of(column))
    if types.is_floating(column.type):
        return compute.if_else(compute.is_nan(column.cast("float64")), scalar(None, "float64"), column.cast("float64"))
    if types.is_string(column.type) or types.is_large_string(column.type):
        trimmed = compute.utf8_trim_whitespace(column)
        empty = compute.is_in(trimmed, value_set=array(NULLS, column.type))
        return compute.if_else(empty, scalar(None, column.type), trimmed)
    return column


def different_values(name: str, column: pyarrow.ChunkedArray) -> tuple[list[Any], Array]:
    """Return the different values of a column, and the index of each row's, -1 for a missing one.

    InputError for a column of lists or structs. name: of the column, for the message.
    """
    from pyarrow import types

    kind = kind_of(column)
    check(not types.is_nested(kind), f"the column {name!r} holds {kind}: a label, a client or a category is one value")
    encoded = _plain(column).dictionary_encode().unify_dictionaries()
    places = [chunk.indices.cast("int64").fill_null(-1).to_numpy() for chunk in encoded.chunks]
    return encoded.chunk(0).dictionary.to_pylist(), np.concatenate(places)
