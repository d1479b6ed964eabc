"""Print what an audit found, and how the audited rules and attacks stand."""

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
from .standing import Audit

COLOURS = {GOOD: "green", ODD: "yellow", BAD: "red"}
SAID = ("answer", COST)  # findings that are said even where they are good


def show_inspections(inspections: Iterable[Inspection]) -> None:
    """Print what the checks found on each rule and attack: what is bad or odd line by line, the rest by name."""
    screen = console()
    for inspection in inspections:
        screen.print(f"\n{inspection.kind} {inspection.name}", style="bold")
        for finding in inspection.findings:
            if finding.verdict != GOOD or finding.check in SAID:
                mark = f"  {finding.verdict:<5}", COLOURS[finding.verdict]
                screen.print(Text.assemble(mark, f"{finding.check}: {finding.sentence}"))
        fine = [f.check for f in inspection.findings if f.verdict == GOOD and f.check not in SAID]
        if fine:
            screen.print(Text.assemble((f"  {GOOD:<5}", COLOURS[GOOD]), ", ".join(fine)))


def show_audit(audit: Audit, sentences: Sequence[str]) -> None:
    """Print how the audited rules and attacks stand beside ours, and the sentences."""
    screen = console()
    screen.print(audit.table.federation)
    for sheet in audit.sheets:
        screen.print(f"\n{sheet.title}", style="bold")
        grid = Grid(box=box.SIMPLE_HEAD, padding=(0, 1))
        for number, name in enumerate(sheet.head):
            grid.add_column(Text(name), justify="right" if number else "left", overflow="fold")
        for audited, texts in sheet.lines:
            grid.add_row(*(Text(text, "bold" if audited else "") for text in texts))
        screen.print(grid)
    for sentence in sentences:
        screen.print(sentence)


@contextmanager
def checking() -> Iterator[Callable[[Task], None]]:
    """A live word on the check that is carried out; nothing where there is no terminal."""
    with Console(stderr=True).status("checking") as live:
        yield lambda task: live.update(Text(f"checking {task.name}: {task.check}"))
