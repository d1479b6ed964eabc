"""Server optimisers: the step of the server from w^t to w^{t+1} with an aggregate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.errors import STRENGTH, check_number
from ..core.state import Stateful, is_row


@dataclass(frozen=True, kw_only=True)
class ServerOptimizer(Stateful, ABC):
    """A server optimiser, which updates the model from w^t to w^{t+1}.

    vectors: how many float32 vectors (d,) it takes at most, for its state, copies of that, and a step.
    """

    vectors: ClassVar[int] = 0

    @abstractmethod
    def step(self, params: Tensor, aggregate: Tensor) -> None:
        """Update params w^t (d,) in place with the aggregate (d,), and the state of the optimiser."""

    def step_if_finite(self, params: Tensor, aggregate: Tensor) -> bool:
        """Step, and return whether parameters and state are finite; if not, leave both as they were."""
        before, state = params.clone(), self.state_dict()
        self.step(params, aggregate)
        tensors = [params, *(value for value in self._state.values() if isinstance(value, Tensor))]
        if all(bool(each.isfinite().all()) for each in tensors):
            return True
        params.copy_(before)
        self.load_state_dict(state)
        return False


@dataclass(frozen=True, kw_only=True)
class FedAvg(ServerOptimizer):
    """Subtract the aggregate: w^{t+1} = w^t - aggregate (Eq. 3)."""

    key: ClassVar[str] = "fedavg"
    source: ClassVar[str] = "McMahan et al., AISTATS 2017"

    def is_valid_state(self, state: Mapping[str, Any], d: int) -> bool:
        return not state

    def step(self, params: Tensor, aggregate: Tensor) -> None:
        params -= aggregate


@dataclass(frozen=True, kw_only=True)
class FedAvgM(ServerOptimizer):
    """Step along the momentum of the aggregates: b <- beta b + aggregate, w <- w - lr b; b starts at 0.

    >>> server, w = FedAvgM(beta=0.5, lr=2), torch.zeros(1)
    >>> server.step(w, torch.tensor([1.0]))
    >>> server.step(w, torch.tensor([1.0]))  # b is 1, then 0.5 + 1: w = -2 - 3
    >>> w
    tensor([-5.])
    """

    key: ClassVar[str] = "fedavgm"
    source: ClassVar[str] = "Hsu, Qi and Brown, 2019"
    vectors: ClassVar[int] = 3
    lr: float = 1.0
    beta: float = 0.9

    def __post_init__(self) -> None:
        check_number("lr", self.lr, above=0, at_most=STRENGTH)
        check_number("beta", self.beta, at_least=0, below=1)

    def is_valid_state(self, state: Mapping[str, Any], d: int) -> bool:
        return state.keys() <= {"b"} and all(is_row(each, d) for each in state.values())

    def step(self, params: Tensor, aggregate: Tensor) -> None:
        b = aggregate
        if self.beta and "b" in self._state:
            b = aggregate.add(self._state["b"], alpha=self.beta)
        if self.beta:
            self._state["b"] = b.clone()
        params.sub_(b, alpha=self.lr)


@dataclass(frozen=True, kw_only=True)
class Adaptive(ServerOptimizer):
    """Step by the moments of the aggregates x: p <- beta1 p + (1 - beta1) x, w <- w - lr p/(sqrt(v) + tau), in float64.

    p starts at 0, v at tau^2. A subclass says how v follows x^2. No correction of a bias, as in the paper.
    """

    source: ClassVar[str] = "Reddi et al., ICLR 2021"
    vectors: ClassVar[int] = 14
    lr: float = 0.1
    beta1: float = 0.9
    tau: float = 1e-3

    def __post_init__(self) -> None:
        check_number("lr", self.lr, above=0, at_most=STRENGTH)
        check_number("tau", self.tau, above=0, at_most=STRENGTH)
        for name in ("beta1", "beta2"):
            check_number(name, getattr(self, name, 0), at_least=0, below=1)

    def is_valid_state(self, state: Mapping[str, Any], d: int) -> bool:
        if not state:
            return True
        rows = state.keys() == {"p", "v"} and all(is_row(each, d) for each in state.values())
        return rows and bool((state["v"] >= 0).all())

    def step(self, params: Tensor, aggregate: Tensor) -> None:
        x = aggregate.double()
        p = self._state.get("p", torch.zeros_like(x))
        v = self._state.get("v", torch.full_like(x, self.tau**2))
        p = self.beta1 * p + (1 - self.beta1) * x
        v = self.second(v, x.square())
        self._state.update(p=p, v=v)
        params.sub_((self.lr * p / (v.sqrt() + self.tau)).to(params))

    @abstractmethod
    def second(self, v: Tensor, square: Tensor) -> Tensor:
        """Return the next v (d,), from the last one and x^2 (d,)."""


@dataclass(frozen=True, kw_only=True)
class FedAdam(Adaptive):
    """Divide by the root of a moving average: v <- beta2 v + (1 - beta2) x^2.

    >>> server, w = FedAdam(lr=1, beta1=0, beta2=0.75, tau=1), torch.zeros(1)
    >>> server.step(w, torch.tensor([1.0]))  # v stays 1: w = -1/(1 + 1)
    >>> w
    tensor([-0.5000])
    """

    key: ClassVar[str] = "fedadam"
    beta2: float = 0.99

    def second(self, v: Tensor, square: Tensor) -> Tensor:
        return self.beta2 * v + (1 - self.beta2) * square


@dataclass(frozen=True, kw_only=True)
class FedYogi(Adaptive):
    """Let v move towards x^2 by a share of x^2, not of their difference: v <- v - (1 - beta2) x^2 sign(v - x^2).

    >>> server, w = FedYogi(lr=1, beta1=0, beta2=0.75, tau=1), torch.zeros(1)
    >>> server.step(w, torch.tensor([2.0]))  # v = 1 + 0.25 * 4 = 2
    >>> w
    tensor([-0.8284])
    """

    key: ClassVar[str] = "fedyogi"
    beta2: float = 0.99

    def second(self, v: Tensor, square: Tensor) -> Tensor:
        return v - (1 - self.beta2) * square * (v - square).sign()


@dataclass(frozen=True, kw_only=True)
class FedAdagrad(Adaptive):
    """Divide by the root of the sum of all squares: v <- v + x^2. One huge aggregate slows all later rounds down.

    >>> server, w = FedAdagrad(lr=1, beta1=0, tau=1), torch.zeros(1)
    >>> server.step(w, torch.tensor([3.0]))  # v = 1 + 9
    >>> w
    tensor([-0.7208])
    """

    key: ClassVar[str] = "fedadagrad"

    def second(self, v: Tensor, square: Tensor) -> Tensor:
        return v + square
