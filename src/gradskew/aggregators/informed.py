"""A rule with what is known of a round, so that it can be called on rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ..core.round import Round
from ..core.rows import Rows
from .base import Aggregator, Outcome


@dataclass(frozen=True, kw_only=True)
class Informed(Aggregator):
    """A rule as an attacker tries it: on m Byzantine rows and the honest rows that it knows.

    round: what is known of the round, with the ids and example counts of all its rows, the Byzantine ones first. known:
    the indices of the known honest rows among them. A call on other than m + len(known) rows, m from 0 to the number of
    rows before the first known one, has no ids and no counts.
    """

    rule: Aggregator
    round: Round
    known: Sequence[int]

    @property
    def name(self) -> str:
        return self.rule.name

    @property
    def monotone(self) -> bool:  # type: ignore[override]
        return self.rule.monotone

    def max_f(self, n: int) -> int:
        return self.rule.max_f(n)

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        return self.rule.explain(Rows.of(rows, self.round_of(rows.n)), f, generator=generator)

    def round_of(self, n: int) -> Round:
        """Return what is known of a round of n rows."""
        before = n - len(self.known)
        fits = 0 <= before <= min(self.known, default=0)
        return replace(self.round, **self.round.of_rows([*range(before), *self.known] if fits else None))


def with_own(round: Round, f: int) -> Round:
    """Return the round whose last f clients have the example counts of the first f, whose rows stand for theirs."""
    if round.examples is None:
        return round
    return replace(round, examples=torch.cat([round.examples[:-f], round.examples[:f]]))
