"""One chart for each attack with the curves of all rules, and one for each rule with those of all attacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...runs.record import Record
from ..cell import Cell
from ..table import Table
from . import svg
from .findings import hardest_attack
from .parts import Figure, mean_by_round, over_seeds


@dataclass(frozen=True)
class Curves:
    """A chart of curves, one for each of some cells by name.

    anchor: its id on the page. name: of the attack or rule. shown: whether it comes first. label: what it shows.
    measure: what the accuracies in % are.
    """

    anchor: str
    name: str
    shown: bool
    label: str
    measure: str
    cells: Sequence[tuple[str, Cell | None]]

    @property
    def figure(self) -> Figure:
        """Draw the chart."""
        lines = []
        for place, (name, cell) in enumerate(self.cells):
            if cell is not None:
                _, rounds, values = mean_by_round(name, map(tested, cell.records))
                lines.append(svg.Line(name, svg.line_style(place), rounds, values))
        seeds = over_seeds(max((len(cell.records) for _, cell in self.cells if cell), default=0))
        drawn = svg.lines(self.label, lines, unit=f"test {self.measure}, %", legend=True)
        return drawn, f"{self.label}, by round{seeds}."


def by_attack(table: Table, number: int) -> list[Curves]:
    """Return a chart for each attack, with a curve for each rule. number: of the section on the page."""
    shown = hardest_attack(table) or table.attacks[0]
    charts = []
    for place, attack in enumerate(table.attacks):
        cells = [(rule, table.cells.get((attack, rule))) for rule in table.rules]
        under = "without an attack" if attack == "none" else f"under {attack}"
        label = f"Test {table.measure} of all rules {under}"
        charts.append(Curves(f"attack-{number}-{place}", attack, attack == shown, label, table.measure, cells))
    return charts


def by_rule(table: Table, number: int) -> list[Curves]:
    """Return a chart for each rule, with a curve for each attack. number: of the section on the page."""
    shown = table.ranked[0].rule if table.ranked else table.rules[0]
    charts = []
    for place, rule in enumerate(table.rules):
        cells = [(attack, table.cells.get((attack, rule))) for attack in table.attacks]
        label = f"Test {table.measure} of {rule} under all attacks"
        charts.append(Curves(f"rule-{number}-{place}", rule, rule == shown, label, table.measure, cells))
    return charts


def tested(record: Record) -> tuple[list[int], list[float]]:
    """Return the rounds in which a run was tested, and its accuracies in them."""
    return record.tested, record.accuracies
