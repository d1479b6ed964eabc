"""One chart for each attack with the curves of all rules, and one for each rule with those of all attacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from ..standing import Cell
from ..table import Table
from . import svg
from .findings import hardest_attack
from .parts import Figure


@dataclass(frozen=True)
class Curves:
    """A chart of curves. anchor: its id on the page. name: of the attack or rule. shown: whether it comes first."""

    anchor: str
    name: str
    shown: bool
    figure: Figure


def by_attack(table: Table, number: int) -> list[Curves]:
    """Return a chart for each attack, with a curve for each rule. number: of the section on the page."""
    shown = hardest_attack(table) or table.attacks[0]
    charts = []
    for place, attack in enumerate(table.attacks):
        cells = [(rule, table.cells.get((attack, rule))) for rule in table.rules]
        under = "without an attack" if attack == "none" else f"under {attack}"
        drawn = _chart(f"Test accuracy of all rules {under}", cells)
        charts.append(Curves(f"attack-{number}-{place}", attack, attack == shown, drawn))
    return charts


def by_rule(table: Table, number: int) -> list[Curves]:
    """Return a chart for each rule, with a curve for each attack. number: of the section on the page."""
    shown = table.ranked[0].rule if table.ranked else table.rules[0]
    charts = []
    for place, rule in enumerate(table.rules):
        cells = [(attack, table.cells.get((attack, rule))) for attack in table.attacks]
        drawn = _chart(f"Test accuracy of {rule} under all attacks", cells)
        charts.append(Curves(f"rule-{number}-{place}", rule, rule == shown, drawn))
    return charts


def _chart(label: str, cells: Sequence[tuple[str, Cell | None]]) -> Figure:
    lines = []
    for place, (name, cell) in enumerate(cells):
        if cell is not None:
            rounds, values = _mean_curve(cell)
            lines.append(svg.Line(name, svg.line_style(place), rounds, values))
    seeds = "" if all(cell is None or len(cell.records) == 1 for _, cell in cells) else ", mean over seeds"
    return svg.lines(label, lines, unit="test accuracy, %", legend=True), f"{label}, by round{seeds}."


def _mean_curve(cell: Cell) -> tuple[list[int], list[float]]:
    """Return the rounds in which a seed was tested, and the mean accuracy over the seeds that were."""
    by_round: dict[int, list[float]] = {}
    for record in cell.records:
        for round, metrics in enumerate(record.rounds):
            if metrics["accuracy"] is not None:
                by_round.setdefault(round, []).append(metrics["accuracy"])
    return sorted(by_round), [fmean(by_round[round]) for round in sorted(by_round)]
