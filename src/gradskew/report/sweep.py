"""The federations of a sweep, side by side: their accuracies by the values of the options in which they differ."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..core.csv_text import disarm
from ..core.errors import check
from ..core.html import html_table
from .cell import Cell, measure_of
from .described import count
from .export import results_csv
from .settings import Axis, Settings, Value, value_text
from .table import Table

WORST = "worst found"  # the name of the panel with the worst found, beside those of the attacks
Lines = list[tuple[str, list[Cell | None]]]


@dataclass(frozen=True)
class Curve:
    """An axis of numbers, with the table of each of its values; None for a value without one.

    fixed: the values of the other axes, by name.
    """

    axis: Axis
    fixed: Sequence[tuple[str, Value]]
    tables: Sequence[Table | None]

    @property
    def measure(self) -> str:
        """Return what the accuracies in % are."""
        return measure_of(record for table in self.tables if table for record in table.records)

    @property
    def where(self) -> str:
        """Return the values of the other axes as text."""
        return ", ".join(f"{name} = {value_text(value)}" for name, value in self.fixed)


class Sweep(Sequence[Table]):
    """The tables of several federations, one each.

    axes: the options in which they differ. attacks, rules: those of any of the tables, in their order.
    """

    def __init__(self, tables: Sequence[Table]):
        check(len(tables) > 0, "a sweep needs at least one table")
        settings = Settings.of(tables)
        self.axes = settings.axes
        ranks = [
            [axis.values.index(value) for axis, value in zip(self.axes, settings.at(i), strict=True)]
            for i in range(len(tables))
        ]
        order = sorted(range(len(tables)), key=lambda i: ranks[i])
        self.tables = [tables[i] for i in order]
        self.values = [settings.at(i) for i in order]
        self.attacks = list(dict.fromkeys(attack for table in self.tables for attack in table.attacks))
        self.rules = list(dict.fromkeys(rule for table in self.tables for rule in table.rules))

    @cached_property
    def measure(self) -> str:
        """Return what the accuracies in % are."""
        return measure_of(record for table in self.tables for record in table.records)

    def __getitem__(self, item: int) -> Table:  # type: ignore[override]
        return self.tables[item]

    def __len__(self) -> int:
        return len(self.tables)

    def label(self, table: Table) -> str:
        """Return the values in which a table of the sweep differs from the others, as text."""
        place = next(i for i, other in enumerate(self.tables) if other is table)
        pairs = zip(self.axes, self.values[place], strict=True)
        return ", ".join(f"{axis.name} {value_text(value)}" for axis, value in pairs)

    @property
    def panels(self) -> list[str]:
        """Return what there is to show: the worst found, if a rule was attacked, and each attack."""
        attacked = any(table.standings for table in self.tables)
        return [*([WORST] if attacked else []), *self.attacks]

    def lines(self, panel: str, tables: Sequence[Table | None]) -> Lines:
        """Return each rule with its cell in every table, None where there is none; rules without any are left out."""
        columns = [
            (rule, [None if table is None else cell_of(table, panel, rule) for table in tables]) for rule in self.rules
        ]
        return [(rule, cells) for rule, cells in columns if any(cells)]

    @cached_property
    def curves(self) -> list[Curve]:
        """Each axis of numbers with every combination of the other axes that has two of its values or more."""
        made = []
        for place, axis in enumerate(self.axes):
            groups: dict[tuple[Value, ...], dict[Value, Table]] = {}
            for values, table in zip(self.values, self.tables, strict=True) if axis.is_numeric else ():
                groups.setdefault(values[:place] + values[place + 1 :], {})[values[place]] = table
            names = [other.name for other in self.axes if other is not axis]
            for fixed, by_value in groups.items():
                if len(by_value) > 1:
                    of_values = [by_value.get(value) for value in axis.values]
                    made.append(Curve(axis, list(zip(names, fixed, strict=True)), of_values))
        return made

    def sheet(self, panel: str) -> tuple[list[str], list[list[str]]]:
        """Return the head and the rows of the table of a panel, a row for each federation: mean and half interval."""
        lines = self.lines(panel, self.tables)
        rows = [
            [*map(value_text, values), *(interval_text(cells[i]) for _, cells in lines)]
            for i, values in enumerate(self.values)
        ]
        return [*(axis.label for axis in self.axes), *(rule for rule, _ in lines)], rows

    @property
    def summary(self) -> str:
        """Return a sentence on the federations and the options in which they differ."""
        options = [
            f"{axis.name} ({', '.join(map(value_text, axis.values))})"
            + (f", and with it {', '.join(axis.follows)}" if axis.follows else "")
            for axis in self.axes
        ]
        return f"{count(len(self), 'federation')}, by {'; '.join(options)}."

    def to_csv(self) -> str:
        """Return results.csv as text: one row per run."""
        return results_csv(record for table in self.tables for record in table.records)

    def to_sweep_csv(self) -> str:
        """Return sweep.csv as text: a row for each federation, attack (and the worst found) and rule."""
        content = io.StringIO()
        rows = csv.writer(content, lineterminator="\n")
        rows.writerow([*(disarm(axis.name) for axis in self.axes), "attack", "rule", "seeds", "mean", "half_width"])
        for panel in self.panels:
            for rule, cells in self.lines(panel, self.tables):
                for values, cell in zip(self.values, cells, strict=True):
                    if cell is not None:
                        width = "" if cell.half_width is None else f"{cell.half_width:.4f}"
                        numbers = [len(cell.by_seed), f"{cell.mean:.4f}", width]
                        rows.writerow([*map(disarm, map(value_text, values)), disarm(panel), disarm(rule), *numbers])
        return content.getvalue()

    def __repr__(self) -> str:
        return "\n".join([self.summary, *map(repr, self.tables)])

    def _repr_html_(self) -> str:
        shown = [(panel, self.sheet(panel)) for panel in self.panels]
        parts = [html_table(f"{panel}, {self.measure} in %", rows, head=head) for panel, (head, rows) in shown]
        return "\n".join([html_table(self.summary, []), *parts])


def cell_of(table: Table, panel: str, rule: str) -> Cell | None:
    """Return the cell of a rule in a panel of a table; None without one."""
    if panel == WORST:
        standing = table.standings.get(rule)
        return None if standing is None else standing.worst
    return table.cells.get((panel, rule))


def interval_text(cell: Cell | None) -> str:
    """Return the mean and half of its 95 % interval as text; a dash without a cell."""
    if cell is None:
        return "–"
    return cell.mean_text if cell.half_width is None else f"{cell.mean_text} ±{cell.half_width:.1f}"


def sweep_of(tables: Sequence[Table]) -> Sweep | None:
    """Return the sweep of several federations; None for one, or for federations that share no rule."""
    if len(tables) < 2:
        return None
    sweep = Sweep(tables)
    shared = any(sum(cell is not None for cell in cells) > 1 for _, cells in _columns(sweep))
    return sweep if shared and sweep.axes else None


def _columns(sweep: Sweep) -> Iterator[tuple[str, list[Cell | None]]]:
    for panel in sweep.panels:
        yield from sweep.lines(panel, sweep.tables)
