"""What a table of the library `datasets` declares of its columns, in the metadata of its schema."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..core.errors import check

if TYPE_CHECKING:
    import pyarrow


def columns_of(schema: pyarrow.Schema, kind: str) -> list[str]:
    """Return the names of the columns that are declared to be of a kind: `ClassLabel`, `Image`."""
    declared = _features(schema)
    return [name for name in schema.names if name in declared and declared[name].get("_type") == kind]


def class_names(tables: Sequence[pyarrow.Table], column: str) -> list[str]:
    """Return the names of the classes 0, 1, ... in a column of whole numbers; empty if none are declared.

    InputError for tables that declare different ones.
    """
    from pyarrow import types

    whole = all(types.is_integer(table.schema.field(column).type) for table in tables)
    found = [_features(table.schema).get(column, {}).get("names") for table in tables if whole]
    alike = all(names == found[0] for names in found)
    check(alike, f"the parts of the data number the classes in {column!r} differently")
    return [str(name) for name in found[0]] if found and isinstance(found[0], list) else []


def _features(schema: pyarrow.Schema) -> dict[str, dict[str, Any]]:
    """Return what is declared of each column; empty for nothing, or for metadata of another form."""
    try:
        declared = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: feature for name, feature in declared.items() if isinstance(feature, dict)}
    except (AttributeError, LookupError, TypeError, ValueError):
        return {}
