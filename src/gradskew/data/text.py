"""Texts as tokens: their bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import check, check_number
from .base import Array
from .column_input import kind_of

if TYPE_CHECKING:
    import pyarrow

MOST_BYTES = 1 << 16  # of an input


def check_length(length: int) -> None:
    """Raise InputError unless inputs may have this number of bytes."""
    check_number("length", length, at_least=1, at_most=MOST_BYTES, whole=True)


def without_nul(content: bytes) -> bytes:
    """Return bytes with spaces in place of NUL, as token 0 is the end of a text."""
    return content.replace(b"\0", b" ")


def as_tokens(texts: Sequence[str], length: int) -> tuple[Array, int]:
    """Return texts as bytes (N, length) uint8, and how many of them are cut.

    Each has the first `length` bytes of its UTF-8, then zeros. NUL, which is no end, becomes a space, and a surrogate,
    which is no character, a question mark.
    """
    tokens, cut = np.zeros((len(texts), length), np.uint8), 0
    for row, text in zip(tokens, texts, strict=True):
        written = without_nul(text.encode(errors="replace"))
        cut += len(written) > length
        row[: len(written)] = np.frombuffer(written[:length], np.uint8)
    return tokens, cut


def as_bytes(name: str, column: pyarrow.ChunkedArray, length: int) -> tuple[Array, str]:
    """Return the texts of a column without gaps as tokens (N, length), and a sentence on them; see `as_tokens`.

    InputError for a column that holds no texts.
    """
    from pyarrow import types

    kind = kind_of(column)
    good = types.is_string(kind) or types.is_large_string(kind)
    check(good, f"the column {name!r} holds {kind}, and text is of a column of texts")
    tokens, cut = as_tokens(column.to_pylist(), length)
    return tokens, f"the inputs are the texts {name!r}, {length} bytes of each: {cut:,} of {len(tokens):,} are cut"
