"""Write the files of a folder's runs: report.html, CSV, Markdown, LaTeX and the heatmaps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import warn

if TYPE_CHECKING:
    from ..audit.standing import Audit
    from ..report.table import Table
    from ..runs.record import Record


def tables_of(folders: Sequence[Path], made: Sequence[Record] = ()) -> list[Table]:
    """Return a table of each federation of which the folders hold runs, with all of these runs.

    made: the records of this command, newer than all others; their federation comes first. A run in several folders
    counts once; if its records differ, the first is used and a line says so. Runs of an earlier version of a user's
    code are left out, with a line.
    """
    from ..report.table import federations
    from ..runs.store import Store
    from ..runs.versions import federation_key, newest

    records = {record.digest: record for record in made}
    finished = dict.fromkeys(records, "~")  # after any date
    for folder in folders:
        store = Store(folder)
        for record in store.all():
            first = records.setdefault(record.digest, record)
            if first is record:
                finished[record.digest] = store.finished(record.digest)
            elif not first.agrees(record):
                differ = f"{record.digest[:12]} in {folder} differs from the same run in an earlier folder"
                warn(f"gradskew: {differ} (another kind of processor?): the earlier one is used")
    first_keys = {federation_key(record.spec) for record in made}
    tables = federations(newest(records, finished))
    return sorted(tables, key=lambda table: federation_key(table.records[0].spec) not in first_keys)


def listing(names: Sequence[str]) -> str:
    """Return the names of files as text; for many figures of a kind, their number.

    >>> listing(["report.html", *(f"heatmap-{i}.png" for i in range(5)), "sweep.csv"])
    'report.html, sweep.csv, 5 files heatmap-*'
    """
    kinds = {kind: [name for name in names if name.startswith(kind)] for kind in ("heatmap-", "sweep-")}
    many = {kind: len(found) for kind, found in kinds.items() if len(found) > 4}
    shown = [name for name in names if not name.startswith(tuple(many))]
    return ", ".join([*shown, *(f"{number} files {kind}*" for kind, number in many.items())])


def publish(tables: Sequence[Table], stores: Path | Sequence[Path], out: Path, audit: Audit | None = None) -> list[str]:
    """Write the files of the tables to `out`; return their names.

    The first table has `heatmap.png` and `heatmap.pdf`. Of several, each has also `heatmap-DIGEST.png` and `.pdf`, by
    the digest of its federation; and their sweep has sweep.csv and a figure for each option of numbers.
    stores: the folder or folders that hold the runs. audit: of runs in one of the tables, if any.
    """
    from ..core.files import write
    from ..report.export import federation_digest, latex, markdown, results_csv
    from ..report.figures import column_heatmap, heatmap
    from ..report.sweep import sweep_of
    from ..report.sweep_figures import sweep_figures

    contents: dict[str, str | bytes] = {
        "report.html": report_html(tables, stores, audit=audit),
        "results.csv": results_csv(record for table in tables for record in table.records),
        "table.md": "\n".join(map(markdown, tables)),
        "table.tex": "\n".join(map(latex, tables)),
    }
    for number, table in enumerate(tables):
        drawn = {"png": heatmap(table), "pdf": column_heatmap(table)}
        stems = [f"heatmap-{federation_digest(table.records[0].spec)}"] if len(tables) > 1 else []
        for stem in ["heatmap", *stems] if number == 0 else stems:
            contents |= {f"{stem}.{kind}": content for kind, content in drawn.items()}
    sweep = sweep_of(tables)
    if sweep is not None:
        contents |= {"sweep.csv": sweep.to_sweep_csv(), **sweep_figures(sweep)}
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
