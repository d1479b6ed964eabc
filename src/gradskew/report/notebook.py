"""A table as the output of a notebook, and as a pandas DataFrame."""

from __future__ import annotations

import io
from html import escape
from typing import Any

from ..core.errors import check_choice
from ..core.html import html_table
from .described import count
from .export import results_csv
from .figures import shade
from .rounds import import_pandas, rounds_to_pandas
from .table import Table
from .worst import found


def table_html(table: Table) -> str:
    """Return the accuracies by attack and rule in the colours of the report, and the verdict."""
    panel = table.panels()[0]
    rows, colours, bold = [], {}, set()
    for i, attack in enumerate(table.attacks):
        rows.append([attack, *(panel.entries.get((attack, rule), ("–", 0))[0] for rule in table.rules)])
        for j, rule in enumerate(table.rules, 1):
            if (attack, rule) in panel.entries:
                colours[i, j] = shade(panel.entries[attack, rule][1])
            if table.worst_attacks.get(rule) == attack:
                bold.add((i, j))
    caption = f"{table.federation}. {panel.title}; bold: the worst attack on the rule."
    drawn = html_table(caption, rows, head=["attack", *table.rules], colours=colours, bold=frozenset(bold))
    return f"{drawn}<p>{escape(table.verdict)}</p>"


def table_repr(table: Table) -> str:
    """Return one line: data set, sizes, and the rule of the highest worst found, if they can be compared."""
    sizes = [count(len(table.attacks), "attack"), count(len(table.rules), "rule"), count(len(table.records), "run")]
    best = table.ranked[0] if table.ranked and table.comparable else None
    worst = f"; highest: {best.rule}, {found(best)}" if best else ""
    return f"Table({table.records[0].spec['dataset']}: {', '.join(sizes)}{worst})"


def to_pandas(table: Table, rows: str = "runs") -> Any:
    """Return a pandas DataFrame with one row per run, as results.csv has it, or one per round. rows: runs or rounds."""
    check_choice("rows", rows, ("runs", "rounds"))
    if rows == "rounds":
        return rounds_to_pandas(table.records)
    pandas = import_pandas("to_pandas")
    texts = {"params_sha256": str, "digest": str, "federation": str}
    return pandas.read_csv(io.StringIO(results_csv(table.records)), dtype=texts, keep_default_na=False, na_values=[""])
