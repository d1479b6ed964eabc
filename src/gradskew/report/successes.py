"""Sentences on attacks that aim at a pair of classes: how many test inputs of one are taken for the other."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean

from ..attacks import LabelFlip
from ..federation.metrics import SUCCESS
from ..federation.schema import LAST
from ..runs.record import Record
from .cell import accuracy_text
from .table import Table


def successes(table: Table) -> Iterator[str]:
    """Yield a sentence for each such attack: its success against each rule in %, over seeds, in the last rounds."""
    for attack in table.attacks:
        records = [record for record in table.records if record.spec["attack_name"] == attack]
        found: dict[str, list[float]] = {}
        for record in records:
            if (success := _success(record)) is not None:
                found.setdefault(record.spec["aggregator_name"], []).append(success)
        if found:
            rules = ", ".join(f"{rule} {accuracy_text(found[rule])}" for rule in table.rules if rule in found)
            yield f"{attack}: test inputs of {_pair(records[0])} at the end, in %: {rules}."


def _success(record: Record) -> float | None:
    """Return the mean of a run's success over its last rounds, in %; None if they have none."""
    if _flip(record).get("map") != "pair":
        return None
    known = [notes.get(SUCCESS) for notes in record.columns["attack"][-LAST:]]
    numbers = [value for value in known if type(value) in (int, float) and 0 <= value <= 100]
    return fmean(numbers) if numbers else None


def _flip(record: Record) -> dict[str, object]:
    """Return the options of the label flip in an attack; none for an attack without one."""
    attack = record.spec["attack"]
    part = attack.get("data", attack)
    return dict(part) if type(part) is dict and part.get("name") == LabelFlip.key else {}


def _pair(record: Record) -> str:
    """Return the two classes of the label flip as text."""
    flip = _flip(record)
    return f"class {flip.get('of', LabelFlip.of)} taken for class {flip.get('target', LabelFlip.target)}"
