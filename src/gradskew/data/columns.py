"""The columns of a table: which are inputs, label and client, and how each becomes numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import InputError, check, check_choice
from ..core.names import Fields
from . import coding
from .base import Array
from .coding import SHOWN, listed
from .column_input import Input, different_values
from .declared import class_names
from .preparation import Examples
from .text import as_bytes, check_length

if TYPE_CHECKING:
    import pyarrow

MISSING = ("refuse", "drop", "mean")
BLOCK = 1 << 13  # rows that are written at a time
FEW = 5  # columns that a sentence names
UNNAMED = re.compile(r"|Unnamed: \d+(\.\d+)?|__index_level_\d+__")  # an index, as pandas writes it and reads it again


class NoLabel(InputError):
    """An error for a table of which no column is named or declared as that of the classes."""


@dataclass(frozen=True, kw_only=True)
class Columns(Fields):
    """The columns of a table.

    label: the column of the classes. client: that of the clients' ids; None if it has none. features: the columns that
    are inputs; empty means all others that have a name: an index of pandas has none. drop: columns that are left out.
    categories: columns of numbers that are codes. A column of texts, and one of categories, becomes an input of 0 and 1
    for each value. missing: what to do about rows with a missing value: `refuse` them, `drop` them, or put in the
    `mean` of the training rows. text: a column of texts that is the input instead: the first `length` bytes of each in
    UTF-8, as tokens, and 0 after its end. regression: the label is a number to predict, with `loss = squared`; classes,
    by which rows are dealt, are its tenths.
    """

    label: str | None = None
    client: str | None = None
    features: str | tuple[str, ...] = ()
    drop: str | tuple[str, ...] = ()
    categories: str | tuple[str, ...] = ()
    missing: str = "refuse"
    text: str | None = None
    length: int = 256
    regression: bool = False

    def __post_init__(self) -> None:
        check_choice("regression", self.regression, (False, True))
        check_choice("missing", self.missing, MISSING)
        for name in ("features", "drop", "categories"):
            given = getattr(self, name)
            entries = (str(given),) if not isinstance(given, tuple) else tuple(map(str, given))
            object.__setattr__(self, name, entries)
        check_length(self.length)
        check(self.text is not None or self.length == Columns.length, "length is of texts: text names their column")
        filled = "missing=mean is of columns of numbers, and the inputs are texts: missing=drop leaves rows out"
        check(self.text is None or self.missing != "mean", filled)
        for name in ("label", "client", "text"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, str(getattr(self, name)))  # a name such as 3

    def needed(self, names: Sequence[str], images: str | None = None, *, in_test: bool = False) -> list[str]:
        """Return the columns to read: inputs, label, client; InputError for those that are not there.

        Those without a name are among them: `read_tables` leaves them out, and says so.
        images: the column of the inputs, which is not among those returned. in_test: of the test part, which may have
        no clients.
        """
        has = f"there are {listed(names) or 'none'}"
        if self.label is None:
            raise NoLabel(f"label=COLUMN names the column of the classes; {has}")
        known = {
            "label": [self.label],
            "client": [] if self.client is None or (in_test and self.client not in names) else [self.client],
            "images": [] if images is None else [images],
            "text": [] if self.text is None else [self.text],
        }
        known |= {name: list(getattr(self, name)) for name in ("features", "drop", "categories")}
        for option, columns in known.items():
            for column in columns:
                check(columns.count(column) == 1, f"{option} names the column {column!r} twice")
                check(names.count(column) > 0, f"there is no column {column!r}, which {option} names; {has}")
                check(names.count(column) == 1, f"there is more than one column {column!r}")
        own = {self.label, self.client}
        ends = [self.label, *known["client"]]
        check(len(own) == 2, f"label and client both name the column {self.label!r}")
        check(images is None or self.text is None, "images and text both name the inputs: give one")
        for option, inputs in (("images", images), ("text", self.text)):
            if inputs is not None:
                check(inputs not in own, f"the column {inputs!r} is the label or the client: it is no input")
                chosen = [name for name in ("features", "drop", "categories") if getattr(self, name)]
                are = "images" if option == "images" else "texts"
                check(not chosen, f"{''.join(chosen[:1])} is of columns that are inputs, and the inputs are the {are}")
                return ends if option == "images" else [inputs, *ends]
        for column in (*self.features, *self.categories):
            check(column not in own, f"the column {column!r} is the label or the client: it is no input")
        others = list(self.features) or [name for name in names if name not in own]
        others = [name for name in others if name not in self.drop]
        check(not all(map(self._is_left_out, others)), f"no column is left for the inputs: {has}")
        for name in others:
            check(names.count(name) == 1, f"there is more than one column {name!r}")
        return [*others, *ends]

    def read_tables(
        self,
        train: Sequence[pyarrow.Table],
        test: Sequence[pyarrow.Table] = (),
        images: Callable[[Array], Array] | None = None,
    ) -> Examples:
        """Return the rows of tables that have the columns `needed`, and no others.

        test: those of a test part of its own. images: from rising indices (k,) among all rows to images (k, ...), where
        these are the inputs, and no column is one.
        """
        unnamed = [name for name in train[0].column_names if self._is_left_out(name)]
        train, test = ([self._named(each) for each in tables] for tables in (train, test))
        sizes = [sum(each.num_rows for each in tables) for tables in (train, test)]
        table, in_test = _joined([*train, *test], self.client), np.repeat([False, True], sizes) if test else None
        check(table.num_rows > 0, "there are no rows")
        assert self.label is not None
        inputs = [name for name in table.column_names if name not in (self.label, self.client, self.text)]
        read = [Input.of(name, table.column(name), category=name in self.categories) for name in inputs]
        names = [] if self.regression else class_names([*train, *test], self.label)
        label = _labels(self.label, table, names)
        client = None if self.client is None else different_values(self.client, table.column(self.client))
        gaps = {self.label: label[1] < 0}
        if self.text is not None:
            gaps[self.text] = np.asarray(table.column(self.text).is_null())
        if self.client is not None and client is not None:
            unowned = any(self.client not in each.column_names for each in test)
            gaps[self.client] = (client[1] < 0) & ~(in_test if unowned and in_test is not None else np.False_)
        kept, said = self._kept({**gaps, **{each.name: each.missing for each in read}}, needed=list(gaps))
        check(len(kept) > 0, "each row has a missing value: no row is left")
        values = np.empty((len(kept), sum(each.width for each in read)))
        for start in range(0, len(kept), BLOCK):  # whole columns would be written across the rows
            rows, width = kept[start : start + BLOCK], 0
            for each in read:
                values[start : start + BLOCK, width : width + each.width] = each.numbers(rows)
                width += each.width
        said += [f"the column {name!r} has no name, as an index has none: it is left out" for name in unnamed]
        which = f"column{'s are inputs' if len(inputs) > 1 else ' is the input'}: {listed(inputs)}"
        said += [f"{len(inputs):,} {which}"] if inputs else []
        numbered = [each.name for each in read if each.is_numbering]
        ids = f"number{'s' * (len(numbered) == 1)} the rows: if they are ids, drop=COLUMN leaves them out"
        said += [f"{listed(numbered)} {ids}"] if numbered else []
        wide = [f"{each.name} ({each.width})" for each in read if each.names]
        more = f" and {len(wide) - SHOWN} more columns" if len(wide) > SHOWN else ""
        said += [f"an input of 0 and 1 for each value of {', '.join(wide[:SHOWN])}{more}"] if wide else []
        coded, targets = coding.answers(f"the column {self.label!r}", label[0], label[1][kept], self.regression)
        coded = replace(coded, names=[names[int(each)] for each in coded.names]) if names else coded
        said += coding.about(self.label, coded, targets)
        clients = None if client is None else coding.ids(client[0], client[1][kept])
        in_test = None if in_test is None else in_test[kept]
        if self.text is not None:
            values, about = as_bytes(self.text, table.column(self.text).take(kept), self.length)
            said.append(about)
        decode = values.__getitem__ if images is None else lambda index: images(kept[index])
        return Examples(coded, decode, clients, in_test, said, tokens=self.text is not None, targets=targets)

    def _is_left_out(self, name: str) -> bool:
        """Return whether a column has no name, and no option names it."""
        named = (self.label, self.client, self.text, *self.features, *self.categories)
        return bool(UNNAMED.fullmatch(name)) and name not in named

    def _named(self, table: pyarrow.Table) -> pyarrow.Table:
        return table.select([name for name in table.column_names if not self._is_left_out(name)])

    def _kept(self, missing: dict[str, Array], needed: Sequence[str]) -> tuple[Array, list[str]]:
        """Return the indices of the rows that stay, and what is said of missing values.

        missing: for each column, which of the N rows have no value. needed: the columns that no mean can fill.
        """
        size = len(missing[needed[0]])
        gaps = {name: int(rows.sum()) for name, rows in missing.items() if rows.any()}
        if not gaps:
            return np.arange(size), []
        rows = np.logical_or.reduce(list(missing.values()))
        where = ", ".join(f"{name!r} ({count:,})" for name, count in list(gaps.items())[:FEW])
        where += f" and {len(gaps) - FEW} more columns" if len(gaps) > FEW else ""
        unfilled = any(name in gaps for name in needed)
        ways = "missing=drop leaves them out" + (
            "" if unfilled else ", missing=mean puts in the mean of the training rows"
        )
        total = f"{rows.sum():,} of {size:,} rows have no value in {where}, the first of them row {rows.argmax() + 1}"
        check(self.missing == "drop" or (self.missing == "mean" and not unfilled), f"{total}: {ways}")
        if self.missing == "drop":
            return np.flatnonzero(~rows), [f"{rows.sum():,} of {size:,} rows are left out: no value in {where}"]
        return np.arange(size), [f"a missing value is the mean of the training rows, in {where}"]


def _labels(column: str, table: pyarrow.Table, names: Sequence[str]) -> tuple[list[Any], Array]:
    """Return the different labels, and the index of each row's, -1 for none. names: of the classes, if declared."""
    values, places = different_values(column, table.column(column))
    if names:  # -1 is the class of rows that have none
        low = np.append([value < 0 for value in values], True)
        places = np.where(low[places], -1, places)
        check(max(values, default=0) < len(names), f"{column!r} has the class {max(values, default=0)} of {len(names)}")
    return values, places


def _joined(tables: Sequence[pyarrow.Table], client: str | None) -> pyarrow.Table:
    """Return the rows of all tables, with the columns of the first; a column of two types as texts.

    client: a column that others than the first may lack.
    """
    import pyarrow

    names = tables[0].column_names
    for i, other in enumerate(tables):
        if client is not None and client not in other.column_names:
            nulls = pyarrow.nulls(other.num_rows, tables[0].schema.field(client).type)
            tables = [*tables[:i], other.append_column(client, nulls), *tables[i + 1 :]]
    for other in tables[1:]:
        absent = [name for name in names if name not in other.column_names]
        check(not absent, f"a file has no column {listed(absent)}, which the first one has")
    chosen = [each.select(names) for each in tables]
    for i, name in enumerate(names):
        kinds = {each.column(i).type for each in chosen}
        if len(kinds) > 1:
            texts = [each.column(i).cast("string") for each in chosen]
            chosen = [each.set_column(i, name, text) for each, text in zip(chosen, texts, strict=True)]
    return pyarrow.concat_tables(chosen)
