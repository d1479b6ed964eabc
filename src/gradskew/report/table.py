"""Tabulate the accuracies of records by attack and rule. Reads records only."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from .. import report
from ..aggregators import MIXINGS, RULES, least_kappa
from ..attacks import ATTACKS
from ..core.errors import check
from ..data.own_source import origin_of
from ..federation.curve import RISING
from ..runs.record import Record
from ..runs.versions import CELL, changed_code, federation_key
from .cell import Cell, measure_of
from .described import count, describe
from .standing import Standing
from .tries import failed_share, is_asked


class Table:
    """The cells of (attack, rule), both in the order of the records.

    Raises InputError without records, and for records of different federations.
    """

    def __init__(self, records: Iterable[Record]):
        self.records = list({record.digest: record for record in records}.values())
        check(len(self.records) > 0, "a table needs at least one record")
        federations = [{key: value for key, value in r.spec.items() if key not in CELL} for r in self.records]
        for other in federations:
            first = federations[0]
            differing = [key for key in {**first, **other} if first.get(key) != other.get(key)]
            check(not differing, f"a table needs records of one federation: {', '.join(differing)} differ")
        sizes = {record.num_classes for record in self.records} - {None}
        check(len(sizes) < 2, "records of one data set differ in the number of classes")
        old = ", ".join(changed_code(self.records))
        check(not old, f"records of two versions of {old} (the file was changed): Store(folder).newest() has the last")
        cells: dict[tuple[str, str], list[Record]] = {}
        for record in self.records:
            cells.setdefault((record.spec["attack_name"], record.spec["aggregator_name"]), []).append(record)
        self.cells = {key: Cell(of_cell) for key, of_cell in cells.items()}
        self.attacks = list(dict.fromkeys(attack for attack, _ in cells))
        self.rules = list(dict.fromkeys(rule for _, rule in cells))

    def column(self, rule: str) -> dict[str, Cell]:
        """Return the cells of a rule by attack."""
        return {attack: self.cells[attack, rule] for attack in self.attacks if (attack, rule) in self.cells}

    @cached_property
    def measure(self) -> str:
        """Return what the accuracies in % are: `accuracy`, or what the loss is tested by."""
        return measure_of(self.records)

    @cached_property
    def compared(self) -> dict[tuple[str, str], Cell]:
        """Return the cells of the rules that were attacked; all cells if none was.

        A rule that ran without an attack alone, such as the mean of `gradskew skew`, limits no comparison to its seeds.
        """
        attacked = {rule for attack, rule in self.cells if attack != "none"}
        return {key: cell for key, cell in self.cells.items() if key[1] in attacked} or self.cells

    @cached_property
    def common_seeds(self) -> frozenset[int]:
        """Return the seeds that all compared cells have."""
        return frozenset.intersection(*(cell.seeds for cell in self.compared.values()))

    @cached_property
    def standings(self) -> dict[str, Standing]:
        """Return the standing of each rule that was attacked, in the order of the rules, on the common seeds if any."""
        seeds = self.common_seeds
        columns = {rule: self.column(rule) for _, rule in self.compared}
        if seeds:
            columns = {
                rule: {attack: cell.of_seeds(seeds) for attack, cell in cells.items()}
                for rule, cells in columns.items()
            }
        for cells in columns.values():
            for attack in cells.keys() & self.never_run:
                del cells[attack]
        standings = {rule: Standing(rule, cells.pop("none", None), cells) for rule, cells in columns.items()}
        return {rule: standing for rule, standing in standings.items() if standing.attacked}

    @cached_property
    def never_run(self) -> list[str]:
        """Return the attacks that were called in no round of any run, so that they say nothing of a rule."""
        return report.idle.never_run(self)

    @cached_property
    def ranked(self) -> list[Standing]:
        """Return the standings of the defences by falling worst found; in the rules' order if not `comparable`."""
        attacked = [self.standings[rule] for rule in self.defences if rule in self.standings]
        return sorted(attacked, key=lambda standing: -standing.worst.mean) if self.comparable else attacked

    @cached_property
    def comparable(self) -> bool:
        """Return whether the worst cases of the defences can be compared: over the same attacks, on the same seeds."""
        met = {frozenset(self.standings[rule].attacked) for rule in self.defences if rule in self.standings}
        return len(met) < 2 and len(self.common_seeds) > 0

    @cached_property
    def worst_attacks(self) -> dict[str, str]:
        """Return each rule's attack of lowest mean accuracy, if that is below its accuracy without an attack."""
        lowest = {rule: (each.attack, each.attacked[each.attack], each.usual) for rule, each in self.standings.items()}
        return {rule: name for rule, (name, cell, usual) in lowest.items() if usual is None or cell.mean < usual.mean}

    @property
    def least_kappa(self) -> float | None:
        """Return the least kappa that a rule can guarantee; None where half of the rows or more are Byzantine."""
        spec = self.records[0].spec
        n, f = spec["sampled"], math.ceil(spec["byzantine"] * spec["sampled"] / spec["clients"])
        return least_kappa(n, f) if n > 2 * f else None

    @cached_property
    def idle(self) -> dict[str, str]:
        """Return a sentence on each rule that was the mean in all of its runs."""
        return report.idle.idle(self)

    @cached_property
    def unmoved(self) -> list[str]:
        """Return the rules that never gave a finite aggregate, so that the model never moved."""
        return [rule for rule in self.rules if not any(cell.moved for cell in self.column(rule).values())]

    @cached_property
    def unasked(self) -> dict[str, list[str]]:
        """Return the attacks on most of whose tries a rule failed, by rule, none of the mean: they did not ask it."""
        others = {self.baseline, *self.idle, *self.unmoved}
        unasked = {
            rule: [attack for attack, cell in standing.attacked.items() if not is_asked(failed_share(cell.records))]
            for rule, standing in self.standings.items()
        }
        return {rule: attacks for rule, attacks in unasked.items() if attacks and rule not in others}

    @cached_property
    def baseline(self) -> str | None:
        """Return the rule that is no defence, the plain mean; None if it was not run."""
        return next((rule for rule in self.rules if (cls := RULES.find(rule)) and cls.baseline), None)

    @cached_property
    def defences(self) -> list[str]:
        """Return the rules that a verdict may judge: not the baseline, nor the idle, unmoved and unasked ones."""
        others = {self.baseline, *self.idle, *self.unmoved, *self.unasked}
        return [rule for rule in self.rules if rule not in others]

    @cached_property
    def honest(self) -> list[Record]:
        """Return the runs from which the skew is read: without an attack, under the plain mean, as far as possible."""
        key = min(self.cells, key=lambda key: (key[0] != "none", key[1] != self.baseline))
        return list(self.cells[key].records)

    @cached_property
    def federation(self) -> str:
        """Return one line on the simulated federation."""
        return f"{describe(self.records[0].spec)}; {self._seeds}"

    @property
    def _seeds(self) -> str:
        numbers = sorted(len(cell.seeds) for cell in self.cells.values())
        least, most = numbers[0], numbers[-1]
        if least != most:
            return f"{least} to {count(most, 'seed')} a cell"
        return count(most, "seed") + ("" if most == len(self.common_seeds) else " a cell, not the same in all")

    @property
    def data(self) -> Sequence[str]:
        """Return what is said of the data: how they were read and divided."""
        return next((record.data for record in self.records if record.data), ())

    @property
    def expected_share(self) -> float:
        """Return the Byzantine clients' share of all clients, in percent."""
        spec = self.records[0].spec
        return float(100 * spec["byzantine"] / spec["clients"])

    @property
    def legend(self) -> str:
        """Return what the marks of an accuracy mean, as far as the table has them."""
        cells = self.cells.values()
        spread = ", ± sample standard deviation over seeds" if any(len(cell.by_seed) > 1 for cell in cells) else ""
        return spread + (f", {RISING} still rising at the end" if any(cell.rises for cell in cells) else "")

    def panels(self) -> list[report.panels.Panel]:
        """Return three views: accuracy, Byzantine share of the weights, distance from the honest mean."""
        return report.panels.panels(self)

    @cached_property
    def statements(self) -> list[str]:
        """Return what the table says of attacks and rules, in sentences."""
        return report.verdict.statements(self)

    @property
    def verdict(self) -> str:
        """Return what the table says of attacks and rules, one sentence a line."""
        return "\n".join(self.statements)

    def to_csv(self) -> str:
        """Return results.csv as text: one row per run."""
        return self._csv

    @cached_property
    def _csv(self) -> str:
        return report.export.results_csv(self.records)

    def to_latex(self) -> str:
        """Return the accuracies as a LaTeX table for the package booktabs."""
        return report.export.latex(self)

    def to_pandas(self, rows: str = "runs") -> Any:
        """Return a pandas DataFrame with the rows and columns of results.csv; InputError without pandas.

        rows: `runs`, or `rounds` for one row per round: see `gradskew.rounds_to_pandas`.
        """
        return report.notebook.to_pandas(self, rows)

    def __repr__(self) -> str:
        return report.notebook.table_repr(self)

    def _repr_html_(self) -> str:
        return report.notebook.table_html(self)


