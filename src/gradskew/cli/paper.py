"""`gradskew paper`: rerun the STRIKE paper's tables and figures, and compare with its printed values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.errors import check
from .completion import complete_name
from .options import SEEDS, SHARD, execution, files, methods
from .publishing import report_html, write_files
from .sweeping import Swept, choose_workers, run_sweep

if TYPE_CHECKING:
    from ..federation.run import Run
    from ..paper.experiments import Planned

Contents = dict[str, str | bytes]  # of files, by their names


@click.command()
@click.argument("experiment", shell_complete=complete_name("experiment"))
@click.option(
    "--dataset",
    shell_complete=complete_name("dataset"),
    help="A name in `gradskew list`. Default: the data set in the paper.",
)
@files
@click.option(
    "--scale",
    shell_complete=complete_name("scale"),
    default="small",
    show_default=True,
    help="small (for two cores) or paper (the authors' scale).",
)
@methods("attack", "Replace the attacks of the paper. Figures 1 and 2 take one, or none.")
@methods("rule", "Replace the rules of the paper.")
@click.option("--rounds", type=int, help="Communication rounds. Default: by scale.")
@SEEDS
@execution
@SHARD
def paper(
    experiment: str,
    scale: str,
    out: Path,
    workers: int | None,
    shard: tuple[int, int],
    log: str | None,
    **options: Any,
) -> None:
    """Run a table or figure of the paper and compare it with the printed one.

    EXPERIMENT is table1, table2, figure1, figure2, figure4, figure7 or figure8. Runs that --out already holds are not
    run again.
    """
    from ..paper.catalogue import EXPERIMENTS
    from ..paper.experiments import is_whole, plan

    chosen = choose_workers(options, workers)
    planned = plan(experiment, scale=scale, **options)
    pictured, source = EXPERIMENTS[experiment].pictured > 0, planned[0].run.source
    runs = [place.run for place in planned]
    one_each = len({run.seed for run in runs}) == len(runs)
    check(one_each or not pictured, f"{experiment} shows one attack and one rule: see --attacks and --rules")
    task = f"{experiment} on {source.name}, scale {scale}"
    swept = run_sweep(task, runs, out, chosen, shard=shard, estimate=True, log=log)
    if swept.records:
        # The files of a part of the runs have other names, and do not replace those of all runs.
        whole = is_whole(experiment, scale, runs, data=options["data"], download=options["download"])
        stem = f"{experiment}-{source.key}-{scale}{'' if whole else '-part'}"
        with swept.published():
            contents = (_pictures if pictured else _tables)(experiment, planned, swept, stem, out)
            click.echo(f"{', '.join(write_files(out, contents))}: in {out}.")
    if swept.failure is not None:
        raise swept.failure


def _tables(experiment: str, planned: Sequence[Planned], swept: Swept, stem: str, out: Path) -> Contents:
    """Show the accuracies beside the paper's; return the contents of the files by name."""
    from ..paper.catalogue import EXPERIMENTS
    from ..paper.charts import chart
    from ..paper.experiments import grouped, notes, sheets
    from ..paper.screen import show_sheets
    from ..paper.sheets import caption, markdown
    from ..report.citations import bibtex, sources_of_records
    from ..report.export import escape_markdown, results_csv
    from ..report.table import Table

    shown, run = EXPERIMENTS[experiment], planned[0].run
    laid_out = sheets(experiment, planned, swept.records)
    groups, legend = grouped(planned, swept.records), caption(laid_out, run.source.key)
    tables, remarks = [Table(group) for group in groups], notes(groups)
    federations = [f"{table.federation}." for table in tables]
    text = [f"# {shown.title}", *map(escape_markdown, federations), f"{legend} Bold: our lowest of the column."]
    text += [*(markdown(sheet).rstrip() for sheet in laid_out), *map(escape_markdown, remarks)]
    contents: Contents = {f"{stem}.csv": results_csv(swept.records), f"{stem}.md": "\n\n".join(text) + "\n"}
    if shown.chart:
        title = f"{shown.title}\n{_setting(run)}"
        drawn = chart(laid_out, title, rows_along=shown.chart == "rows", joined=shown.chart != "points")
        contents |= {f"{stem}.{kind}": content for kind, content in drawn.items()}
    contents[f"{stem}.bib"] = bibtex(sources_of_records(swept.records))
    show_sheets(laid_out, legend, [*remarks, swept.summary])
    contents["report.html"] = report_html(tables, out, f"{shown.title}, {run.source.name}", beside=out)
    return contents


def _pictures(experiment: str, planned: Sequence[Planned], swept: Swept, stem: str, out: Path) -> Contents:
    """Return the contents of Figure 1's or 2's files by name: each seed's stored embeddings, drawn."""
    from ..paper.catalogue import EXPERIMENTS
    from ..report.figures import lle_figure
    from ..runs.store import Store

    shown, contents, store = EXPERIMENTS[experiment], Contents(), Store(out)
    finished = {record.digest for record in swept.records}
    for run, attack in ((place.run, place.row) for place in planned if place.run.digest in finished):
        drawn = [replace(each, aggregate=None) for each in store.pictures(run.digest) if each.method == "lle"]
        path = out / "runs" / run.digest
        check(
            len(drawn) > 0,
            f"no pictures in {path}: its updates are too similar, or the file is lost: remove the folder and run again",
        )
        title = f"{shown.title}\n{_setting(run)}, {run.partition.name}; seed {run.seed}"
        other = "" if attack in shown.attacks.values() else f"-{run.attack.key}"
        for kind, content in lle_figure(drawn, title, sender=f"{attack}'s").items():
            contents[f"{stem}{other}-seed{run.seed}.{kind}"] = content
    click.echo(swept.summary)
    return contents


def _setting(run: Run) -> str:
    """Return a line on the federation, without what a chart shows: partition, attacks, rules and seeds."""
    from ..report.described import count

    federation = f"{count(run.clients, 'client')}, {run.num_byzantine} Byzantine; {count(run.rounds, 'round')}"
    return f"{run.source.name}, {run.model.name}; {federation}"
