"""`gradskew paper`: the paper's tables and figures, beside its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.errors import check
from .completion import one, several
from .options import execution, sharded
from .publishing import report_html
from .sweeping import announce, announce_memory, announce_time, choose_workers, run_sweep, stoppable

if TYPE_CHECKING:
    from ..federation.run import Run
    from ..report.terminal import ProgressLine


@click.command()
@click.argument("experiment", shell_complete=one("experiment"))
@click.option(
    "--dataset",
    shell_complete=one("dataset"),
    help="As `gradskew list` names them. Default: the one that the paper shows.",
)
@click.option("--data", type=click.Path(path_type=Path), help="Folder with the data set's files.")
@click.option("--download", is_flag=True, default=None, help="Fetch the files from the Hugging Face hub.")
@click.option(
    "--scale",
    shell_complete=one("scale"),
    default="small",
    show_default=True,
    help="small (for two cores) or paper (the authors').",
)
@click.option(
    "--attacks",
    shell_complete=several("attack"),
    help="Some of the attacks, or others. Figures 1 and 2: show STRIKE's rows (strike) or not (none).",
)
@click.option("--aggregators", shell_complete=several("aggregator"), help="Some of the rules, or others.")
@click.option("--rounds", type=int, help="Communication rounds. Default: by scale.")
@click.option("--seeds", help="How many seeds (3 means 0,1,2), or a comma-separated list of them. Default: by scale.")
@execution
@sharded
def paper(experiment: str, scale: str, out: Path, workers: int | None, shard: tuple[int, int], **options: Any) -> None:
    """Play a table or figure of the paper and set it beside the paper's own.

    EXPERIMENT is table1, table2, figure1, figure2, figure4, figure7 or figure8. Runs that are stored in --out already
    are not run again.
    """
    from ..core.files import write
    from ..paper.charts import chart
    from ..paper.experiments import EXPERIMENTS, grouped, is_whole, notes, plan, sheets
    from ..paper.screen import show_sheets
    from ..paper.sheets import caption, markdown
    from ..report.export import plain, results_csv
    from ..report.table import Table

    chosen = choose_workers(options, workers)
    if experiment in EXPERIMENTS and EXPERIMENTS[experiment].embedded:
        check(isinstance(chosen, int | None), f"{experiment} is run in this process, not on Ray")
        check(shard == (1, 1), f"{experiment} has one run for each seed, and no shards: --seeds names some of them")
        _embed(experiment, scale, out, **options)
        return
    planned = plan(experiment, scale=scale, **options)
    shown, source = EXPERIMENTS[experiment], planned[0].run.source
    runs = [place.run for place in planned]
    swept = run_sweep(f"{experiment} on {source.name}, scale {scale}", runs, out, chosen, shard=shard, estimate=True)
    if swept.records:
        made = sheets(experiment, planned, swept.records)
        groups, said = grouped(planned, swept.records), caption(made, source.key)
        tables, remarks = [Table(group) for group in groups], notes(groups)
        federations = [f"{table.federation}." for table in tables]
        text = [f"# {shown.title}", *map(plain, federations), f"{said} Bold: our lowest of the column."]
        text += [*(markdown(sheet).rstrip() for sheet in made), *map(plain, remarks)]
        whole = is_whole(experiment, scale, runs, data=options["data"], download=options["download"])
        stem = f"{experiment}-{source.key}-{scale}{'' if whole else '-part'}"  # a part never replaces the whole
        contents: dict[str, str | bytes] = {
            f"{stem}.csv": results_csv(swept.records),
            f"{stem}.md": "\n\n".join(text) + "\n",
        }
        if shown.chart:
            title = f"{shown.title}\n{_setting(runs[0])}"
            drawn = chart(made, title, rows_along=shown.chart == "rows", joined=shown.chart != "points")
            contents |= {f"{stem}.{kind}": content for kind, content in drawn.items()}
        contents["report.html"] = report_html(tables, out, f"{shown.title}, {source.name}")
        show_sheets(made, said, [*remarks, swept.summary])
        with swept.published():
            for name, content in contents.items():
                write(out / name, content)
            click.echo(f"{', '.join(contents)}: in {out}.")
    if swept.failure is not None:
        raise swept.failure


def _embed(experiment: str, scale: str, out: Path, attacks: str | None, **options: Any) -> None:
    """Figures 1 and 2: for each seed a run, and the updates of some of its rounds in the plane."""
    from ..core.files import write
    from ..paper.experiments import EXPERIMENTS, is_whole
    from ..paper.lle_figures import follow
    from ..report.figures import lle_figure
    from ..report.terminal import ProgressLine
    from ..runs.store import Store

    followed = follow(experiment, out, shown=attacks, scale=scale, **options)
    run = followed[0].run
    Store(out).prepare()
    runs = [each.run for each in followed]
    whole = is_whole(experiment, scale, runs, data=options["data"], download=options["download"])
    suffix = ("" if whole else "-part") + ("" if attacks is None else "-strike" if followed[0].forged else "-honest")
    found = [each.stored() for each in followed]
    left = [each.played for each, drawn in zip(followed, found, strict=True) if drawn is None]
    announce(f"{experiment} on {run.source.name}, scale {scale}", runs, len(left), f" -> {out}")
    announce_memory(left)
    with stoppable(out):
        announce_time(left)
        for number, (each, drawn) in enumerate(zip(followed, found, strict=True)):
            if drawn is None:
                with ProgressLine() as line:
                    rounds = itertools.count(1)
                    drawn = each.play(partial(_tell, line, rounds, number, len(followed), each.played.rounds))
            stem = f"{experiment}-{run.source.key}-{scale}{suffix}-seed{each.run.seed}"
            setting = f"{_setting(each.run)}, {each.run.partition.name}; seed {each.run.seed}"
            for kind, content in lle_figure(drawn, f"{EXPERIMENTS[experiment].title}\n{setting}").items():
                write(out / f"{stem}.{kind}", content)
            click.echo(f"{stem}.pdf, {stem}.png: in {out}.")


def _tell(line: ProgressLine, played: Iterator[int], runs_done: int, runs: int, rounds: int) -> None:
    from ..runs.sweeps import Progress

    line(Progress(runs_done, runs, next(played), rounds))


def _setting(run: Run) -> str:
    """What was simulated, but for what a chart shows itself: the partition, attacks, rules and seeds."""
    from ..report.table import count

    federation = f"{count(run.clients, 'client')}, {run.num_byzantine} Byzantine; {count(run.rounds, 'round')}"
    return f"{run.source.name}, {run.model.name}; {federation}"
