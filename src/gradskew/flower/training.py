"""The rounds and the metrics of one training of a red team."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from ..federation.curve import last_rounds
from ..report.lens import Lens
from ..runs.record import Record
from .interface import MetricRecord

Metrics = dict[str, dict[str, float]]  # by source: train, clients, server


@dataclass
class Training:
    """A training under one attack, as `rounds.json` has it.

    attack: its name. initial: the metrics before the first round. rounds: one JSON object each, counted from 0. begun:
    how many rounds began. ended: the error that ended the training, if any.
    """

    attack: str
    initial: Metrics = field(default_factory=dict)
    rounds: list[dict[str, Any]] = field(default_factory=list)
    begun: int = 0
    ended: str | None = None

    @property
    def under(self) -> str:
        """The attack as part of a sentence."""
        return "without attack" if self.attack == "none" else f"under {self.attack}"

    @property
    def lens(self) -> Lens:
        """The rounds as the report reads those of a run."""
        return Lens(Record({}, self.rounds, ""))

    def first(self, rounds: int) -> Training:
        """Return the training as it was after so many rounds."""
        return replace(self, rounds=self.rounds[:rounds])

    def add(self, server_round: int, source: str, record: MetricRecord | None) -> None:
        """Keep the numbers of a metric record, without its lists. server_round: counted from 1, 0 before the first."""
        numbers = {name: float(value) for name, value in (record or {}).items() if isinstance(value, int | float)}
        of_round = (each["metrics"] for each in reversed(self.rounds) if each["round"] == server_round - 1)
        metrics = self.initial if server_round == 0 else next(of_round, None)
        if numbers and metrics is not None:
            metrics[source] = numbers

    def metrics(self) -> list[tuple[str, str]]:
        """Return the source and the name of each metric, in order of appearance."""
        names = [(source, name) for each in self.rounds for source, of in each["metrics"].items() for name in of]
        return list(dict.fromkeys(names))

    def series(self, source: str, name: str) -> tuple[list[int], list[float]]:
        """Return the rounds that have a metric, and its values."""
        values = [(each["round"], each["metrics"].get(source, {}).get(name)) for each in self.rounds]
        known = [(number, value) for number, value in values if value is not None]
        return [number for number, _ in known], [value for _, value in known]

    def final(self, source: str, name: str) -> float | None:
        """Return a metric at the end: its mean over the last min(5, ceil(rounds / 5)) rounds, or its last value."""
        rounds, values = self.series(source, name)
        first = len(self.rounds) - last_rounds(len(self.rounds))
        late = [value for number, value in zip(rounds, values, strict=True) if number >= first] or values[-1:]
        return fmean(late) if late else None

    def rules(self) -> list[str]:
        """Return the names of the rules that were tried."""
        return list(dict.fromkeys(rule for each in self.rounds for rule in each["rules"]))

    def measured(self, rule: str | None, key: str) -> list[float]:
        """Return a measure such as kappa in each round that has it: of a rule, or of the strategy (None)."""
        results = [each["lens"] if rule is None else each["rules"].get(rule) for each in self.rounds]
        return [each[key] for each in results if each is not None and each[key] is not None]

    def mean(self, rule: str | None, key: str) -> float | None:
        """Return the mean of a measure over the rounds that have it."""
        values = self.measured(rule, key)
        return fmean(values) if values else None
