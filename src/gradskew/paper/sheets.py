"""Accuracies laid out as the paper prints them, beside its own figures."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from statistics import fmean

from ..federation.schema import LAST
from ..report.export import grid, plain
from ..report.standing import Cell
from ..report.table import count
from ..runs.record import Record

DATASETS = {"cifar10": "CIFAR-10", "imagenet12": "ImageNet-12", "imagenette": "ImageNet-12", "femnist": "FEMNIST"}
STRIKE, UNATTACKED = "STRIKE", "none"

Key = tuple[str, str]


@dataclass(frozen=True)
class Figure:
    """An accuracy that the paper prints, in percent; std: None where it prints none."""

    mean: float
    std: float | None

    @property
    def text(self) -> str:
        return f"{self.mean:.1f}" if self.std is None else f"{self.mean:.1f} ±{self.std:.1f}"


def published(table: str, dataset: str) -> dict[Key, Figure]:
    """What the paper prints for (attack, rule) in this table; Imagenette stands in for its ImageNet-12."""
    text = resources.files(__package__).joinpath("published.csv").read_text(encoding="utf-8")
    figures = {}
    for line in csv.DictReader(text.splitlines()):
        if (line["table"], line["dataset"]) == (table, DATASETS.get(dataset)):
            rule = " + ".join(filter(None, (line["mixing"], line["aggregator"])))
            std = float(line["accuracy_std"]) if line["accuracy_std"] else None
            figures[line["attack"], rule] = Figure(float(line["accuracy_mean"]), std)
    return figures


@dataclass(frozen=True)
class Sheet:
    """One table: records by (row, column), none where they are missing, and the paper's figures.

    rows_are, columns_are: what they list.
    """

    title: str
    rows_are: str
    columns_are: str
    records: Mapping[Key, Sequence[Record]]
    paper: Mapping[Key, Figure]

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
        """Our accuracies in a column by row, the attacked ones only."""
        rows = [row for row in self.rows if row != UNATTACKED and (row, column) in self.cells]
        return {row: self.cells[row, column].mean for row in rows}

    def theirs(self, column: str) -> dict[str, float]:
        """The paper's accuracies in a column, in those rows that we have too."""
        return {row: self.paper[row, column].mean for row in self.ours(column) if (row, column) in self.paper}

    def lines(self) -> Iterator[tuple[str, list[tuple[str, bool]]]]:
        """Row by row the text of each cell, `43.2 / 42.9 ±2.0` (ours / the paper's), and whether ours is the lowest of
        its column; then the rank of STRIKE in each column, where 1 is the lowest."""
        for row in self.rows:
            line = []
            for column in self.columns:
                found = (self.cells.get((row, column)), self.paper.get((row, column)))
                ours = self.ours(column)
                lowest = len(ours) > 1 and ours.get(row) == min(ours.values())
                line.append((" / ".join(figure.text for figure in found if figure), lowest))
            yield row, line
        ranks = [(ranked(self.ours(column)), ranked(self.theirs(column))) for column in self.columns]
        if any(ours for ours, _ in ranks):
            yield "rank of STRIKE", [(" / ".join(filter(None, both)), False) for both in ranks]

    def order(self, column: str) -> float | None:
        """Kendall's tau between our order of the rows and the paper's; None where either has none."""
        from scipy.stats import kendalltau  # half a second, and only here

        theirs = self.theirs(column)
        ours = [self.ours(column)[row] for row in theirs]
        if len(set(ours)) < 2 or len(set(theirs.values())) < 2:
            return None
        return float(kendalltau(ours, list(theirs.values())).statistic)


def ranked(values: Mapping[str, float]) -> str:
    """The rank of STRIKE: `2 of 7` where one value is lower; equal values share it. Empty if there is no other."""
    if STRIKE not in values or len(values) < 2:
        return ""
    return f"{1 + sum(value < values[STRIKE] for value in values.values())} of {len(values)}"


def conclusions(sheet: Sheet) -> list[str]:
    """In how many columns STRIKE is lowest, here and in the paper, and how alike the two orders of attacks are."""
    lines = []
    for where, values in (("here", sheet.ours), ("in the paper", sheet.theirs)):
        others = {
            column: dict(found) for column in sheet.columns if STRIKE in (found := values(column)) and len(found) > 1
        }
        strike = {column: found.pop(STRIKE) for column, found in others.items()}
        lowest = [column for column, found in others.items() if strike[column] < min(found.values())]
        level = [column for column, found in others.items() if strike[column] == min(found.values())]
        if others:
            named = f" ({', '.join(lowest)})" if 0 < len(lowest) < len(others) else ""
            same = f", level with the lowest in {len(level)} ({', '.join(level)})" if level else ""
            lines.append(f"STRIKE is lowest in {len(lowest)} of {count(len(others), 'column')} {where}{named}{same}.")
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
    """What the numbers of these sheets are; dataset: by its key."""
    beside = f"; ours / the paper's on {DATASETS[dataset]}" if any(sheet.paper for sheet in sheets) else ""
    spread = "± standard deviation over seeds (ours divided by their count)"
    return f"Test accuracy in %, mean of the last rounds (at most {LAST}), {spread}{beside}; rank 1 is the lowest."


def markdown(sheet: Sheet) -> str:
    """The sheet as a Markdown table, our lowest accuracy of each column in bold, and its conclusions."""
    head = [f"{sheet.rows_are} \\ {sheet.columns_are}", *sheet.columns]
    title = [f"### {plain(sheet.title)}", ""] if sheet.title else []
    return "\n".join([*title, *grid(head, sheet.lines()), "", *map(plain, conclusions(sheet)), ""])
