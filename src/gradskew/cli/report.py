"""`gradskew report`: write the page and the tables of stored runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from ..core.errors import check
from .options import OUT
from .publishing import compare, listing, merge, publish, read_folders


@click.command()
@click.argument("folders", type=click.Path(path_type=Path), nargs=-1, metavar="[FOLDER]...")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the files. Default: the first FOLDER.")
@click.option(
    "--leaderboard",
    type=click.Path(path_type=Path),
    metavar="PAGE",
    help="Write only PAGE, Markdown: the worst found of each rule, from the CSV files in the FOLDERs, or CSV files.",
)
def report(folders: Sequence[Path], out: Path | None, leaderboard: Path | None) -> None:
    """Write report.html and the tables of all runs in the FOLDERs.

    Nothing is run again. Each federation gets a section of the page. A FOLDER is the --out of earlier commands; the
    default is gradskew-results. A run in several folders counts once. FOLDERs that hold the same attacks, rules and
    seeds in different federations are compared: a column for each, and the differences.
    """
    from ..report.described import count
    from ..report.terminal import show_compared
    from ..report.worst import harder_question

    folders = folders or (Path(OUT),)
    if leaderboard is not None:
        check(out is None, "--out is the folder of report.html: --leaderboard names its page itself")
        _write_leaderboard(list(_tables(folders)), leaderboard)
        return
    held = read_folders(folders)
    tables, compared = merge(held), compare(held)
    written = publish(tables, folders, out or folders[0], compared=compared)
    if compared is not None:
        show_compared(compared)
    runs = count(sum(len(table.records) for table in tables), "run")
    click.echo(f"{runs} of {count(len(tables), 'federation')}. {listing(written)}: in {out or folders[0]}.")
    if question := harder_question(tables):
        click.echo(question)


def _write_leaderboard(paths: Sequence[Path], page: Path) -> None:
    """Write the leaderboard of the runs in CSV files."""
    from ..core.files import write
    from ..report.described import count
    from ..report.leaderboard import leaderboard
    from ..report.played import read_runs

    runs, largest = read_runs(paths)
    check(bool(runs), f"no runs in {', '.join(repr(str(path)) for path in paths)}")
    page.parent.mkdir(parents=True, exist_ok=True)
    write(page, leaderboard(runs))
    differing = f" Runs in two files differ by up to {largest:.1f} points; the first counts." * (largest > 0)
    click.echo(f"{count(len(runs), 'run')} in {count(len(paths), 'file')}: {page}.{differing}")


def _tables(folders: Sequence[Path]) -> Iterator[Path]:
    """Yield the CSV files among the paths and in the folders, without those that hold no runs."""
    from ..report.rounds import STEM

    others = (STEM, "sweep", "comparison")
    for folder in folders:
        tables = [path for path in sorted(folder.glob("*.csv")) if path.stem not in others]
        tables = tables if folder.is_dir() else [folder]
        check(bool(tables), f"no CSV file in {str(folder)!r}: name the --out of benches, or a folder with their tables")
        yield from tables
