"""What clients remember from one round to the next: a vector each, which those that are not sampled keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ..core.state import Stateful, is_row


@dataclass(frozen=True, kw_only=True)
class Remembering(Stateful):
    """An object with a vector (d,) of each client that has taken part, by its id, and maybe one of the server.

    Vectors are replaced, never changed in place: copies of the state share them.
    """

    def recall(self, client: int) -> Tensor | None:
        """Return the vector of a client, None before its first round."""
        return self._state.get(str(client))

    def remember(self, client: int, vector: Tensor) -> None:
        """Replace the vector of a client."""
        self._state[str(client)] = vector

    def state_dict(self) -> dict[str, Any]:
        return dict(self._state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._state.clear()
        self._state.update(state)

    def is_valid_state(self, state: Mapping[str, Any], d: int) -> bool:
        known = all(key == "server" or (key.isascii() and key.isdigit()) for key in state)
        return known and all(is_row(value, d) for value in state.values())


@dataclass(frozen=True, kw_only=True)
class WorkerMomentum(Remembering):
    """Client i sends the momentum q_i <- beta q_i + (1 - beta) u_i of its rows u_i.

    start: before its first round q_i is 0 (`zero`: Farhadkhani et al., ICML 2022), or the row itself (`first`, as in
    Karimireddy et al., ICML 2021). A client that is not sampled keeps its q_i, however old.

    >>> import torch
    >>> momentum = WorkerMomentum(beta=0.9)
    >>> [momentum.sent(0, torch.tensor([1.0])).item() for _ in range(2)]  # 0.1, then 0.9 * 0.1 + 0.1
    [0.10000000149011612, 0.1899999976158142]
    """

    key: ClassVar[str] = "momentum"
    beta: float
    start: str = "zero"

    def is_valid_state(self, state: Mapping[str, Any], d: int) -> bool:
        return (self.beta > 0 or not state) and "server" not in state and super().is_valid_state(state, d)

    def sent(self, client: int, row: Tensor) -> Tensor:
        """Return what a client sends in place of its row (d,), and remember it."""
        before = self.recall(client)
        if before is None and self.start == "first":
            after = row.clone()
        else:
            after = row * (1 - self.beta)
            if before is not None:
                after.add_(before, alpha=self.beta)
        self.remember(client, after)
        return after
