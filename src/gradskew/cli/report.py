"""`gradskew report`: write the page and the tables of stored runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ..core.errors import check
from ..core.importing import shell_command
from .options import OUT
from .publishing import publish, tables_of


@click.command()
@click.argument("folders", type=click.Path(path_type=Path), nargs=-1, metavar="[FOLDER]...")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the files. Default: the first FOLDER.")
def report(folders: Sequence[Path], out: Path | None) -> None:
    """Write report.html and the tables of all runs in the FOLDERs.

    Nothing is run again. Each federation gets a section of the page. A FOLDER is the --out of earlier commands; the
    default is gradskew-results. A run in several folders counts once.
    """
    from ..report.table import count

    folders = folders or (Path(OUT),)
    for folder in folders:
        check(folder.is_dir(), f"no folder {str(folder)!r}: name the --out of the runs")
    tables = tables_of(folders)
    names = ", ".join(repr(str(folder)) for folder in folders)
    bench = shell_command("gradskew", "bench", "--out", str(folders[0]))
    check(bool(tables), f"no runs in {names}: `{bench}` makes some")
    written = publish(tables, folders, out or folders[0])
    runs = count(sum(len(table.records) for table in tables), "run")
    click.echo(f"{runs} of {count(len(tables), 'federation')}. {', '.join(written)}: in {out or folders[0]}.")
