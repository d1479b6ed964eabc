"""What a table of the library `datasets` declares of its columns, in the metadata of its schema."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.errors import check

if TYPE_CHECKING:
    import pyarrow


def columns_of(schema: pyarrow.Schema, kind: str) -> list[str]:
    """Return the names of the columns that are declared to be of a kind: `ClassLabel`, `Image`."""
    return [name for name in schema.names if _feature(schema, name).get("_type") == kind]


def class_names(tables: Sequence[pyarrow.Table], column: str) -> list[str]:
    """Return the names of the classes 0, 1, ... in a column of whole numbers; empty if none are declared.

    InputError for tables that declare different ones.
    """
    names = [_names(table.schema, column) for table in tables]
    check(all(each == names[0] for each in names), f"the parts of the data number the classes in {column!r} differently")
    return names[0]


def _names(schema: pyarrow.Schema, column: str) -> list[str]:
    from pyarrow import types

    names = _feature(schema, column).get("names") if types.is_integer(schema.field(column).type) else None
    return [str(name) for name in names] if isinstance(names, list) else []


def _feature(schema: pyarrow.Schema, column: str) -> Mapping[str, Any]:
    """Return what is declared of a column; empty for nothing, or for metadata of another form."""
    try:
        found = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][column]
    except (LookupError, TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
