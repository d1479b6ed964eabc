"""Tell which rules were no defence in the runs of a table, since they were the mean.

A rule may say so itself, from the notes of its runs (`Aggregator.idle`), or that it averaged all rows in each round.
Any other rule is compared with the plain mean, if that was run, by the distance of its aggregate from the honest mean.
In the first round, two runs with the same attack and seed have the same rows, so that equal rules give equal aggregates
up to rounding, in whatever precision and order they add; another rule gives another distance. A rule is the mean if

- it met an attack that the mean met with the same seed, as many rules are the mean where nobody attacks,
- in each run that has such a partner, the first distance is the mean's, up to FIRST of it. Where the mean is hardly
  moved (below HARDLY of its largest distance), all rules are equal up to rounding: such a run tells nothing,
- and so is the average over all rounds, up to LATER of it: a rule that defends with what it has seen may be the mean in
  the first round. This tolerance is wider, since rounding grows over rounds.

Equal accuracies prove nothing either way: different rules may score alike, and a sum in another order ends elsewhere.
"""

from __future__ import annotations

from ..aggregators import RULES
from ..runs.record import Record
from .table import Table, stages

FIRST = 1e-4
LATER = 0.05
HARDLY = 1e-3


def idle(table: Table) -> dict[str, str]:
    """Return a sentence on each rule of a table that was the mean in all of its runs."""
    sentences = {
        rule: _of_notes(table, rule) or _of_counts(table, rule) or _of_distances(table, rule) for rule in table.rules
    }
    return {rule: sentence for rule, sentence in sentences.items() if sentence}


def never_run(table: Table) -> list[str]:
    """Return the attacks that were called in no round of any run."""
    called = {
        record.spec["attack_name"]
        for record in table.records
        if any(notes.get("called") for notes in record.columns["attack"])
    }
    return [attack for attack in table.attacks if attack not in ("none", *called)]


def had_no_rows(table: Table, rule: str) -> bool:
    """Return whether no client's row was finite in any round, so that a rule was never asked."""
    return not any(rows for record in _records(table, rule) for rows in record.columns["rows"])


def _records(table: Table, rule: str) -> list[Record]:
    return [record for cell in table.column(rule).values() for record in cell.records]


def _of_notes(table: Table, rule: str) -> str:
    records = _records(table, rule)
    method = RULES.find(stages(records[0].spec["aggregator"])[-1])
    return method.idle(rule, [notes for record in records for notes in record.columns["rule"]]) if method else ""


def _of_counts(table: Table, rule: str) -> str:
    records = _records(table, rule)
    if len(stages(records[0].spec["aggregator"])) > 1:  # the mean of mixed rows may be another one
        return ""
    counts = [
        (notes.get("averaged"), rows)
        for record in records
        for notes, rows in zip(record.columns["rule"], record.columns["rows"], strict=True)
        if rows
    ]
    averaged = bool(counts) and all(count == rows for count, rows in counts)
    return f"{rule} averaged all rows in every round: it is the mean here." if averaged else ""


def _of_distances(table: Table, rule: str) -> str:
    if table.baseline in (None, rule):
        return ""
    mean = {
        (attack, record.spec["seed"]): record
        for attack, cell in table.column(table.baseline).items()
        for record in cell.records
    }
    pairs = [
        (record, mean[attack, record.spec["seed"]])
        for attack, cell in table.column(rule).items()
        for record in cell.records
        if (attack, record.spec["seed"]) in mean
    ]
    largest = max((_first(other) or 0.0 for _, other in pairs), default=0.0)
    moved = [(record, other) for record, other in pairs if (_first(other) or 0.0) > HARDLY * largest]
    called = [record.columns["attack"][0]["called"] for record, _ in moved if record.spec["attack_name"] != "none"]
    if any(called) and all(_are_equal(record, other) for record, other in moved):
        return f"{rule} gave the aggregate of {table.baseline}, up to rounding: it is no defence here."
    return ""


def _first(record: Record) -> float | None:
    return record.columns["distance"][0]  # type: ignore[no-any-return]


def _are_equal(record: Record, mean: Record) -> bool:
    """Return whether the aggregates of two runs are as far from the honest mean, in the first round and on average."""
    pairs = [(_first(record), _first(mean), FIRST), (record.average("distance"), mean.average("distance"), LATER)]
    return all(a is not None and b is not None and abs(a - b) <= part * b for a, b, part in pairs)
