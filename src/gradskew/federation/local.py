"""Variants of local training: the terms that a client adds to its steps, and what the clients remember for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.errors import STRENGTH, check, check_choice, check_number
from ..core.rows import Rows
from .optimizer import SGD
from .remembering import Remembering
from .terms import PLAIN, Terms


@dataclass(frozen=True, kw_only=True)
class Variant(Remembering):
    """A variant of local training.

    remembers: whether it has a state, a vector for each client and one at the server.
    """

    remembers: ClassVar[bool] = False

    def is_valid_state(self, state: Mapping[str, Any], d: int) -> bool:
        return (self.remembers or not state) and super().is_valid_state(state, d)

    def terms(self, client: int) -> Terms:
        """Return the terms of a client's steps in this round."""
        return PLAIN

    def check_sgd(self, sgd: SGD) -> None:
        """Raise InputError unless the variant is defined for this local training."""

    def learn(self, client: int, row: Tensor, rate: float) -> None:
        """Update what a client remembers by its row (d,). rate: of all of its steps, K lr; 1 if rows are gradients."""

    def step(self, aggregate: Tensor, rows: Rows, rate: float, clients: int) -> None:
        """Update what the server remembers by the aggregate (d,) of the received rows. clients: the number of all."""


@dataclass(frozen=True, kw_only=True)
class Plain(Variant):
    """Add nothing to a step: plain SGD, the local training of FedAvg."""

    key: ClassVar[str] = "fedavg"
    source: ClassVar[str] = "McMahan et al., AISTATS 2017"


@dataclass(frozen=True, kw_only=True)
class FedProx(Variant):
    """Pull the steps back to the model of the round: the gradient of (mu/2) |w - w^t|^2 is added, mu (w - w^t).

    The gradient of the loss is clipped before. mu = 0 adds nothing. (Flower's documents show mu/2 times the sum over
    tensors of the norms, not of their squares.)

    mu: below 2 (1 + momentum) / lr, from where on the steps away from w^t would grow.
    """

    key: ClassVar[str] = "fedprox"
    source: ClassVar[str] = "Li et al., MLSys 2020"
    mu: float = 0.01

    def __post_init__(self) -> None:
        check_number("mu", self.mu, at_least=0, at_most=STRENGTH)

    def check_sgd(self, sgd: SGD) -> None:
        bound = 2 * (1 + sgd.momentum) / sgd.lr  # of gradient descent with momentum on (mu/2) |w - w^t|^2
        rates = f"with lr = {sgd.lr:g} and momentum = {sgd.momentum:g}"
        grows = "the steps away from the model of the round would grow"
        check(self.mu < bound, f"fedprox: {rates} mu must be below {bound:g}, not {self.mu:g}: {grows}")

    def terms(self, client: int) -> Terms:
        return Terms(mu=self.mu)


@dataclass(frozen=True, kw_only=True)
class Scaffold(Variant):
    """Correct the drift of clients by control variates: c - c_i is added to each gradient of client i.

    After K steps at the rate lr, c_i <- c_i - c + g_i/(K lr) with its row g_i (option II). c and c_i start at 0; a
    client that is not sampled keeps its c_i. The change of an honest c_i is g_i/(K lr) - c, so that the server needs
    the rows alone: c <- c + (n/N)(x/(K lr) - c) for n rows of N clients. x is the aggregate of the rule (control=row),
    or the mean of all received rows (control=sent), as if each client sent its change, a Byzantine one that of its
    forged row, and the server averaged them. A c or c_i that would not be finite stays as it is.

    >>> variant = Scaffold()
    >>> variant.learn(3, torch.tensor([2.0, 4.0]), rate=2.0)
    >>> variant.terms(3).offset  # c is 0, and c_3 the mean step (1, 2)
    tensor([-1., -2.])
    """

    key: ClassVar[str] = "scaffold"
    source: ClassVar[str] = "Karimireddy et al., ICML 2020"
    remembers: ClassVar[bool] = True
    control: str = "row"

    def __post_init__(self) -> None:
        check_choice("control", self.control, ("row", "sent"))

    def check_sgd(self, sgd: SGD) -> None:
        both = "" if sgd.momentum == 0 else ", and momentum = 0"
        uneven = "in epochs, clients of different sizes make different numbers of steps"
        check(sgd.local_steps is not None, f"scaffold needs local_steps{both}: {uneven}")
        inside = f"scaffold needs momentum = 0, not {sgd.momentum:g}: a row over K lr is then no mean of gradients"
        check(sgd.momentum == 0, inside)

    def terms(self, client: int) -> Terms:
        common, own = self._state.get("server"), self.recall(client)
        if common is None or own is None:
            return Terms(offset=common if own is None else -own)
        return Terms(offset=common - own)

    def learn(self, client: int, row: Tensor, rate: float) -> None:
        offset = self.terms(client).offset
        after = row / rate if offset is None else row / rate - offset
        if after.isfinite().all():
            self.remember(client, after)

    def step(self, aggregate: Tensor, rows: Rows, rate: float, clients: int) -> None:
        received = aggregate if self.control == "row" else rows.mean()[: len(aggregate)].to(aggregate)
        before = self._state.get("server", torch.zeros_like(aggregate))
        after = before + rows.n / clients * (received / rate - before)
        if after.isfinite().all():
            self._state["server"] = after


def check_training(local: Variant, sgd: SGD, rows: str, worker_momentum: float, start: str) -> None:
    """Raise InputError unless these options of `Run`, which say what clients do, go together."""
    one = f"rows = gradient needs local_steps = 1, not {sgd.local_steps}: a row is the gradient of one step"
    check(rows != "gradient" or sgd.local_steps == 1, one)
    counted = f"rows = fednova counts the steps of plain SGD: it needs local = fedavg, not {local.name}"
    check(rows != "fednova" or local == Plain(), counted)
    check(worker_momentum > 0 or start == "zero", "worker_momentum_start is that of worker_momentum, which is 0")
    both = f"{local.name} needs worker_momentum = 0: what it remembers follows from the rows without momentum"
    check(not (local.remembers and worker_momentum), both)
    local.check_sgd(sgd)
