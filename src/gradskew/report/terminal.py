"""Print to the terminal: a progress line during runs, then tables in colour."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from statistics import fmean, stdev
from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table as Grid
from rich.text import Text

from ..aggregators import least_kappa
from ..core.errors import warn
from ..runs.sweeps import Progress
from ..skew import Estimate, Trial
from ..skew.references import Measure
from .beside import Beside
from .described import count
from .grids import fitted
from .panels import Panel
from .sweep import Sweep
from .table import Table
from .worst import DEFINITION, how_to_save, least_kappa_text, sheet

TRIAL_HEAD = (
    *("rule", "attack", "kappa", "proven bound", "progress", "Byzantine weight", "of them selected", "honest shut out"),
    "f of the rule",
)


def show(table: Table, sentences: Sequence[str]) -> None:
    """Print the federation, the panels of the table, the worst found of each rule and the sentences."""
    screen = console()
    screen.print(table.federation)
    for panel in table.panels():
        screen.print(f"\n{panel.title}", style="bold")
        for part in _panel(table, panel, screen.width):
            screen.print(part)
    if table.standings:
        head, lines = sheet(table)
        screen.print("\nThe worst found, rule by rule", style="bold")
        for part in fitted(head, [list(map(Text, line)) for line in lines], screen.width):
            screen.print(part)
        notes = [DEFINITION, how_to_save(table), least_kappa_text(table)] if "broken by one round" in head else []
        sentences = [*filter(None, notes), *sentences]
    for sentence in sentences:
        screen.print(sentence)


def show_sweep(sweep: Sweep, sentences: Sequence[str]) -> None:
    """Print the worst found, else the accuracies without an attack, by the options that differ, and the sentences."""
    screen = console()
    screen.print(sweep.summary)
    head, rows = sweep.sheet(sweep.panels[0])
    screen.print(f"\nTest {sweep.measure} in %, {sweep.panels[0]}, with half of its 95 % interval", style="bold")
    for part in fitted(head, [list(map(Text, row)) for row in rows], screen.width, names=len(sweep.axes)):
        screen.print(part)
    for sentence in sentences:
        screen.print(sentence)


def show_compared(compared: Beside) -> None:
    """Print the first table of folders side by side: of the worst found, if a rule was attacked."""
    screen = console()
    head, rows = compared.sheet(compared.panels[0])
    screen.print(f"Test {compared.measure} in %, {compared.panels[0]}, with half of its 95 % interval", style="bold")
    for part in fitted(head, [list(map(Text, row)) for row in rows], screen.width, names=len(compared.axes) + 1):
        screen.print(part)
    screen.print(compared.legend)


def _panel(table: Table, panel: Panel, width: int) -> Iterator[Grid | Text]:
    """Yield a panel in colour, with the worst attack on each rule underlined."""
    from .figures import shade  # imports matplotlib, late

    lines = []
    for attack in table.attacks:
        line = [Text(attack)]
        for rule in panel.rules:
            text, harm = panel.entries.get((attack, rule), ("", math.nan))
            mark = "bold underline " if table.worst_attacks.get(rule) == attack else ""
            line.append(Text(text, f"{mark}black on {shade(harm)}" if text else ""))
        lines.append(line)
    yield from fitted(["attack", *panel.rules], lines, width)


def console() -> Console:
    """Return the console for tables; 200 columns wide for a file or a pipe."""
    screen = Console(highlight=False, markup=False)
    if not screen.is_terminal:
        screen.width = 200
    return screen


def show_skew(
    values: Sequence[tuple[Measure, Estimate]],
    sentences: Sequence[str],
    heterogeneity: Sequence[tuple[Measure, Estimate]] = (),
) -> None:
    """Print the skew of the honest updates beside the references, how much clients differ, and the sentences."""
    head = ("skew of the honest updates", "here", "even data (IID)", "Dirichlet(0.1)")
    texts = [(measure.name, value.text, *(known.text for known in measure.references)) for measure, value in values]
    screen = console()
    for part in fitted(head, [list(map(Text, line)) for line in texts], screen.width):
        screen.print(part)
    differences = [list(map(Text, (measure.name, value.text))) for measure, value in heterogeneity]
    for part in fitted(("difference of the honest clients", "here"), differences, screen.width) if differences else ():
        screen.print(part)
    for sentence in sentences:
        screen.print(sentence)


def show_trials(trials: Sequence[Trial]) -> None:
    """Print the results of each rule under each attack, as means over seeds."""
    lines = []
    cells: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        cells.setdefault((trial.aggregator, trial.attack), []).append(trial)
    rules = list(dict.fromkeys(trial.aggregator for trial in trials))
    for (rule, attack), of_cell in sorted(cells.items(), key=lambda item: rules.index(item[0][0])):
        bound = of_cell[0].kappa_bound
        texts = [_two_digits([trial.kappa for trial in of_cell]), "–" if bound is None else f"{float(bound):.2f}"]
        texts.append(_two_digits([trial.progress for trial in of_cell]))
        texts += [_mean([t.byzantine_share for t in of_cell], "%"), _mean([t.selected for t in of_cell], "%")]
        texts += [_mean([None if t.shut_out is None else len(t.shut_out) for t in of_cell]), str(of_cell[0].f)]
        lines.append(list(map(Text, (rule, attack, *texts))))
    screen = console()
    for part in fitted(TRIAL_HEAD, lines, screen.width, names=2):
        screen.print(part)
    screen.print("kappa: squared distance of the result from the honest mean, over the honest mean squared distance.")
    attacked = [trial for trial in trials if trial.byzantine]
    if attacked:
        n, f = attacked[0].rows, attacked[0].byzantine
        screen.print(f"No rule can guarantee a kappa below f / (n - 2 f) = {least_kappa(n, f):.2f}.")
    screen.print("progress: <result, honest mean> over the squared length of that mean; below 0 the step leads back.")
    if len({trial.seed for trial in trials}) > 1:
        screen.print("±: sample standard deviation over seeds.")


def _two_digits(values: Sequence[float | None]) -> str:
    """Return the mean of the values that are not None, with the sample standard deviation of several."""
    known = [value for value in values if value is not None]
    spread = f" ±{stdev(known):.2f}" if len(known) > 1 else ""
    return f"{fmean(known):.2f}{spread}" if known else "–"


def _mean(values: Sequence[float | None], unit: str = "") -> str:
    """Return the mean of the values that are not None; with a unit, of shares in percent."""
    known = [value for value in values if value is not None]
    return "–" if not known else f"{100 * fmean(known):.0f} %" if unit else f"{fmean(known):.1f}".removesuffix(".0")


def duration(seconds: float) -> str:
    """Return a time in a readable unit: 40 s, 12 min, 3.5 h.

    >>> duration(40), duration(725), duration(12600)
    ('40 s', '12 min', '3.5 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


class ProgressLine:
    """Progress of runs, rounds per second and time left.

    A live line on a terminal, a line that is overwritten in a notebook, else a line every EVERY seconds.
    """

    EVERY = 10.0  # seconds
    OFTEN = 0.2  # seconds between two texts in a notebook
    WIDTH = 30  # characters of the bar in a notebook

    def __init__(self) -> None:
        console = Console(stderr=True)
        self.live, self.notebook = console.is_terminal, console.is_jupyter
        self.bar = Bar(BarColumn(), TextColumn("{task.description}"), console=console, transient=True)
        self.task = self.bar.add_task("starting", total=None)
        self.started = self.printed = perf_counter()
        self.last = Progress(0, 0, 0, 0)

    def __enter__(self) -> ProgressLine:
        if self.live:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.bar.stop()
        elif self.notebook:
            warn("")

    def __call__(self, progress: Progress) -> None:
        self.last, now = progress, perf_counter()
        rate = progress.rounds_done / (now - self.started)
        left = f"{duration((progress.rounds - progress.rounds_done) / rate)} left" if rate else "starting"
        text = f"{progress.done}/{progress.runs} runs, {rate:.3g} rounds/s, {left}"
        if self.live:
            self.bar.update(self.task, completed=progress.rounds_done, total=progress.rounds, description=text)
        elif self.notebook:
            if now - self.printed > self.OFTEN or progress.rounds_done == progress.rounds:
                self.printed = now
                done = self.WIDTH * progress.rounds_done // max(1, progress.rounds)
                bar = f"[{'█' * done}{'·' * (self.WIDTH - done)}] {text}"
                print(f"\r{bar:<80}", end="", file=sys.stderr, flush=True)
        elif now - self.printed > self.EVERY:
            self.printed = now
            warn(text)

    def summary(self, runs: int, failed: int = 0) -> str:
        """Return a sentence on the work done. runs: of the table. failed: of others."""
        done, seconds = self.last.done - failed, perf_counter() - self.started
        rate = f" ({self.last.rounds_done / seconds:.3g} rounds/s)" if self.last.done else ""
        lost = f", {failed} failed" if failed else ""
        return f"{count(done, 'run')} done in {seconds:.1f} s{rate}{lost}, {runs - done} stored already."
