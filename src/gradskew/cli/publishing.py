"""Write the files of tables: report.html, CSV, Markdown, LaTeX and the heatmap."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..audit.standing import Audit
    from ..report.table import Table


def publish(tables: Sequence[Table], stores: Path | Sequence[Path], out: Path, audit: Audit | None = None) -> list[str]:
    """Write the files of the tables to `out`; return their names.

    stores: the folder or folders that hold the runs. audit: the audit of a single table, if any.
    """
    from ..core.files import write
    from ..report.export import latex, markdown, results_csv
    from ..report.figures import heatmap

    contents: dict[str, str | bytes] = {
        "report.html": report_html(tables, stores, audit=audit),
        "results.csv": results_csv(record for table in tables for record in table.records),
        "table.md": "\n".join(map(markdown, tables)),
        "table.tex": "\n".join(latex(table, number) for number, table in enumerate(tables, 1)),
    }
    if len(tables) == 1:
        contents["heatmap.png"] = heatmap(tables[0])
    if audit is not None:
        contents["audit.json"] = json.dumps(audit.to_json(), indent=1, sort_keys=True) + "\n"
    out.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        write(out / name, content)
    return list(contents)


def report_html(
    tables: Sequence[Table], stores: Path | Sequence[Path], title: str = "", audit: Audit | None = None
) -> str:
    """Return report.html. title: replaces the default, which names the data sets."""
    from ..report.page import page
    from ..runs.store import Store
    from .replay import command

    beside = [Store(folder) for folder in ([stores] if isinstance(stores, Path) else stores)]
    digests = [record.digest for table in tables for record in table.records]
    datasets = dict.fromkeys(table.records[0].spec["dataset"] for table in tables)
    return page(
        tables,
        title=title or f"Byzantine clients against robust rules: {', '.join(datasets)}",
        timings={digest: next(filter(None, (store.timing(digest) for store in beside)), {}) for digest in digests},
        pictures={digest: next(filter(None, (store.pictures(digest) for store in beside)), []) for digest in digests},
        command=command,
        audit=audit,
    )
