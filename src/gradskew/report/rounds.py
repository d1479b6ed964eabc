"""The rounds of records as one table, a row a round, for Parquet, CSV and pandas."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.csv_text import FORMULA
from ..core.errors import InputError, check
from ..runs.record import Record
from ..trackers.flat import flat_rounds, flat_spec
from .export import federation_digest

if TYPE_CHECKING:
    import pyarrow as pa

STEM = "rounds"  # of the files' names
RUN = ("digest", "dataset", "federation", "partition", "attack", "rule", "seed", "clients", "sampled", "byzantine")
PART = 256  # records whose rounds are Python objects at the same time


def rounds_table(records: Iterable[Record]) -> pa.Table:
    """Return the rounds of records as a table of pyarrow, in the order of the records; InputError without any.

    Columns: those of RUN, the other settings in which the records differ, the metrics of a round (see
    `trackers.flat.flat_rounds`). What a round does not have is null. `federation` is that of results.csv.
    """
    import pyarrow as pa

    records = list(records)
    check(len(records) > 0, "a table of rounds needs at least one record")
    runs = _runs(records)
    parts = [_part(records[i : i + PART], runs[i : i + PART]) for i in range(0, len(records), PART)]
    types: dict[str, set[pa.DataType]] = {}
    for part in parts:
        for field in part.schema:
            types.setdefault(field.name, set()).add(field.type)
    numbers = {pa.null(), pa.int64(), pa.float64()}
    mixed = {name for name, found in types.items() if len(found - {pa.null()}) > 1 and not found <= numbers}
    for name in mixed:  # as text, in all parts
        parts = [_replaced(part, name, part[name].cast(pa.string())) if name in types else part for part in parts]
    return pa.concat_tables(parts, promote_options="permissive")


def parquet(table: pa.Table) -> bytes:
    """Return the content of a Parquet file with the table."""
    import pyarrow.parquet

    file = io.BytesIO()
    pyarrow.parquet.write_table(table, file)
    return file.getvalue()


def csv(table: pa.Table) -> bytes:
    """Return the table as CSV, with an apostrophe before a text that a spreadsheet would take for a formula."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv

    for field in table.schema:
        if field.type == pa.string():
            texts = table[field.name]
            disarmed = pc.binary_join_element_wise("'", texts, "")
            formula = pc.is_in(pc.utf8_slice_codeunits(texts, 0, 1), pa.array(FORMULA))
            table = _replaced(table, field.name, pc.if_else(formula, disarmed, texts))
    file = io.BytesIO()
    pyarrow.csv.write_csv(table, file)
    return file.getvalue()


def rounds_to_pandas(records: Iterable[Record]) -> Any:
    """Return a pandas DataFrame of the rounds of records of any federations, with the columns of `gradskew export`.

    One row per round. Raises InputError without pandas.
    """
    import_pandas("rounds_to_pandas")
    return rounds_table(records).to_pandas()


def import_pandas(needing: str) -> Any:
    """Import and return pandas; InputError without it. needing: the name of the function."""
    try:
        import pandas
    except ImportError:
        raise InputError(f"{needing} needs pandas: pip install 'gradskew[pandas]'") from None
    return pandas


def _runs(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return of each record the columns of RUN and the settings in which the records differ."""
    specs = [flat_spec(record.spec) for record in records]
    names = list(dict.fromkeys(name for spec in specs for name in spec))
    others = [name for name in names if name not in RUN and len({spec.get(name) for spec in specs}) > 1]
    for record, spec in zip(records, specs, strict=True):
        spec |= {"digest": record.digest, "federation": federation_digest(record.spec)}
    return [{name: spec.get(name) for name in (*RUN, *others)} for spec in specs]


def _part(records: Sequence[Record], runs: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return the rounds of some records. runs: their own columns, which come first."""
    import pyarrow as pa

    both = zip(records, runs, strict=True)
    rows = [{**run, **metrics, **run} for record, run in both for metrics in flat_rounds(record.rounds)]
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: _array([row.get(name) for row in rows]) for name in names})


def _array(values: list[Any]) -> pa.Array:
    """Return values as an array of one type: whole numbers, numbers, true and false, or else text."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        values, kinds = [None if value is None else float(value) for value in values], {float}
    whole = all(-(2**63) <= value < 2**63 for value in values if type(value) is int)
    if len(kinds) > 1 or not whole:
        values = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    return pa.array(values)


def _replaced(table: pa.Table, name: str, column: Any) -> pa.Table:
    """Return the table with another column under a name that it has."""
    return table.set_column(table.schema.get_field_index(name), name, column)
