"""`gradskew bench`: run every attack against every rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import CONFIG, SEEDS, SHARD, execution, federation, lists, methods
from .publishing import listing, publish, tables_of
from .sweeping import choose_workers, print_plan, run_sweep


@lists
@click.command()
@CONFIG
@federation
@methods("attack", "Comma-separated, such as none,lie(z=1.0),strike; paper (default), all or worst.")
@methods("rule", "Comma-separated, such as median,nnm+rfa,bucketing(s=2)+multikrum; paper (default) or all.")
@SEEDS
@execution
@SHARD
@click.option(
    "--dry-run", is_flag=True, help="Print how many runs there are, their memory and time; run and write nothing."
)
def bench(
    out: Path, workers: int | None, shard: tuple[int, int], dry_run: bool, log: str | None, **options: Any
) -> None:
    """Run every attack against every rule; print the table, write report.html, results.csv, table.md and more.

    An option of the federation takes a list, such as --beta 0.1,0.5,iid: every combination of values is run.
    CONFIG is a TOML file with the same settings (dataset = "digits", attacks = ["none", "strike"], ...); the command
    line overrides it. Runs that --out already holds are not run again, and the tables have all runs that it holds.
    """
    from ..report.sweep import Sweep
    from ..report.terminal import show, show_sweep
    from ..report.verdict import remarks, scope, statements
    from ..report.worst import harder_question
    from ..runs.product import make_sweep

    chosen = choose_workers(options, workers)
    runs = make_sweep(options)
    task = ", ".join({run.source.name: None for run in runs})
    if dry_run:
        print_plan(task, runs, out, chosen, shard, log)
        click.echo("Dry run: nothing was run, and nothing was written.")
        return
    swept = run_sweep(task, runs, out, chosen, shard=shard, log=log)
    if swept.records:
        tables = tables_of([out], swept.records)
        own, work = swept.tables(tables), swept.summaries(tables, out)
        table = own[0]
        if len(own) == 1:
            show(table, [*statements(table), *remarks(table), *work])
        else:
            show_sweep(Sweep(own), [*dict.fromkeys(sentence for each in own for sentence in scope(each)), *work])
        with swept.published():
            click.echo(f"{listing(publish(tables, out, out))}: in {out}.")
        if question := harder_question(own):
            click.echo(question)
    elif swept.failure is None:  # a shard without runs
        click.echo(swept.summary)
    if swept.failure is not None:
        raise swept.failure
