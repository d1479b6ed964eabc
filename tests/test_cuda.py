"""Rules, attacks and runs on a GPU: as on the CPU up to rounding, and the same each time. Skipped without one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from cases import ATTACKS, RULES, AttackCase, RuleCase, context_of, known, make_rows

from gradskew import IID, SGD, Run, aggregators, attacks, models, simulate
from gradskew.core.round import Round
from gradskew.data import Dataset
from gradskew.federation.rounds import Federation
from gradskew.federation.snapshot import Snapshot

DEVICE = "cuda"
H, F, D = 12, 3, 40
SEARCHES = ("adaptive", "opt", "agr", "fang")  # rounding decides between strengths that do as well
BASE = Run(clients=6, byzantine=1, rounds=2, partition=IID(), sgd=SGD(epochs=1, batch=32, lr=0.1))
NETWORKS = {"mlp": "batched", "cnn": "batched", "mlp(hidden=9)": "loop", "resnet18": "loop"}
RUNS = [
    "none,median",
    "labelflip,foolsgold",
    "strike,nnm+cclip",
    "poisonedfl,clippedclustering",
    "opt,dnc",
    "lie,flame",
]
RUNS += ["adaptive(limit=30),rfa", "adaptive(aim=stop,effort=full,limit=60),rlr", "mimic,consensus_dnc"]

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def moved(round: Round) -> Round:
    """A round whose vectors are on the GPU."""
    return replace(round, params=round.params.to(DEVICE), reference=round.reference.to(DEVICE))


@pytest.mark.parametrize("case", RULES, ids=lambda case: case.name)
def test_rules(case: RuleCase) -> None:
    rule, rows, round = aggregators.make(case.name), make_rows(H, D, F, "gauss", seed=1), known(H, D)
    f = min(F, rule.max_f(H))
    wanted, found = rule(rows, f, round=round), rule(rows.to(DEVICE), f, round=moved(round))
    assert found.device.type == DEVICE
    torch.testing.assert_close(found.cpu(), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", ATTACKS, ids=lambda case: case.name)
def test_attacks(case: AttackCase) -> None:
    honest, own = make_rows(H, D, 0, "gauss", seed=1), make_rows(F, D, 0, "gauss", seed=2)
    rule, start = aggregators.make(case.rule or "multikrum"), torch.linspace(-1, 1, D)
    context = replace(context_of(rule, H, F, d=D), initial=start, network=lambda: start)
    there = replace(context, params=context.params.to(DEVICE), network=lambda: start.to(DEVICE))
    wanted = attacks.make(case.name)(honest, own, context=context)
    found = attacks.make(case.name)(honest.to(DEVICE), own.to(DEVICE), context=there)
    assert found.device.type == DEVICE
    if not case.name.startswith(SEARCHES):
        torch.testing.assert_close(found.cpu(), wanted, rtol=1e-4, atol=1e-4, equal_nan=True)


@pytest.mark.parametrize("pair", RUNS)
def test_runs_of_rules_and_attacks(pair: str) -> None:
    attack, rule = pair.rsplit(",", 1)
    run = replace(BASE, attack=attacks.make(attack), aggregator=aggregators.make(rule), device=DEVICE)
    assert simulate(run).params_sha256 == simulate(run).params_sha256


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_learn_what_they_learn_on_the_cpu(name: str) -> None:
    run = replace(BASE, model=models.make(name), engine=NETWORKS[name], clients=2, rounds=1, device=DEVICE)
    first, again, other = simulate(run), simulate(run), simulate(replace(run, device="cpu"))
    assert first.params_sha256 == again.params_sha256
    torch.testing.assert_close(first.params.cpu(), other.params, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("rule", ["cclip", "foolsgold", "clippedclustering", "test_cuda:Last"])
def test_a_run_goes_on_from_a_checkpoint(rule: str) -> None:
    run = replace(BASE, rounds=3, attack=attacks.make("poisonedfl"), aggregator=aggregators.make(rule), device=DEVICE)
    whole = Federation(run)
    rounds = [whole.round(0)]
    snapshot = Snapshot.from_bytes(whole.snapshot(rounds).to_bytes(run.digest), run.digest)
    resumed = Federation(run)
    resumed.restore(snapshot)
    assert resumed.round(1)["accuracy"] == whole.round(1)["accuracy"]
    assert torch.equal(resumed.params, whole.params)


class Last:
    """A user's rule with a tensor and an array as its state: the mean of its last aggregate and that of the rows."""

    def __init__(self) -> None:
        self.last, self.count = torch.zeros(0), np.zeros(1)

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        mean = rows.mean(0)
        self.last = (mean + self.last) / 2 if self.count[0] else mean
        self.count = self.count + 1
        return self.last


def test_data_stay_where_they_are_sent() -> None:
    data: Dataset = BASE.source.load().to(DEVICE)
    assert {data.train.inputs.device.type, data.test.inputs.device.type} == {DEVICE}
