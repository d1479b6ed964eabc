"""A strategy around another one: what is not ours to change is the other's."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..core.errors import InputError, check
from .interface import ArrayRecord, ConfigRecord, Grid, Message, MetricRecord, RecordDict, Strategy, log
from .rows import STATISTICS, Layout


class Around(Strategy):
    """Delegates to a strategy, and learns each round's model from what it sends."""

    def __init__(self, strategy: Strategy, statistics: Sequence[str] = STATISTICS):
        check(isinstance(strategy, Strategy), f"strategy must be a Flower strategy, not {type(strategy).__name__}")
        wrong = isinstance(statistics, str) or not all(isinstance(name, str) for name in statistics)
        check(not wrong, "statistics must be a list of names")
        self.strategy, self.statistics = strategy, tuple(statistics)
        self._layout: Layout | None = None
        if type(strategy).start is not Strategy.start and not isinstance(strategy, Around):
            mine = type(self).__name__
            log.warning("%s: %s has a start of its own; Flower's is used", mine, type(strategy).__name__)

    def __getattr__(self, name: str) -> Any:
        """What else the strategy has: its options, under their names."""
        if name.startswith("__") or "strategy" not in vars(self):
            raise AttributeError(name)
        return getattr(self.strategy, name)

    @property
    def layout(self) -> Layout:
        if self._layout is None:
            raise InputError(f"{type(self).__name__} has seen no model yet: configure_train comes first")
        return self._layout

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """The strategy's own messages."""
        self._layout = Layout(arrays, self.statistics)
        return list(self.strategy.configure_train(server_round, arrays, config, grid))

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """The strategy's own messages."""
        return self.strategy.configure_evaluate(server_round, arrays, config, grid)

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """The strategy's own metrics."""
        return self.strategy.aggregate_evaluate(server_round, replies)

    def summary(self) -> None:
        """The strategy's own summary."""
        self.strategy.summary()

    def say(self, rejected: Mapping[int, str], therefore: str) -> None:
        """One line for each reply that cannot be used, and what is done with it."""
        for node, reason in rejected.items():
            log.warning("%s: the reply of node %d %s: %s", type(self).__name__, node, therefore, reason)

    @staticmethod
    def carrying(reply: Message, arrays: ArrayRecord) -> Message:
        """The same reply with other arrays; the reply itself is left alone."""
        (key,) = reply.content.array_records
        changed = copy.copy(reply)
        changed.content = RecordDict({**reply.content, key: arrays})
        return changed
