"""Folders side by side: the same attacks, rules and seeds in different federations, or with different code."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..core.csv_text import disarm
from .cell import Cell, measure_of
from .comparison import difference
from .settings import Axis, Settings, Value, value_text
from .sweep import WORST, cell_of, interval_text
from .table import Table


@dataclass(frozen=True)
class Row:
    """A rule in one panel at some values of the options that vary within the folders: a cell for each folder, or None.

    same_inputs: for each folder, whether it is tested on the inputs of the first.
    """

    panel: str
    values: Sequence[Value]
    rule: str
    cells: Sequence[Cell | None]
    same_inputs: Sequence[bool]

    def difference(self, number: int) -> tuple[float, float | None] | None:
        """Return the points of this folder above the first, paired by seeds, and half of the 95 % interval."""
        first, other = self.cells[0], self.cells[number]
        if first is None or other is None or not first.seeds & other.seeds:
            return None
        sizes = first.test_size, other.test_size
        return difference(first.by_seed, other.by_seed, *sizes, same_inputs=self.same_inputs[number])


@dataclass(frozen=True)
class Beside:
    """The comparison of several folders. names: of the folders. axes: the options that vary within them."""

    names: Sequence[str]
    axes: Sequence[Axis]
    rows: Sequence[Row]

    @cached_property
    def measure(self) -> str:
        """Return what the accuracies in % are."""
        return measure_of(record for row in self.rows for cell in row.cells if cell for record in cell.records)

    @property
    def legend(self) -> str:
        """Return what a difference is, as a sentence."""
        return (
            f"−: above {self.names[0]} in points, seed by seed over the seeds that both have, with half of the 95 % "
            "interval; with one seed there is none."
        )

    @cached_property
    def panels(self) -> list[str]:
        return list(dict.fromkeys(row.panel for row in self.rows))

    def sheet(self, panel: str) -> tuple[list[str], list[list[str]]]:
        """Return the head and the rows of the table of a panel: accuracies by folder, and differences to the first."""
        head = [*(axis.label for axis in self.axes), "rule", *self.names]
        head += [f"{name} − {self.names[0]}" for name in self.names[1:]]
        rows = []
        for row in self.rows:
            if row.panel == panel:
                texts = [*map(value_text, row.values), row.rule, *map(interval_text, row.cells)]
                rows.append([*texts, *(_difference_text(row.difference(i)) for i in range(1, len(self.names)))])
        return head, rows

    def to_csv(self) -> str:
        """Return comparison.csv as text: by attack (and the worst found), rule and folder, means over common seeds."""
        content = io.StringIO()
        lines = csv.writer(content, lineterminator="\n")
        head = ["attack", "rule", "first", "other", "seeds", "first_mean", "other_mean", "difference", "half_width"]
        lines.writerow([*(disarm(axis.name) for axis in self.axes), *head])
        for row in self.rows:
            for i, name in enumerate(self.names[1:], 1):
                first, other, found = row.cells[0], row.cells[i], row.difference(i)
                if first is not None and other is not None and found is not None:
                    points, half = found
                    seeds = first.seeds & other.seeds
                    means = [cell.of_seeds(seeds).mean for cell in (first, other)]
                    numbers = [str(len(seeds)), *(f"{mean:.4f}" for mean in means)]
                    numbers += [f"{points:.4f}", "" if half is None else f"{half:.4f}"]
                    texts = [*map(value_text, row.values), row.panel, row.rule, self.names[0], name]
                    lines.writerow([*map(disarm, texts), *numbers])
        return content.getvalue()


def beside(folders: Mapping[str, Sequence[Table]]) -> Beside | None:
    """Return the comparison of folders, each with its tables by name; None where nothing can be compared.

    Compared are the cells of one attack and rule that have a common seed in the first folder and in another one, as
    different runs. The options that have one value in each folder tell the folders apart; at the values of all others
    like is compared with like. The parts of one grid have no run in common, and are not compared.
    """
    owners = [name for name, tables in folders.items() for _ in tables]
    tables = [table for of_folder in folders.values() for table in of_folder]
    if sum(bool(of_folder) for of_folder in folders.values()) < 2:
        return None
    settings = Settings.of(tables)
    at = [dict(zip((axis.name for axis in settings.axes), settings.at(i), strict=True)) for i in range(len(tables))]
    apart = [
        axis for axis in settings.axes if _is_constant([(o, v[axis.name]) for o, v in zip(owners, at, strict=True)])
    ]
    within = [axis for axis in settings.axes if axis not in apart]
    placed: dict[tuple[Value, ...], dict[str, Table]] = {}
    for owner, values, table in zip(owners, at, tables, strict=True):
        placed.setdefault(tuple(values[axis.name] for axis in within), {})[owner] = table
    rows = [
        row
        for values, by_folder in sorted(placed.items(), key=lambda item: _places(within, item[0]))
        for row in _rows(values, [by_folder.get(name) for name in folders])
    ]
    if not rows:
        return None
    attacks = list(dict.fromkeys(row.panel for row in rows))
    ordered = sorted(rows, key=lambda row: (row.panel != WORST, attacks.index(row.panel)))
    names = []
    for name in folders:
        values = next(value for owner, value in zip(owners, at, strict=True) if owner == name) if name in owners else {}
        said = ", ".join(f"{axis.name} {value_text(values[axis.name])}" for axis in apart if axis.name in values)
        names.append(f"{name} ({said})" if said else name)
    return Beside(names, within, ordered)


def _rows(values: Sequence[Value], tables: Sequence[Table | None]) -> list[Row]:
    """Return the rows of tables of one setting, one for each folder: those with something to compare."""
    known = [table for table in tables if table is not None]
    attacks = list(dict.fromkeys(attack for table in known for attack in table.attacks))
    rules = list(dict.fromkeys(rule for table in known for rule in table.rules))
    specs = [{} if table is None else table.records[0].spec for table in tables]
    tested = [(spec.get("data_sha256"), spec.get("validation")) for spec in specs]
    rows = []
    for panel in (WORST, *attacks):
        for rule in rules:
            cells = [None if table is None else cell_of(table, panel, rule) for table in tables]
            row = Row(panel, values, rule, cells, [each == tested[0] for each in tested])
            if cells[0] is not None and any(_differ(cells[0], cell) for cell in cells[1:] if cell is not None):
                rows.append(row)
    return rows


def _differ(first: Cell, other: Cell) -> bool:
    """Return whether two cells have a common seed, and for it different runs."""
    runs = {record.spec["seed"]: record.digest for record in first.records}
    return any(runs.get(each.spec["seed"], each.digest) != each.digest for each in other.records)


def _is_constant(pairs: Sequence[tuple[str, Value]]) -> bool:
    """Return whether each folder has one value. pairs: folder and value."""
    return len(set(pairs)) == len({owner for owner, _ in pairs})


def _places(axes: Sequence[Axis], values: Sequence[Value]) -> list[int]:
    return [axis.values.index(value) for axis, value in zip(axes, values, strict=True)]


def _difference_text(found: tuple[float, float | None] | None) -> str:
    """Return a difference and half of its interval as text; a dash without one."""
    if found is None:
        return "–"
    points, half = found
    return f"{points:+.1f}" if half is None else f"{points:+.1f} ±{half:.1f}"
