"""Write the files of a folder's runs: report.html, CSV, Markdown, LaTeX, BibTeX and the heatmaps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import check, warn
from ..core.importing import shell_command

if TYPE_CHECKING:
    from ..audit.standing import Audit
    from ..report.beside import Beside
    from ..report.table import Table
    from ..runs.record import Record


def tables_of(folders: Sequence[Path], made: Sequence[Record] = ()) -> list[Table]:
    """Return a table of each federation of which the folders hold runs, with all of these runs: see `merge`."""
    return merge([read_folder(folder) for folder in folders], made)


@dataclass(frozen=True)
class Held:
    """The records of a folder, and when each run ended, by digest."""

    folder: Path
    records: Mapping[str, Record]
    finished: Mapping[str, str]

    @property
    def tables(self) -> list[Table]:
        """The tables of this folder alone."""
        from ..report.table import federations
        from ..runs.versions import newest

        return federations(newest(self.records, self.finished))


def read_folder(folder: Path) -> Held:
    """Return what a folder holds."""
    from ..runs.store import Store

    store = Store(folder)
    records = {record.digest: record for record in store.all()}
    return Held(folder, records, {digest: store.finished(digest) for digest in records})


def merge(folders: Sequence[Held], made: Sequence[Record] = ()) -> list[Table]:
    """Return a table of each federation of which the folders hold runs, with all of these runs.

    made: the records of this command, newer than all others; their federation comes first. A run in several folders
    counts once; if its records differ, the first is used and a line says so. Runs of an earlier version of a user's
    code are left out, with a line.
    """
    from ..report.table import federations
    from ..runs.versions import federation_key, newest

    records = {record.digest: record for record in made}
    finished = dict.fromkeys(records, "~")  # after any date
    for held in folders:
        for digest, record in held.records.items():
            first = records.setdefault(digest, record)
            if first is record:
                finished[digest] = held.finished[digest]
            elif not first.agrees(record):
                differ = f"{digest[:12]} in {held.folder} differs from the same run in an earlier folder"
                warn(f"gradskew: {differ} (another kind of processor?): the earlier one is used")
    first_keys = {federation_key(record.spec) for record in made}
    tables = federations(newest(records, finished))
    return sorted(tables, key=lambda table: federation_key(table.records[0].spec) not in first_keys)


def read_folders(folders: Sequence[Path]) -> list[Held]:
    """Return what folders hold; InputError for what is no folder, and if there are no runs."""
    for folder in folders:
        check(folder.is_dir(), f"no folder {str(folder)!r}: name the --out of the runs")
    held = [read_folder(folder) for folder in dict.fromkeys(folders)]
    names = ", ".join(repr(str(folder)) for folder in folders)
    bench = shell_command("gradskew", "bench", "--out", str(folders[0]))
    check(any(each.records for each in held), f"no runs in {names}: `{bench}` makes some")
    return held


def stored_tables(folders: Sequence[Path]) -> list[Table]:
    """Return the tables of the runs in folders; InputError for what is no folder, and if there are no runs."""
    return merge(read_folders(folders))


def compare(folders: Sequence[Held]) -> Beside | None:
    """Return the comparison of the folders; None where they cannot be compared, as the parts of one grid."""
    from ..report.beside import beside

    if len(folders) < 2:
        return None
    names = [held.folder.name for held in folders]
    unique = len(set(names)) == len(names) and all(names)
    by_name = {held.folder.name if unique else str(held.folder): held.tables for held in folders}
    return beside(by_name)


def listing(names: Sequence[str]) -> str:
    """Return the names of files as text; for many figures of a kind, their number.

    >>> listing(["report.html", *(f"heatmap-{i}.png" for i in range(5)), "sweep.csv"])
    'report.html, sweep.csv, 5 files heatmap-*'
    """
    kinds = {kind: [name for name in names if name.startswith(kind)] for kind in ("heatmap-", "sweep-")}
    many = {kind: len(found) for kind, found in kinds.items() if len(found) > 4}
    shown = [name for name in names if not name.startswith(tuple(many))]
    return ", ".join([*shown, *(f"{number} files {kind}*" for kind, number in many.items())])


def publish(
    tables: Sequence[Table],
    stores: Path | Sequence[Path],
    out: Path,
    audit: Audit | None = None,
    compared: Beside | None = None,
) -> list[str]:
    """Write the files of the tables to `out`; return their names, and that of the folder with a large page's details.

    The first table has `heatmap.png` and `heatmap.pdf`. Of several, each has also `heatmap-DIGEST.png` and `.pdf`, by
    the digest of its federation; and their sweep has sweep.csv and a figure for each option of numbers.
    stores: the folder or folders that hold the runs. audit: of runs in one of the tables, if any. compared: the folders
    side by side, if they can be compared.
    """
    from ..report.citations import bibtex, sources_of_records
    from ..report.export import federation_digest, join_csv, latex, markdown
    from ..report.figures import column_heatmap, heatmap
    from ..report.sweep import sweep_of
    from ..report.sweep_figures import sweep_figures

    contents: dict[str, str | bytes] = {
        "report.html": report_html(tables, stores, audit=audit, compared=compared, beside=out),
        "results.csv": join_csv([table.to_csv() for table in tables]),
        "table.md": "\n".join(map(markdown, tables)),
        "table.tex": "\n".join(map(latex, tables)),
        "citations.bib": bibtex(sources_of_records(record for table in tables for record in table.records)),
    }
    for number, table in enumerate(tables):
        drawn = {"png": heatmap(table), "pdf": column_heatmap(table)}
        stems = [f"heatmap-{federation_digest(table.records[0].spec)}"] if len(tables) > 1 else []
        for stem in ["heatmap", *stems] if number == 0 else stems:
            contents |= {f"{stem}.{kind}": content for kind, content in drawn.items()}
    sweep = sweep_of(tables)
    if sweep is not None:
        contents |= {"sweep.csv": sweep.to_sweep_csv(), **sweep_figures(sweep)}
    if compared is not None:
        contents["comparison.csv"] = compared.to_csv()
    if audit is not None:
        contents["audit.json"] = json.dumps(audit.to_json(), indent=1, sort_keys=True) + "\n"
    return write_files(out, contents)


def write_files(out: Path, contents: Mapping[str, str | bytes]) -> list[str]:
    """Write files by their names, of which one is the page; return the names, and that of the folder of its details."""
    from ..core.files import write
    from ..report.page.details import FOLDER, remove_unused

    out.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        write(out / name, content)
    page = contents.get("report.html")
    if not isinstance(page, str):
        return list(contents)
    remove_unused(out, page)
    return [*contents, *([FOLDER] if (out / FOLDER).is_dir() else [])]


def report_html(
    tables: Sequence[Table],
    stores: Path | Sequence[Path],
    title: str = "",
    audit: Audit | None = None,
    compared: Beside | None = None,
    beside: Path | None = None,
) -> str:
    """Return report.html. title: replaces the default, which names the data sets. compared: as in `publish`.

    beside: the folder of the page, for files with the details of a large one. None: it has all of them itself.
    """
    from ..report.page import page
    from ..runs.store import Store
    from .replay import command

    held = [Store(folder) for folder in ([stores] if isinstance(stores, Path) else stores)]
    digests = [record.digest for table in tables for record in table.records]
    datasets = dict.fromkeys(table.records[0].spec["dataset"] for table in tables)
    return page(
        tables,
        title=title or f"Byzantine clients against robust rules: {', '.join(datasets)}",
        timings={digest: next(filter(None, (store.timing(digest) for store in held)), {}) for digest in digests},
        pictures={digest: next(filter(None, (store.pictures(digest) for store in held)), []) for digest in digests},
        command=command,
        audit=audit,
        compared=compared,
        beside=beside,
    )
