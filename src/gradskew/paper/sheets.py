"""Lay out accuracies as the paper's tables, beside the accuracies that the paper prints."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from statistics import fmean

from ..attacks import Adaptive
from ..federation.curve import RISING
from ..federation.schema import LAST
from ..report.cell import Cell
from ..report.comparison import level_with
from ..report.described import count
from ..report.export import escape_markdown, grid
from ..report.standing import Standing
from ..runs.record import Record
from .catalogue import ATTACKS

DATASETS = {"cifar10": "CIFAR-10", "imagenet12": "ImageNet-12", "imagenette": "ImageNet-12", "femnist": "FEMNIST"}
STRIKE, UNATTACKED = ATTACKS["strike"], "none"
WORST = "worst found"

Key = tuple[str, str]


@dataclass(frozen=True)
class Printed:
    """An accuracy in percent that the paper prints; std: None where it prints none."""

    mean: float
    std: float | None

    @property
    def text(self) -> str:
        return f"{self.mean:.1f}" if self.std is None else f"{self.mean:.1f} ±{self.std:.1f}"


def published(table: str, dataset: str) -> dict[Key, Printed]:
    """Return the paper's accuracies of a table by (attack, rule); for Imagenette, those of its ImageNet-12."""
    text = resources.files(__package__).joinpath("published.csv").read_text(encoding="utf-8")
    accuracies = {}
    for line in csv.DictReader(text.splitlines()):
        if (line["table"], line["dataset"]) == (table, DATASETS.get(dataset)):
            rule = " + ".join(filter(None, (line["mixing"], line["aggregator"])))
            std = float(line["accuracy_std"]) if line["accuracy_std"] else None
            accuracies[line["attack"], rule] = Printed(float(line["accuracy_mean"]), std)
    return accuracies


@dataclass(frozen=True)
class Sheet:
    """One table: records by (row, column), empty where missing, and the paper's accuracies.

    rows_are, columns_are: the headings, such as `attack` and `rule`.
    """

    title: str
    rows_are: str
    columns_are: str
    records: Mapping[Key, Sequence[Record]]
    paper: Mapping[Key, Printed]

    @cached_property
    def cells(self) -> dict[Key, Cell]:
        return {key: Cell(records) for key, records in self.records.items() if records}

    @cached_property
    def rows(self) -> list[str]:
        return list(dict.fromkeys(row for row, _ in self.records))

    @cached_property
    def columns(self) -> list[str]:
        return list(dict.fromkeys(column for _, column in self.records))

    def ours(self, column: str) -> dict[str, float]:
        """Return our accuracies in a column by row, without the row of no attack."""
        rows = [row for row in self.rows if row != UNATTACKED and (row, column) in self.cells]
        return {row: self.cells[row, column].mean for row in rows}

    def theirs(self, column: str) -> dict[str, float]:
        """Return the paper's accuracies in a column by row, for our rows."""
        return {row: self.paper[row, column].mean for row in self.ours(column) if (row, column) in self.paper}

    @cached_property
    def is_searched(self) -> bool:
        """Whether attacks that search for the worst of a rule were played: then the worst found has a row."""
        records = (record for cell in self.cells.values() for record in cell.records)
        return any(record.spec.get("attack", {}).get("name") == Adaptive.key for record in records)

    def worst(self, column: str) -> Cell | None:
        """Return the worst found in a column: for each seed the run of the least accuracy under an attack."""
        attacked = {row: self.cells[row, column] for row in self.ours(column)}
        return Standing(column, None, attacked).worst if attacked else None

    def lines(self) -> Iterator[tuple[str, list[tuple[str, bool]]]]:
        """Yield each row's name and cells: a text `43.2 / 42.9 ±2.0` (ours / the paper's), whether ours is the lowest.

        After them the worst found, if attacks searched for it; the last row has the rank of STRIKE in each column,
        where 1 is the lowest.
        """
        for row in self.rows:
            line = []
            for column in self.columns:
                both = (self.cells.get((row, column)), self.paper.get((row, column)))
                ours = self.ours(column)
                lowest = len(ours) > 1 and ours.get(row) == min(ours.values())
                line.append((" / ".join(each.text for each in both if each), lowest))
            yield row, line
        if self.is_searched:
            yield WORST, [(cell.text if (cell := self.worst(column)) else "", False) for column in self.columns]
        ranks = [(rank(self.ours(column)), rank(self.theirs(column))) for column in self.columns]
        if any(ours for ours, _ in ranks):
            yield "rank of STRIKE", [(" / ".join(filter(None, pair)), False) for pair in ranks]

    def tells_apart(self, column: str) -> bool:
        """Return whether STRIKE can be told apart from all other attacks in a column, by `comparison.level_with`."""
        rows = {row: [self.cells[row, column].by_seed] for row in self.ours(column)}
        return not level_with(STRIKE, rows, self.cells[STRIKE, column].test_size)

    def order(self, column: str) -> float | None:
        """Return Kendall's tau between our order of the rows and the paper's; None where either is constant."""
        from scipy.stats import kendalltau  # takes half a second

        theirs = self.theirs(column)
        ours = [self.ours(column)[row] for row in theirs]
        if len(set(ours)) < 2 or len(set(theirs.values())) < 2:
            return None
        return float(kendalltau(ours, list(theirs.values())).statistic)


