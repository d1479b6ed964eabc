"""`gradskew export`: write the rounds of stored runs as one table for other tools."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ..core.errors import check
from .options import OUT
from .publishing import stored_tables


@click.command()
@click.argument("folders", type=click.Path(path_type=Path), nargs=-1, metavar="[FOLDER]...")
@click.option("--to", "kind", type=click.Choice(["parquet", "csv", "rocrate"]), default="parquet", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="The file, or its folder. Default: the first FOLDER.")
def export(folders: Sequence[Path], kind: str, out: Path | None) -> None:
    """Write the rounds of all runs in the FOLDERs to one file, a row a round, or describe one FOLDER as an RO-Crate.

    A row has the digest of its run, attack, rule, seed, partition, every setting in which the runs differ, and all
    metrics of the round. `--to rocrate` writes ro-crate-metadata.json, which says what the files of the FOLDER are.
    Nothing is run. A FOLDER is the --out of earlier commands; the default is gradskew-results.
    """
    from ..core.files import write
    from ..report.described import count
    from ..report.rounds import STEM, csv, parquet, rounds_table

    folders = folders or (Path(OUT),)
    if kind == "rocrate":
        _describe(folders, out)
        return
    records = [record for table in stored_tables(folders) for record in table.records]
    table = rounds_table(records)
    path = out or folders[0]
    path = path / f"{STEM}.{kind}" if path.is_dir() else path
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, parquet(table) if kind == "parquet" else csv(table))
    runs = f"{count(table.num_rows, 'round')} of {count(len(records), 'run')}"
    click.echo(f"{runs}, {count(table.num_columns, 'column')}: {path}.")


def _describe(folders: Sequence[Path], out: Path | None) -> None:
    """Write the description of a folder as an RO-Crate."""
    from ..core.files import write
    from ..report.crate import NAME, crate

    check(len(folders) == 1 and out is None, "--to rocrate describes one FOLDER, and writes into it")
    text = crate(list(stored_tables(folders)), folders[0])
    write(folders[0] / NAME, text)
    click.echo(f"{folders[0] / NAME}.")
