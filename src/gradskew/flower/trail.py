"""What a red team saw of one training, round by round."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from ..federation.schema import LAST
from .interface import MetricRecord

Metrics = dict[str, dict[str, float]]  # by where they come from: train, clients, server


@dataclass
class Trail:
    """A training from the first round to the last, under one attack.

    initial: the metrics before the first round. begun: how many rounds began. ended: the error that ended it, if any.
    """

    attack: str
    initial: Metrics = field(default_factory=dict)
    rounds: list[dict[str, Any]] = field(default_factory=list)
    begun: int = 0
    ended: str | None = None

    def first(self, rounds: int) -> Trail:
        """The training as it was after so many rounds."""
        return replace(self, rounds=self.rounds[:rounds])

    def add(self, server_round: int, kind: str, metrics: MetricRecord | None) -> None:
        """Keep the numbers of a metric record; lists stay out. Rounds are counted from 0, as everywhere here."""
        numbers = {name: float(value) for name, value in (metrics or {}).items() if isinstance(value, int | float)}
        found = (seen["metrics"] for seen in reversed(self.rounds) if seen["round"] == server_round - 1)
        here = self.initial if server_round == 0 else next(found, None)
        if numbers and here is not None:
            here[kind] = numbers

    def series(self, kind: str, name: str) -> tuple[list[int], list[float]]:
        """The rounds that have a metric, and its values."""
        found = [(seen["round"], seen["metrics"].get(kind, {}).get(name)) for seen in self.rounds]
        known = [(round, value) for round, value in found if value is not None]
        return [round for round, _ in known], [value for _, value in known]

    def final(self, kind: str, name: str) -> float | None:
        """A metric at the end: the mean of the last rounds that have it, five at most."""
        values = self.series(kind, name)[1][-LAST:]
        return fmean(values) if values else None

    def names(self) -> list[tuple[str, str]]:
        """Where metrics come from and what they are called, in order of appearance."""
        found = [(kind, name) for seen in self.rounds for kind, of in seen["metrics"].items() for name in of]
        return list(dict.fromkeys(found))
