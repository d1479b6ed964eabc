"""What rules made of the tries of attacks that ask them: on how many they failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..attacks.adaptive import TWO_WAYS
from ..runs.record import Record

MOST = 0.5  # share of tries: a rule that failed on more was not asked


def failed_share(records: Iterable[Record]) -> float | None:
    """Return the share of the tries in some runs on which the rule failed; None if no rule was tried."""
    notes = [notes for record in records for notes in record.columns["attack"]]
    tries = sum(each.get("tries", 0) for each in notes)
    return min(1.0, sum(each.get("failed", 0) for each in notes) / tries) if tries else None


def is_asked(share: float | None) -> bool:
    """Return whether a rule that failed on this share of the tries was asked at all."""
    return share is None or share <= MOST


def on_tries(rule: str, records: Iterable[Record]) -> Iterator[str]:
    """Yield what went wrong where attacks tried a rule: tries on which it failed, two answers to one try."""
    notes = [notes for record in records for notes in record.columns["attack"]]
    if failed := sum(each.get("failed", 0) for each in notes):
        tries = sum(each.get("tries", 0) for each in notes)
        yield f"{rule} failed on {failed} of {tries} tries of the attacks that asked it."
    if any(str(each.get("won")).endswith(TWO_WAYS) for each in notes):
        yield f"{rule} gave two answers to one try: the worst that was found of it need not be what it does."
