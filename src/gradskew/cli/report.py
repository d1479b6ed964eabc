"""`gradskew report`: the page and the tables of runs that were played before."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.errors import check
from .options import OUT
from .publishing import publish


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=OUT)
@click.option("--out", type=click.Path(path_type=Path), help="Where to write them. Default: to FOLDER.")
def report(folder: Path, out: Path | None) -> None:
    """Write report.html and the tables of all runs that FOLDER holds, from its records alone.

    Nothing is played. Runs of one federation make a section of the page. FOLDER is what --out named before; its default
    is gradskew-results.
    """
    from ..report.table import count, federations
    from ..runs.store import Store

    check(
        folder.is_dir(), f"there is no folder {str(folder)!r}: name the one that --out named when the runs were played"
    )
    tables = federations(Store(folder).all())
    check(bool(tables), f"{str(folder)!r} holds no run: `gradskew bench --out {folder}` plays some")
    names = publish(tables, folder, out or folder)
    runs = count(sum(len(table.records) for table in tables), "run")
    click.echo(f"{runs} of {count(len(tables), 'federation')}. {', '.join(names)}: in {out or folder}.")
