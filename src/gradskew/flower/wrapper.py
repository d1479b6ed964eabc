"""A strategy around another one, to which it leaves all that it does not change."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ..core.errors import InputError, check
from .interface import Array, ArrayRecord, ConfigRecord, Grid, Message, MetricRecord, RecordDict, Strategy, log
from .rows import STATISTICS, Layout, Received, arrays_of, fixed_of, some


class Wrapper(Strategy):
    """Delegates to a strategy, and keeps the layout of the model that each round sends."""

    def __init__(self, strategy: Strategy, statistics: Sequence[str] = STATISTICS):
        given = strategy if isinstance(strategy, type) else type(strategy)
        older = any(each.__module__.startswith("flwr.server.strategy") for each in given.__mro__)
        check(not older, f"{given.__name__} is of flwr.server.strategy; take the one of flwr.serverapp.strategy")
        check(isinstance(strategy, Strategy), f"strategy must be a Flower strategy, not {type(strategy).__name__}")
        wrong = isinstance(statistics, str) or not all(isinstance(name, str) for name in statistics)
        check(not wrong, "statistics must be a list of names")
        self.strategy, self.statistics = strategy, tuple(statistics)
        self._layout: Layout | None = None
        self._fixed: frozenset[str] | None = None
        self._logged: set[str] = set()
        if type(strategy).start is not Strategy.start and not isinstance(strategy, Wrapper):
            wrapper = type(self).__name__
            log.warning("%s: %s has a start of its own; Flower's is used", wrapper, type(strategy).__name__)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the strategy, such as one of its options."""
        if name.startswith("__") or "strategy" not in vars(self):
            raise AttributeError(name)
        return getattr(self.strategy, name)

    @property
    def layout(self) -> Layout:
        """The layout of the round's model. Raises InputError before the first configure_train."""
        if self._layout is None:
            raise InputError(f"{type(self).__name__} has no model yet: configure_train comes first")
        return self._layout

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return the strategy's own messages."""
        if server_round == 1 or self._fixed is None:
            self._fixed = fixed_of(arrays)
            odd = [name for name in self._fixed if arrays[name].numpy().dtype.kind not in "biu"]
            self.log_once("keep the server's value: they have other than finite real numbers", odd)
        self._layout = Layout(arrays, self.statistics, self._fixed)
        return list(self.strategy.configure_train(server_round, arrays, config, grid))

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return the strategy's own messages."""
        return self.strategy.configure_evaluate(server_round, arrays, config, grid)

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Return the strategy's own metrics."""
        return self.strategy.aggregate_evaluate(server_round, replies)

    def summary(self) -> None:
        """Log the strategy's own summary."""
        self.strategy.summary()

    def log_once(self, what: str, names: Collection[str]) -> None:
        """Log one line on arrays, if there are any and the line was not logged before."""
        line = f"arrays that {what}: {some(sorted(names))}"
        if names and line not in self._logged:
            self._logged.add(line)
            log.warning("%s: %s", type(self).__name__, line)

    def log_rejected(self, rejected: Mapping[int, str], consequence: str) -> None:
        """Log one line for each reply that cannot be used: its node, the consequence, and the reason."""
        for node, reason in rejected.items():
            log.warning("%s: the reply of node %d %s: %s", type(self).__name__, node, consequence, reason)

    @staticmethod
    def with_arrays(reply: Message, arrays: ArrayRecord) -> Message:
        """Return a copy of the reply with these arrays; the reply itself does not change."""
        (key,) = reply.content.array_records
        changed = copy.copy(reply)
        changed.content = RecordDict({**reply.content, key: arrays})
        return changed

    @staticmethod
    def with_forged(
        replies: Sequence[Message], received: Received, forged: Sequence[dict[str, Array]]
    ) -> list[Message]:
        """Return the replies in the order in which they came; the first that were read carry the forged arrays."""
        changed: dict[int, Message] = {}
        for reply, arrays in zip(received.replies, forged, strict=False):
            changed[id(reply)] = Wrapper.with_arrays(reply, ArrayRecord({**arrays_of(reply), **arrays}))
        return [changed.get(id(reply), reply) for reply in replies]
