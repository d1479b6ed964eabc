"""Print the findings of an audit, and the ranks of the audited rules and attacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from ..report.grids import fitted
from ..report.terminal import console
from .checks import BAD, GOOD, ODD
from .inspector import COST, Inspection, Task
from .standing import Audit

COLOURS = {GOOD: "green", ODD: "yellow", BAD: "red"}
ORDER = {BAD: 0, ODD: 1, GOOD: 2}
ALWAYS = ("answer", COST)  # checks whose findings are printed even if good


def show_inspections(inspections: Iterable[Inspection]) -> None:
    """Print the findings on each rule and attack: the bad and odd ones with a sentence, the good ones by name."""
    screen = console()
    for inspection in inspections:
        screen.print(f"\n{inspection.kind} {inspection.name}", style="bold")
        for finding in sorted(inspection.findings, key=lambda each: (each.check != "answer", ORDER[each.verdict])):
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
        lines = [[Text(text, "bold" if audited else "") for text in texts] for audited, texts in sheet.lines]
        for part in fitted(sheet.head, lines, screen.width):
            screen.print(part)
    for sentence in sentences:
        screen.print(sentence)


@contextmanager
def show_current_check() -> Iterator[Callable[[Task], None]]:
    """Show the current check on a terminal; yield the function that takes it."""
    with Console(stderr=True).status("checking") as live:
        yield lambda task: live.update(Text(f"checking {task.name}: {task.check}"))
