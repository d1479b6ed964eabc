"""`gradskew report`: write the page and the tables of stored runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..core.errors import check, warn
from .options import OUT
from .publishing import publish

if TYPE_CHECKING:
    from ..runs.record import Record


@click.command()
@click.argument("folders", type=click.Path(path_type=Path), nargs=-1, metavar="[FOLDER]...")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the files. Default: the first FOLDER.")
def report(folders: Sequence[Path], out: Path | None) -> None:
    """Write report.html and the tables of all runs in the FOLDERs.

    Nothing is run again. Each federation gets a section of the page. A FOLDER is the --out of earlier commands; the
    default is gradskew-results. A run in several folders counts once.
    """
    from ..report.table import count, federations

    folders = folders or (Path(OUT),)
    for folder in folders:
        check(folder.is_dir(), f"no folder {str(folder)!r}: name the --out of the runs")
    tables = federations(_records(folders))
    names = ", ".join(repr(str(folder)) for folder in folders)
    check(bool(tables), f"no runs in {names}: `gradskew bench --out {folders[0]}` makes some")
    written = publish(tables, folders, out or folders[0])
    runs = count(sum(len(table.records) for table in tables), "run")
    click.echo(f"{runs} of {count(len(tables), 'federation')}. {', '.join(written)}: in {out or folders[0]}.")


def _records(folders: Sequence[Path]) -> list[Record]:
    """Return the records of several folders; warn where two differ under one digest, and keep the first."""
    from ..runs.store import Store

    records: dict[str, Record] = {}
    for folder in folders:
        for record in Store(folder).all():
            first = records.setdefault(record.digest, record)
            if first is not record and not first.agrees(record):
                differ = f"{record.digest[:12]} in {folder} differs from the same run in an earlier folder"
                warn(f"gradskew: {differ} (another kind of processor?): the earlier one is used")
    return list(records.values())
