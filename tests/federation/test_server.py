"""Server optimisers: two steps by hand, steps that are not finite, and states that a checkpoint may have."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from tiny import Cuts, Tiny
from torch import Tensor

from gradskew import Run
from gradskew.federation.catalogue import SERVERS, make_server
from gradskew.federation.rounds import Federation
from gradskew.federation.server import FedAvg, ServerOptimizer
from gradskew.models import Linear

BASE = Run(source=Tiny(), partition=Cuts(sizes=(8,) * 6), model=Linear(), clients=6, byzantine=1, rounds=4)


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        # aggregates 2, then -1
        ("fedavg", -2.0, -1.0),
        ("fedavgm(beta=0.5,lr=2)", -4.0, -4.0),  # b = 2, then 1 - 1 = 0
        ("fedavgm(beta=0.5)", -2.0, -2.0),
        # p = 1, then 0.5 - 0.5 = 0: the second step is none
        ("fedadam(lr=3,beta1=0.5,beta2=0.5,tau=2)", -3 / 4, -3 / 4),  # v = 2 + 2 = 4, so 3 * 1/(2 + 2)
        # p = x. v: 0.75 * 4 + 0.25 * 4 = 4, then 3 + 0.25 = 3.25
        ("fedadam(lr=1,beta1=0,beta2=0.75,tau=2)", -2 / 4, -2 / 4 + 1 / (3.25**0.5 + 2)),
        # v = 4 and x^2 = 4 are equal: v stays; then 4 - 0.25 = 3.75
        ("fedyogi(lr=1,beta1=0,beta2=0.75,tau=2)", -2 / 4, -2 / 4 + 1 / (3.75**0.5 + 2)),
        # v = 1 + 0.25 * 4 = 2, then 2 - 0.25 = 1.75
        ("fedyogi(lr=1,beta1=0,beta2=0.75,tau=1)", -2 / (2**0.5 + 1), -2 / (2**0.5 + 1) + 1 / (1.75**0.5 + 1)),
        # v = 1 + 4 = 5, then 6
        ("fedadagrad(lr=1,beta1=0,tau=1)", -2 / (5**0.5 + 1), -2 / (5**0.5 + 1) + 1 / (6**0.5 + 1)),
    ],
)
def test_two_steps_by_hand(name: str, first: float, second: float) -> None:
    server, w = make_server(name), torch.zeros(1)
    for aggregate, wanted in ((2.0, first), (-1.0, second)):
        assert server.step_if_finite(w, torch.tensor([aggregate]))
        assert w.item() == pytest.approx(wanted, rel=1e-6)


def test_a_huge_aggregate_stops_adagrad_and_not_adam() -> None:
    """v of Adam has forgotten 1e30 after some thousand rounds, that of Adagrad never does."""
    moved = {}
    for name in ("fedadam(beta1=0,beta2=0.9)", "fedadagrad(beta1=0)"):
        server, w = make_server(name), torch.zeros(1)
        server.step(w, torch.tensor([1e30]))
        for _ in range(2000):
            server.step(w, torch.tensor([0.01]))
        before = w.item()
        server.step(w, torch.tensor([0.01]))
        moved[server.key] = abs(w.item() - before)
    assert moved["fedadam"] > 0.01
    assert moved["fedadagrad"] == 0


@dataclass(frozen=True, kw_only=True)
class Explosive(ServerOptimizer):
    """Overflows in its second step, after it has changed its state."""

    key: ClassVar[str] = "explosive"

    def step(self, params: Tensor, aggregate: Tensor) -> None:
        self._state["count"] = self._state.get("count", 0) + 1
        self._state["sum"] = self._state.get("sum", torch.zeros_like(aggregate)) + aggregate
        params.sub_(aggregate * (torch.inf if self._state["count"] == 2 else 1.0))


def test_a_step_that_is_not_finite_leaves_everything_and_is_counted() -> None:
    run = replace(BASE, server=Explosive(), aggregator="cclip", local="fedavg")
    federation = Federation(run)
    assert federation.round(0)["stepped"]
    before = federation.snapshot([])
    metrics = federation.round(1)
    assert (metrics["stepped"], metrics["distance"]) == (False, None)
    after = federation.snapshot([])
    assert torch.equal(after.params, before.params)
    assert after.server["count"] == before.server["count"] == 1
    assert torch.equal(after.server["sum"], before.server["sum"])
    assert torch.equal(after.rule["centre"], before.rule["centre"])


def test_a_state_that_overflows_is_not_kept() -> None:
    """The momentum of FedAvgM would be 3e38 + 0.9 * 3e38, which float32 does not hold."""
    server, w = make_server("fedavgm(lr=1e-38)"), torch.zeros(1)
    huge = torch.tensor([3e38])
    assert server.step_if_finite(w, huge)
    before = w.clone()
    assert not server.step_if_finite(w, huge)
    assert torch.equal(w, before)
    assert torch.equal(server.state_dict()["b"], huge)


def test_without_a_step_what_the_clients_remember_at_the_server_stays() -> None:
    """SCAFFOLD's c moves with the model only."""
    sgd = replace(BASE.sgd, epochs=1, local_steps=2, momentum=0.0)
    federation = Federation(replace(BASE, server=Explosive(), local="scaffold", sgd=sgd))
    federation.round(0)
    before = federation.clients.variant.state_dict()
    federation.round(1)
    after = federation.clients.variant.state_dict()
    assert after["server"] is before["server"]
    assert not torch.equal(after["0"], before["0"])


@pytest.mark.parametrize("name", list(SERVERS))
def test_valid_states(name: str) -> None:
    server = make_server(name)
    assert server.is_valid_state({}, 3)
    server.step(torch.zeros(3), torch.ones(3))
    state = server.state_dict()
    assert server.is_valid_state(state, 3)
    assert not server.is_valid_state({**state, "x": 1}, 3)
    if not isinstance(server, FedAvg):
        assert not server.is_valid_state(state, 4)
        assert not server.is_valid_state({key: value * torch.nan for key, value in state.items()}, 3)
    if "v" in state:
        assert not server.is_valid_state({**state, "v": -state["v"]}, 3)
        assert not server.is_valid_state({"v": state["v"]}, 3)