def rank(values: Mapping[str, float]) -> str:
    """Return the rank of STRIKE: `2 of 7` where one value is lower; equal values share it. Empty without others."""
    if STRIKE not in values or len(values) < 2:
        return ""
    return f"{1 + sum(value < values[STRIKE] for value in values.values())} of {len(values)}"


def conclusions(sheet: Sheet) -> list[str]:
    """Return sentences on the columns in which STRIKE is lowest, and on the correlation of the orders of attacks."""
    lines = []
    for where, values in (("here", sheet.ours), ("in the paper", sheet.theirs)):
        columns = {column: rows for column in sheet.columns if STRIKE in (rows := values(column)) and len(rows) > 1}
        others = {
            column: min(value for row, value in rows.items() if row != STRIKE) for column, rows in columns.items()
        }
        lowest = [column for column, rows in columns.items() if rows[STRIKE] < others[column]]
        level = [column for column, rows in columns.items() if rows[STRIKE] == others[column]]
        if columns:
            named = f" ({', '.join(lowest)})" if 0 < len(lowest) < len(columns) else ""
            same = f", level with the lowest in {len(level)} ({', '.join(level)})" if level else ""
            lines.append(f"STRIKE is lowest in {len(lowest)} of {count(len(columns), 'column')} {where}{named}{same}.")
        apart = [column for column in lowest if where == "here" and sheet.tells_apart(column)]
        if lowest and where == "here" and any(len(cell.by_seed) > 1 for cell in sheet.cells.values()):
            lines.append(f"By paired differences it is told apart from all others in {len(apart)} of these.")
    orders = {column: tau for column in sheet.columns if (tau := sheet.order(column)) is not None}
    if orders:
        each = ", ".join(f"{column} {tau:+.2f}" for column, tau in orders.items())
        lines.append(
            f"Kendall's tau-b between our order of attacks and the paper's: {fmean(orders.values()):+.2f} ({each})."
        )
    if lines and all(len(cell.records) == 1 for cell in sheet.cells.values()):
        lines.append("One seed: differences of a few points may be chance.")
    return lines


def caption(sheets: Sequence[Sheet], dataset: str) -> str:
    """Return the caption of the sheets. dataset: its key."""
    beside = f"; ours / the paper's on {DATASETS[dataset]}" if any(sheet.paper for sheet in sheets) else ""
    spread = "± standard deviation over seeds (ours: sample, n - 1)"
    end = f"mean of the last rounds (a fifth of all, at most {LAST})"
    rising = any(cell.rises for sheet in sheets for cell in sheet.cells.values())
    mark = f", {RISING} still rising at the end" if rising else ""
    worst = f"; {WORST}: the least of each seed over the attacks" if any(sheet.is_searched for sheet in sheets) else ""
    return f"Test accuracy in %, {end}, {spread}{mark}{beside}{worst}; rank 1 is the lowest."


def markdown(sheet: Sheet) -> str:
    """Return the sheet as a Markdown table, our lowest accuracy of each column in bold, and its conclusions."""
    head = [f"{sheet.rows_are} \\ {sheet.columns_are}", *sheet.columns]
    title = [f"### {escape_markdown(sheet.title)}", ""] if sheet.title else []
    return "\n".join([*title, *grid(head, sheet.lines()), "", *map(escape_markdown, conclusions(sheet)), ""])
