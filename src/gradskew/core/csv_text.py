"""Text of CSV files that a spreadsheet may open."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

FORMULA = ("=", "+", "-", "@")  # what a text begins with that a spreadsheet takes for a formula


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows as CSV with a line of names; a value that a row lacks, or that is None, is empty.

    >>> print(csv_text(["rule", "kappa"], [{"rule": "median", "kappa": 0.5}, {"rule": "=1+2"}]), end="")
    rule,kappa
    median,0.5
    '=1+2,
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(disarm, columns))
    for row in rows:
        values = (row.get(column) for column in columns)
        writer.writerow([disarm(value) if isinstance(value, str) else value for value in values])
    return text.getvalue()


def disarm(text: str) -> str:
    """Return text with an apostrophe before it if a spreadsheet would take it for a formula.

    >>> disarm("=1+2"), disarm("median")
    ("'=1+2", 'median')
    """
    return f"'{text}" if text.startswith(FORMULA) else text
