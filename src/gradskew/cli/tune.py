"""`gradskew tune`: search the learning rate and other options of one rule's federation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.errors import warn
from ..core.importing import shell_command
from .options import CONFIG, SEEDS, execution, federation, lists, methods
from .sweeping import announce, choose_workers, default_workers, stoppable

if TYPE_CHECKING:
    from ..runs.tuned import Trial

FILE = "tuned.toml"


@lists
@click.command()
@CONFIG
@methods("rule", "The rule, with a {placeholder} for each of its options to search, such as 'cclip(tau={tau})'.")
@methods("attack", "The attacks under which a trial is judged, by the lowest accuracy. Default: none.")
@click.option(
    "--search",
    multiple=True,
    help="What is searched: NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=VALUE,VALUE,... of an option of local training or "
    "of the server, or of a {NAME}. Default: lr=0.01:1:log,momentum=0,0.9.",
)
@click.option("--trials", type=click.IntRange(min=1), default=30, show_default=True, help="Number of trials.")
@SEEDS
@federation
@partial(execution, out="gradskew-tuned")
def tune(
    search: Sequence[str],
    trials: int,
    out: Path,
    workers: int | None,
    log: str | None,
    **options: Any,
) -> None:
    """Search the learning rate, the momentum and other options for one rule; write tuned.toml for `gradskew bench`.

    A trial is judged on a part of the training inputs that is held out (--validation): the test inputs take no part in
    the choice. Its accuracy is the mean over the seeds; tuned.toml has other seeds. Optuna draws the values; the same
    command goes on from the runs that --out holds, also with more trials. CONFIG is a TOML file with the same settings.
    The lens is off unless --lens.
    """
    from ..core.files import write
    from ..report.described import count
    from ..report.terminal import ProgressLine
    from ..runs.tuning import Study
    from ..trackers import Log

    chosen = choose_workers(options, workers)
    study = Study.of(",".join(search) or None, options)
    runs = study.runs * trials
    chosen, tracked = default_workers(runs, chosen), Log(log, out)
    announce(f"{runs[0].source.name}, {study.given['rules']}, {count(trials, 'trial')}", runs, runs, out, chosen)
    line = ProgressLine()

    def show(trial: Trial) -> None:
        warn(f"{trial.number:{len(str(trials))}}/{trials}  {trial}")

    with stoppable(out), line:
        tuned = study.play(trials, out, workers=chosen, on_trial=show, on_progress=line, log=tracked)
    for sentence in (*tuned.notes, line.summary(len(runs))):
        click.echo(sentence)
    write(out / FILE, tuned.to_toml())
    click.echo(f"{FILE}: in {out}. To play it: {shell_command('gradskew', 'bench', str(out / FILE))}")
