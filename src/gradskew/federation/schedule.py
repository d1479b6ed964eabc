"""The rounds in which an attack runs, as START:STOP:EVERY."""

from __future__ import annotations

import re
import sys

from ..core.errors import check

FORM = re.compile(r"([0-9]{0,9}):([0-9]{0,9})(?::([0-9]{0,9}))?")


def rounds_of(text: str | None) -> range:
    """Return the rounds START, START + EVERY, ... below STOP, counted from 0; all rounds for None.

    A part that is left out is 0, no end, or 1. Raises InputError for another form, and where there is no such round.

    >>> list(rounds_of("20:26:2")), rounds_of("5:")[0], rounds_of("::10")[1], 7 in rounds_of(None)
    ([20, 22, 24], 5, 10, True)
    """
    match = FORM.fullmatch("::" if text is None else str(text))
    wanted = "attack_rounds is START:STOP:EVERY, such as 20:40:2, 20: or ::5"
    check(match is not None, f"{wanted}, not {text!r:.60}")
    assert match is not None
    start, stop, every = (int(part) if part else None for part in match.groups())
    check(every != 0, f"{wanted}: EVERY is at least 1")
    rounds = range(start or 0, sys.maxsize if stop is None else stop, every or 1)
    check(len(rounds) > 0, f"{wanted}: {text} has no round, as STOP is not above START")
    return rounds


def short_form(text: str | None) -> str | None:
    """Return the one text for these rounds, for names and digests; None for all rounds.

    >>> short_form("20:"), short_form("::5"), short_form("0::1"), short_form("5:9:1")
    ('20:', '::5', None, '5:9')
    """
    rounds = rounds_of(text)
    start = str(rounds.start) if rounds.start else ""
    stop = str(rounds.stop) if rounds.stop < sys.maxsize else ""
    every = f":{rounds.step}" if rounds.step > 1 else ""
    short = f"{start}:{stop}{every}"
    return None if short == ":" else short
