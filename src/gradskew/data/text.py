"""Texts as tokens: their bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import check
from .base import Array
from .column_input import kind_of

if TYPE_CHECKING:
    import pyarrow


def as_bytes(name: str, column: pyarrow.ChunkedArray, length: int) -> tuple[Array, str]:
    """Return the texts of a column without gaps as bytes (N, length), and a sentence on them.

    Each has the first `length` bytes of its UTF-8, then zeros; NUL, which is no end, becomes a space. InputError for a
    column that holds no texts.
    """
    from pyarrow import types

    kind = kind_of(column)
    good = types.is_string(kind) or types.is_large_string(kind)
    check(good, f"the column {name!r} holds {kind}, and text is of a column of texts")
    tokens, cut = np.zeros((len(column), length), np.uint8), 0
    for row, text in zip(tokens, column.to_pylist(), strict=True):
        written = text.encode().replace(b"\0", b" ")
        cut += len(written) > length
        row[: len(written)] = np.frombuffer(written[:length], np.uint8)
    return tokens, f"the inputs are the texts {name!r}, {length} bytes of each: {cut:,} of {len(tokens):,} are cut"