def federations(records: Iterable[Record]) -> list[Table]:
    """Return a table for each federation of the records, with attacks and rules in the order of `gradskew list`.

    The tables are in the order of their federations' lines, numbers by value: 6 clients before 10; then of their files.
    """

    def place(table: Table) -> tuple[list[str | float], str, str]:
        return by_number(table.federation), origin_of(table.data), federation_key(table.records[0].spec)

    ordered = sorted(records, key=lambda record: (_sort_key(record.spec), record.spec["seed"]))
    return sorted(group(ordered), key=place)


def group(records: Iterable[Record]) -> list[Table]:
    """Return a table for each federation of the records, all in the order of the records."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(federation_key(record.spec), []).append(record)
    return list(map(Table, groups.values()))


def by_number(text: str) -> list[str | float]:
    """Return a sort key of a text that compares the numbers in it by value."""
    return [float(part) if i % 2 else part for i, part in enumerate(re.split(r"(\d+(?:\.\d+)?)", text))]


def _sort_key(spec: dict[str, Any]) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Return the sort key of a record: by attack, then by the rule's stages, rules without a mixing first."""
    names = stages(spec["aggregator"])
    rules = [(len(names), ""), *(_rank(name, [*MIXINGS, *RULES]) for name in names), (0, spec["aggregator_name"])]
    return [_rank(spec["attack"]["name"], list(ATTACKS)), (0, spec["attack_name"])], rules


def stages(aggregator: dict[str, Any]) -> list[str]:
    """Return the names of the mixings and, last, of the rule in the spec of a pipeline."""
    names: list[str] = []
    while "mixing" in aggregator:
        names, aggregator = [*names, aggregator["mixing"]["name"]], aggregator["rule"]
    return [*names, aggregator["name"]]


def _rank(name: str, known: list[str]) -> tuple[int, str]:
    """Return the index among the known names, and the name; a user's names come last."""
    return (known.index(name) if name in known else len(known), name)
