"""What a model reaches that always answers the largest class, and the rules of which no more was left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .comparison import half_width

if TYPE_CHECKING:
    from .table import Table

MUCH = 50.0  # %: from here on the share is said, whatever the rules kept


def guessing(table: Table) -> list[str]:
    """Return the defences whose worst found is not above the share of the largest class in the test inputs.

    That is, up to half of the 95 % interval of a share of as many inputs.
    """
    share = table.records[0].largest_class
    if share is None:
        return []
    above = share + (half_width({0: share}, table.records[0].test_size) or 0.0)
    return [each.rule for each in table.ranked if each.worst.mean <= above]


def reference(table: Table) -> str:
    """Return a sentence on the share of the largest class and the rules that kept no more; "" where it says nothing."""
    share, rules = table.records[0].largest_class, guessing(table)
    if share is None or not table.standings or (not rules and share < MUCH):
        return ""
    known = f"A model that always answers the largest class reaches {share:.1f} %"
    if not rules:
        return f"{known}."
    every = 1 < len(rules) == len(table.ranked)
    return f"{known}; no more was left, in the worst found, of {'all rules' if every else ', '.join(rules)}."
