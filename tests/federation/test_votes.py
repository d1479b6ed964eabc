"""What clients of the simulation answer when a rule asks for their losses, and runs with a rule that asks."""

from dataclasses import replace

import pytest
import torch
from tiny_runs import BASE
from torch.nn.functional import cross_entropy

from gradskew import InputError, Record, simulate
from gradskew.federation import Federation
from gradskew.federation.snapshot import Snapshot

RUN = replace(BASE, votes=True, aggregator="vote(a=mean,b=median)", byzantine=2, rounds=3)


def models_of(federation: Federation) -> torch.Tensor:
    """The present model, and two others."""
    moved = torch.randn(2, federation.flat.d, generator=torch.Generator().manual_seed(1))
    return torch.stack([federation.params, *(federation.params + moved)])


def test_honest_clients_say_their_mean_loss() -> None:
    federation = Federation(RUN)
    models, train = models_of(federation), federation.dataset.train
    said = federation.votes(models, [4, 0, 2])
    module = federation.flat.module
    before = federation.flat.read_params()
    for losses, params in zip(said, models, strict=True):
        federation.flat.bind(params.clone())
        for place, client in ((0, 4), (2, 2)):
            index = federation.parts[client]
            exact = cross_entropy(module(federation.dataset.inputs(train.inputs[index])), train.labels[index])
            assert losses[place].item() == pytest.approx(exact.item(), rel=1e-5)
    federation.flat.bind(before.clone())
    assert said.shape == (3, 3)


def test_the_model_of_the_network_stays() -> None:
    federation = Federation(RUN)
    before = federation.flat.read_params()
    federation.votes(models_of(federation), range(6))
    assert torch.equal(federation.flat.read_params(), before)


def test_byzantine_clients_vote_for_the_worst_model() -> None:
    federation = Federation(RUN)
    models = models_of(federation)
    for scale in (1.0, 1e-3):  # far models, and near ones of which one may be better than the present
        near = models[0] + scale * (models - models[0])
        said = federation.votes(near, range(6))
        worst = int(said[:, 2:].mean(1).argmax())
        for client in (0, 1):
            assert int(said[:, client].argmin()) == worst
        assert torch.equal(said[:, 0], said[:, 1])
    broken = models.clone()
    broken[2] = torch.nan
    assert int(federation.votes(broken, range(6))[:, 0].argmin()) == 2
    assert int(federation.votes(models, [0, 1]).argmin(0)[0]) == 0  # nobody to harm


@pytest.mark.parametrize("attack", ["ipm", "adaptive(aim=stop,limit=10)", "adaptive(limit=10,effort=full)"])
def test_a_run_goes_on_to_the_same_bits(attack: str) -> None:
    run, kept = replace(RUN, attack=attack), []
    whole = simulate(run, on_snapshot=lambda snapshot: kept.append(snapshot.to_bytes(run.digest)))
    again = simulate(run, start=Snapshot.from_bytes(kept[1], run.digest))
    assert Record.of(again).to_json() == Record.of(whole).to_json()
    assert {metrics["rule"]["vote"] for metrics in whole.rounds} <= {"a", "b", "stay"}
    assert run.content["votes"] is True


def test_some_known_honest_rows_and_sampled_clients() -> None:
    run = replace(RUN, sampled=4, knowledge=0.5, attack="adaptive(aim=stop,limit=10)")
    assert len(simulate(run).rounds) == 3


def test_a_rule_that_asks_needs_the_option() -> None:
    with pytest.raises(InputError, match="vote needs the clients' losses at candidate models"):
        replace(BASE, aggregator="vote")
    assert "votes" not in BASE.content
