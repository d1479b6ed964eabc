"""Server optimisers: the step of the server from w^t to w^{t+1} with an aggregate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ..core.state import Stateful


@dataclass(frozen=True, kw_only=True)
class ServerOptimizer(Stateful, ABC):
    """A server optimiser, which updates the model from w^t to w^{t+1}."""

    @abstractmethod
    def step(self, params: Tensor, aggregate: Tensor) -> None:
        """Update params w^t (d,) in place with the aggregate (d,), and the state of the optimiser."""


@dataclass(frozen=True, kw_only=True)
class FedAvg(ServerOptimizer):
    """Subtract the aggregate: w^{t+1} = w^t - aggregate (Eq. 3)."""

    key: ClassVar[str] = "fedavg"
    source: ClassVar[str] = "McMahan et al., AISTATS 2017"

    def is_valid_state(self, state: Mapping[str, Any], d: int) -> bool:
        return not state

    def step(self, params: Tensor, aggregate: Tensor) -> None:
        params -= aggregate
