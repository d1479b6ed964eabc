"""Sentences on attacks that aim at a pair of classes: how many test inputs of one are taken for the other."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean

from ..federation.metrics import SUCCESS
from ..federation.schema import LAST
from ..runs.record import Record
from .cell import accuracy_text
from .table import Table


def successes(table: Table) -> Iterator[str]:
    """Yield for each such attack its success against each rule: the mean over seeds, of the last rounds."""
    for attack in table.attacks:
        found: dict[str, list[float]] = {}
        for record in table.records:
            if record.spec["attack_name"] == attack and (success := _success(record)) is not None:
                found.setdefault(record.spec["aggregator_name"], []).append(success)
        if found:
            rules = ", ".join(f"{rule} {accuracy_text(found[rule])}" for rule in table.rules if rule in found)
            yield f"{attack}: in the end this many % of the test inputs of one class are taken for the other: {rules}."


def _success(record: Record) -> float | None:
    """Return the mean of a run's success over its last rounds, in %; None if they have none."""
    known = [notes.get(SUCCESS) for notes in record.columns["attack"][-LAST:]]
    numbers = [value for value in known if type(value) in (int, float)]
    return fmean(numbers) if numbers else None
