"""Print the findings of an audit, and the ranks of the audited rules and attacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from ..report.terminal import console
from .checks import BAD, GOOD, ODD
from .inspector import COST, Inspection, Task
from .standing import Audit, AuditSheet

COLOURS = {GOOD: "green", ODD: "yellow", BAD: "red"}
ALWAYS = ("answer", COST)  # checks whose findings are printed even if good


def show_inspections(inspections: Iterable[Inspection]) -> None:
    """Print the findings on each rule and attack: the bad and odd ones with a sentence, the good ones by name."""
    screen = console()
    for inspection in inspections:
        screen.print(f"\n{inspection.kind} {inspection.name}", style="bold")
        for finding in inspection.findings:
            if finding.verdict != GOOD or finding.check in ALWAYS:
                mark = f"  {finding.verdict:<5}", COLOURS[finding.verdict]
                screen.print(Text.assemble(mark, f"{finding.check}: {finding.sentence}"))
        good = [f.check for f in inspection.findings if f.verdict == GOOD and f.check not in ALWAYS]
        if good:
            screen.print(Text.assemble((f"  {GOOD:<5}", COLOURS[GOOD]), ", ".join(good)))


def show_audit(audit: Audit, sentences: Sequence[str]) -> None:
    """Print the tables of all rules and attacks, the audited ones in bold, and the sentences."""
    screen = console()
    screen.print(audit.table.federation)
    for sheet in audit.sheets:
        screen.print(f"\n{sheet.title}", style="bold")
        for grid in _grids(sheet, screen.width):
            screen.print(grid)
    for sentence in sentences:
        screen.print(sentence)


def _grids(sheet: AuditSheet, width: int) -> Iterator[Grid]:
    """Yield the sheet as one grid, or as several under each other where its columns need more than the width.

    A column is as wide as its longest text and the longest word of its head. Each grid begins with the first column.
    """
    columns = list(zip(sheet.head, *(texts for _, texts in sheet.lines), strict=True))
    widths = [max(map(len, (*head.split(), *texts))) + 3 for head, *texts in columns]
    parts, used = [[0]], widths[0]  # with the space between columns
    for number in range(1, len(columns)):
        if used + widths[number] > width - 2 and len(parts[-1]) > 1:
            parts.append([0])
            used = widths[0]
        parts[-1].append(number)
        used += widths[number]
    for part in parts:
        grid = Grid(box=box.SIMPLE_HEAD, padding=(0, 1))
        for number in part:
            grid.add_column(
                Text(sheet.head[number]),
                justify="right" if number else "left",
                overflow="fold",
                min_width=min(widths[number] - 3, width // 2),
            )
        for audited, texts in sheet.lines:
            grid.add_row(*(Text(texts[number], "bold" if audited else "") for number in part))
        yield grid


@contextmanager
def show_current_check() -> Iterator[Callable[[Task], None]]:
    """Show the current check on a terminal; yield the function that takes it."""
    with Console(stderr=True).status("checking") as live:
        yield lambda task: live.update(Text(f"checking {task.name}: {task.check}"))
