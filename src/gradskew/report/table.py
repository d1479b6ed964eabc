"""Tabulate the accuracies of records by attack and rule. Reads records only."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .. import report
from ..aggregators import MIXINGS, RULES
from ..attacks import ATTACKS
from ..core.errors import check
from ..core.grammar import format_value
from ..core.names import canonical
from ..runs.record import Record
from .standing import RISING, Cell, Standing

# The fields of a spec in which the records of one table may differ.
CELL = ("attack", "attack_name", "aggregator", "aggregator_name", "seed", "user_code")
LEAST_SCALE = 10.0  # the least span of the colours, in points of accuracy


@dataclass(frozen=True)
class Panel:
    """One view of the table, for the rules that have it. entries: by (attack, rule), a text and its harm, 0 to 1.

    name: in a word or two. ends: the values of harm 0 and 1, with their unit. cut: whether more harm looks like 1.
    """

    title: str
    rules: Sequence[str]
    entries: dict[tuple[str, str], tuple[str, float]]
    name: str = ""
    ends: tuple[float, float] = (0.0, 1.0)
    unit: str = ""
    cut: bool = False


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
    def standings(self) -> dict[str, Standing]:
        """Return the standing of each rule that was attacked, in the order of the rules."""
        columns = {rule: self.column(rule) for rule in self.rules}
        standings = {rule: Standing(rule, cells.pop("none", None), cells) for rule, cells in columns.items()}
        return {rule: standing for rule, standing in standings.items() if standing.attacked}

    @cached_property
    def ranked(self) -> list[Standing]:
        """Return the standings of the defences, best worst case first."""
        attacked = [self.standings[rule] for rule in self.defences if rule in self.standings]
        return sorted(attacked, key=lambda standing: -standing.worst.mean)

    @cached_property
    def worst_attacks(self) -> dict[str, str]:
        """Return each rule's attack of lowest accuracy, if that is below its accuracy without an attack."""
        return {rule: standing.attack for rule, standing in self.standings.items() if standing.is_hurt}

    @cached_property
    def idle(self) -> dict[str, str]:
        """Return a sentence on each rule that was the mean in all of its runs."""
        sentences = {rule: self._idle(rule) for rule in self.rules}
        return {rule: sentence for rule, sentence in sentences.items() if sentence}

    def _idle(self, rule: str) -> str:
        records = [record for cell in self.column(rule).values() for record in cell.records]
        stage = records[0].spec["aggregator"]
        while "mixing" in stage:
            stage = stage["rule"]
        method = RULES.find(stage["name"])
        notes = [metrics["rule"] for record in records for metrics in record.rounds]
        sentence = method.idle(rule, notes) if method else ""
        if not sentence and rule != self.baseline and all(map(self._equals_baseline, records)):
            return f"{rule} gave the accuracy of {self.baseline} in every round of every run: it is no defence here."
        return sentence

    def _equals_baseline(self, record: Record) -> bool:
        """Return whether a run is that of the plain mean: all accuracies, and the first aggregate up to rounding."""
        cell = self.cells.get((record.spec["attack_name"], self.baseline or ""))
        same = [other for other in cell.records if other.spec["seed"] == record.spec["seed"]] if cell else []
        if not same or record.accuracies != same[0].accuracies:
            return False
        first, mean = record.rounds[0]["distance"], same[0].rounds[0]["distance"]
        return None not in (first, mean) and math.isclose(first, mean, rel_tol=1e-4, abs_tol=1e-6)

    @cached_property
    def unmoved(self) -> list[str]:
        """Return the rules that never gave a finite aggregate, so that the model never moved."""
        return [rule for rule in self.rules if not any(cell.moved for cell in self.column(rule).values())]

    @cached_property
    def baseline(self) -> str | None:
        """Return the rule that is no defence, the plain mean; None if it was not run."""
        return next((rule for rule in self.rules if (cls := RULES.find(rule)) and cls.baseline), None)

    @cached_property
    def defences(self) -> list[str]:
        """Return the rules that a verdict may judge: not the baseline, nor the idle and unmoved ones."""
        return [rule for rule in self.rules if rule not in (self.baseline, *self.idle, *self.unmoved)]

    @cached_property
    def honest(self) -> list[Record]:
        """Return the runs from which the skew is read: without an attack, under the plain mean, as far as possible."""
        key = min(self.cells, key=lambda key: (key[0] != "none", key[1] != self.baseline))
        return list(self.cells[key].records)

    @cached_property
    def federation(self) -> str:
        """Return one line on the simulated federation."""
        spec = self.records[0].spec
        sampled = "" if spec["sampled"] == spec["clients"] else f", {spec['sampled']} a round"
        known = "" if spec["knowledge"] == 1 else f", attacker knows {100 * spec['knowledge']:g} % of the honest"
        sgd, seeds = spec["sgd"], len({record.spec["seed"] for record in self.records})
        return (
            f"{spec['dataset']}, {with_options(spec['model'])}; {count(spec['clients'], 'client')}{sampled}, "
            f"{spec['byzantine']} Byzantine{known}; {with_options(spec['partition'])}; "
            f"{count(spec['rounds'], 'round')} of {count(sgd['epochs'], 'epoch')}, batch {sgd['batch']}, "
            f"lr {sgd['lr']:g}; {count(seeds, 'seed')}"
        )

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

    def panels(self) -> list[Panel]:
        """Return three views: accuracy, Byzantine share of the weights, distance from the honest mean."""
        reference = max(cell.mean for cell in self.cells.values())
        scale = max(LEAST_SCALE, *(reference - cell.mean for cell in self.cells.values()))
        accuracy = self._panel(
            f"Test accuracy in %{self.legend}: the redder, the lower",
            lambda key: (self.cells[key].text, (reference - self.cells[key].mean) / scale),
            name="accuracy",
            ends=(reference, reference - scale),
            unit=" %",
        )
        share = self._panel(
            f"Byzantine rows' share of the weights in % ({self.expected_share:.0f} % of the clients are Byzantine)",
            lambda key: self._share(self.cells[key]),
            name="Byzantine weight",
            ends=(0, 2 * (self.expected_share or 50)),
            unit=" %",
            cut=True,
        )
        distance = self._panel(
            "Distance of the aggregate from the honest mean, as a multiple of the same rule's without attack",
            lambda key: self._distance(*key),
            name="distance",
            ends=(0, 5),
            cut=True,
        )
        return [panel for panel in (accuracy, share, distance) if panel.rules]

    @property
    def verdict(self) -> str:
        """Return what the table says of attacks and rules, one sentence a line."""
        return "\n".join(report.verdict.statements(self))

    def to_csv(self) -> str:
        """Return results.csv as text: one row per run."""
        return report.export.results_csv(self.records)

    def to_latex(self) -> str:
        """Return the accuracies as a LaTeX table for the package booktabs."""
        return report.export.latex(self)

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame with the rows and columns of results.csv; InputError without pandas."""
        return report.notebook.to_pandas(self)

    def __repr__(self) -> str:
        return report.notebook.table_repr(self)

    def _repr_html_(self) -> str:
        return report.notebook.table_html(self)

    def _panel(self, title: str, entry: Callable[[tuple[str, str]], tuple[str, float] | None], **scale: Any) -> Panel:
        entries = {key: view for key in self.cells if (view := entry(key)) is not None}
        rules = [rule for rule in self.rules if any(rule == other for _, other in entries)]
        return Panel(title, rules, entries, **scale)

    def _share(self, cell: Cell) -> tuple[str, float] | None:
        share = cell.average("byzantine_share")
        return None if share is None else (f"{100 * share:.0f}", 50 * share / (self.expected_share or 50))

    def _distance(self, attack: str, rule: str) -> tuple[str, float] | None:
        distance = self.cells[attack, rule].average("distance")
        usual = self.cells["none", rule].average("distance") if ("none", rule) in self.cells else None
        if distance is None or not usual:
            return None
        return f"{distance / usual:.1f}", 0.06 + 0.19 * distance / usual  # pale blue at 1, red from 5 on


def federations(records: Iterable[Record]) -> list[Table]:
    """Return a table for each federation of the records, with attacks and rules in the order of `gradskew list`.

    The tables are in the order of their federations' lines, numbers by value: 6 clients before 10.
    """
    ordered = sorted(records, key=lambda record: (_sort_key(record.spec), record.spec["seed"]))
    groups: dict[str, list[Record]] = {}
    for record in ordered:
        groups.setdefault(federation_key(record.spec), []).append(record)
    tables = {key: Table(of_key) for key, of_key in groups.items()}
    return [tables[key] for key in sorted(tables, key=lambda key: (_by_number(tables[key].federation), key))]


def federation_key(spec: dict[str, Any]) -> str:
    """Return the settings in which the records of one table agree, as text."""
    return canonical({key: value for key, value in spec.items() if key not in CELL})


def _by_number(text: str) -> list[str | float]:
    """Return a sort key of a text that compares the numbers in it by value."""
    return [float(part) if i % 2 else part for i, part in enumerate(re.split(r"(\d+(?:\.\d+)?)", text))]


def _sort_key(spec: dict[str, Any]) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Return the sort key of a record: by attack, then by the rule's stages, rules without a mixing first."""
    stages: list[str] = []
    attack, rule = spec["attack"]["name"], spec["aggregator"]
    while "mixing" in rule:
        stages, rule = [*stages, rule["mixing"]["name"]], rule["rule"]
    stages.append(rule["name"])
    rules = [(len(stages), ""), *(_rank(stage, [*MIXINGS, *RULES]) for stage in stages), (0, spec["aggregator_name"])]
    return [_rank(attack, list(ATTACKS)), (0, spec["attack_name"])], rules


def _rank(name: str, known: list[str]) -> tuple[int, str]:
    """Return the index among the known names, and the name; a user's names come last."""
    return (known.index(name) if name in known else len(known), name)


def count(number: int, noun: str) -> str:
    """Return a number with its noun in singular or plural: 1 round, 2 rounds."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def with_options(part: dict[str, Any]) -> str:
    """Return the name of a model or partition with its options, as it is written: mlp(hidden=32)."""
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in part.items()}
    options = ",".join(f"{name}={format_value(value)}" for name, value in values.items() if name != "name")
    return f"{part['name']}({options})" if options else str(part["name"])
