"""What rules made of the tries of attacks that ask them: on how many they failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..attacks.adaptive import TWO_WAYS
from ..runs.record import Record

MOST = 0.5  # share of tries: a rule that failed on more was not asked


def failed_share(records: Iterable[Record]) -> float | None:
    """Return the share of the tries in some runs on which the rule failed; None if no rule was tried."""
    tries, failed = _counts(records)
    return failed / tries if tries else None


def is_asked(share: float | None) -> bool:
    """Return whether a rule that failed on this share of the tries was asked at all."""
    return share is None or share <= MOST


def on_tries(rule: str, records: Iterable[Record]) -> Iterator[str]:
    """Yield what went wrong where attacks tried a rule: tries on which it failed, two answers to one try."""
    records = list(records)
    tries, failed = _counts(records)
    if failed:
        yield f"{rule} failed on {failed} of {tries} tries of the attacks that asked it."
    if any(str(notes.get("won")).endswith(TWO_WAYS) for record in records for notes in record.columns["attack"]):
        yield f"{rule} gave two answers to one try: the worst that was found of it need not be what it does."


def _counts(records: Iterable[Record]) -> tuple[int, int]:
    """Return the number of tries, and on how many the rule failed; notes of a user's attack may be anything."""
    notes = [notes for record in records for notes in record.columns["attack"]]
    tries, failed = (
        sum(number for each in notes if type(number := each.get(name)) is int) for name in ("tries", "failed_tries")
    )
    return tries, min(tries, failed)
