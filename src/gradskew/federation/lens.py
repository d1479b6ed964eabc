"""The lens: measures the skew and the rule in each round, and embeds the rows of some rounds. It changes nothing."""

from __future__ import annotations

from typing import Any

from ..aggregators import Aggregator, Outcome
from ..core.rows import Rows
from ..skew import Picture, look, pictures
from .run import Run


class RoundLens:
    """Measures the rounds of a run. pictures: the embeddings of the rows of some rounds in the plane."""

    def __init__(self, run: Run):
        self.run = run
        self.pictures: list[Picture] = []

    def look(
        self, rows: Rows, honest: Rows, outcome: Outcome, rule: Aggregator, f: int, distance: float | None
    ) -> dict[str, Any]:
        """Return the measures of a round for the record; `honest` has at least one row.

        f: the f that the rule was called with. distance: of the aggregate from the honest mean; None without a step.
        """
        clients, byzantine = list(rows.round.clients or ()), rows.n - honest.n
        bound = rule.kappa_bound(rows.n, f) if f == byzantine else None
        skew, measures = look(rows, honest, clients, outcome, distance=distance, bound=bound)
        if rows.round.number in self.run.pictured:
            aggregate = None if distance is None else outcome.value
            self.pictures += pictures(rows.round.number, rows, byzantine, skew.members, aggregate)
        every = honest.n == self.run.clients - self.run.num_byzantine
        return {**measures, "clients": None if every else clients[byzantine:]}
