"""What clients of the simulation answer when a rule asks for their losses, and runs with a rule that asks."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from test_losses import CASES, by_hand
from tiny_runs import BASE, RUNS
from torch.nn.functional import cross_entropy

from gradskew import InputError, Record, Run, simulate
from gradskew.aggregators.vote import elect
from gradskew.federation import Federation
from gradskew.federation.snapshot import Snapshot
from gradskew.federation.votes import Votes

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


def test_byzantine_clients_bring_about_the_worst_that_any_votes_of_theirs_can() -> None:
    """Beside all orders of the three models that the two may claim, each its own: on 60 draws of honest losses."""
    claims = [torch.tensor(order) * 1e30 for order in itertools.product((0.0, 1.0, 2.0), repeat=3)]
    federation, draw = Federation(RUN), torch.Generator().manual_seed(3)
    spoken = federation.votes(models_of(federation), range(6))
    assert torch.equal(spoken[:, 0], spoken[:, 1])
    taken = set()
    for _ in range(60):
        honest = torch.rand(3, 4, generator=draw, dtype=torch.float64)
        answers = Claimed(federation, honest)(models_of(federation), range(6))
        assert torch.equal(answers[:, 2:], honest)
        losses = honest.mean(1)
        reached = {
            elect(torch.cat([one[:, None], other[:, None], honest], 1), stay=True) for one in claims for other in claims
        }
        taken.add(elected := elect(answers, stay=True))
        assert elected in reached
        assert losses[elected] == max(losses[each] for each in reached)
    assert taken == {0, 1, 2}


class Claimed(Votes):
    """Votes of clients whose honest losses (models, clients) are given."""

    def __init__(self, federation: Federation, honest: torch.Tensor):
        vars(self).update(vars(federation.votes))
        self.honest, self.parts = iter(honest), [torch.tensor([client]) for client in range(6)]

    def _each(self, params: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        return next(self.honest)


def test_nobody_elects_a_model_that_is_not_finite() -> None:
    federation = Federation(RUN)
    models = models_of(federation)
    models[2] = torch.nan
    said, honest = federation.votes(models, range(6)), federation.votes(models, range(6), honestly=True)
    assert elect(said, stay=True) != 2
    assert torch.equal(said[:2, 2:], honest[:2, 2:])
    assert int(federation.votes(models, [0, 1]).argmin(0)[0]) == 0  # nobody to harm


@pytest.mark.parametrize("attack", ["ipm", "adaptive(aim=stop,limit=10)", "adaptive(limit=10,effort=full)"])
def test_a_run_goes_on_to_the_same_bits(attack: str) -> None:
    run, kept = replace(RUN, attack=attack), []
    whole = simulate(run, on_snapshot=lambda snapshot: kept.append(snapshot.to_bytes(run.digest)))
    again = simulate(run, start=Snapshot.from_bytes(kept[1], run.digest))
    assert Record.of(again).to_json() == Record.of(whole).to_json()
    assert all("failed_tries" not in metrics["attack"] for metrics in whole.rounds)
    assert run.content["votes"] is True


@pytest.mark.parametrize("change", [{"sampled": 4, "knowledge": 0.5}, {"known": "own"}, {"rows": "gradient"}])
def test_a_search_can_try_the_rule_in_every_setting(change: dict[str, Any]) -> None:
    if "rows" in change:
        change = {**change, "sgd": replace(RUN.sgd, local_steps=1)}
    for metrics in simulate(replace(RUN, attack="adaptive(aim=stop,limit=10)", **change)).rounds:
        assert metrics["attack"]["tries"] > 1
        assert "failed_tries" not in metrics["attack"]


def test_without_an_attack_all_clients_vote_honestly() -> None:
    """Without one, and outside of its rounds; in them the Byzantine clients do not."""
    for options, number, honest in (
        ({"attack": "none"}, 0, True),
        ({"attack": "ipm", "attack_rounds": "1:2"}, 0, True),
        ({"attack": "ipm", "attack_rounds": "1:2"}, 1, False),
    ):
        federation = Federation(replace(RUN, **options))
        models = models_of(federation)
        round = federation.describe_round(number, list(range(6)), None)
        assert round.losses is not None
        said = round.losses(models, range(6))
        assert torch.equal(said, federation.votes(models, range(6), honestly=True)) == honest


def test_the_votes_of_the_byzantine_clients_count_where_honest_gains_are_large() -> None:
    """Five honest clients lose 5 now, after a step 3, 3, 3, 3 and 100, after the other 3.5: a is the worst on average.

    The gains from a are 2, 2, 2, 2, -95 and those of four Byzantine clients: the median is 2, that of b 1.5.
    """
    federation = Federation(replace(RUN, clients=6, byzantine=2))
    losses = torch.tensor([[5.0] * 5, [3.0, 3.0, 3.0, 3.0, 100.0], [3.5] * 5], dtype=torch.float64)
    votes = federation.votes
    votes.parts = [torch.tensor([0])] * 9
    votes.byzantine = 4
    rounds = iter(losses)
    votes._each = lambda params, index: next(rounds)  # type: ignore[method-assign]
    said = votes(torch.zeros(3, federation.flat.d), range(9))
    gains = (said[0] - said[1:]).sort(1).values[:, 4]
    assert gains.tolist() == [2.0, 1.5]


def test_the_byzantine_clients_elect_the_worst_model_that_they_can() -> None:
    """Five honest clients gain 0, 1, 2, 3, 3 from a, on average 1.8, and 0, 1.5, 2.5, 3, 4 from b, on average 2.2.

    Two Byzantine clients cannot make the server stay: with both of them against both steps the medians of seven are 1
    and 1.5, and b, the best for the honest clients, is taken. With both for a they are 3 and 1.5.
    """
    votes = Federation(replace(RUN, clients=6, byzantine=2)).votes
    votes.parts = [torch.tensor([0])] * 7
    losses = 5 - torch.tensor([[0.0] * 5, [0.0, 1.0, 2.0, 3.0, 3.0], [0.0, 1.5, 2.5, 3.0, 4.0]], dtype=torch.float64)
    rounds = iter(losses)
    votes._each = lambda params, index: next(rounds)  # type: ignore[method-assign]
    said = votes(torch.zeros(3, votes.flat.d), range(7))
    gains = (said[0] - said[1:]).sort(1).values[:, 3]
    assert gains.tolist() == [3.0, 1.5]


@pytest.mark.parametrize("stay", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_no_other_votes_do_more_harm(seed: int, stay: bool) -> None:
    """Against 200 other sets of claims: the model that is taken has the larger mean of the honest losses."""
    draw = torch.Generator().manual_seed(seed)
    votes = Federation(replace(RUN, clients=6, byzantine=2, aggregator=f"vote(a=mean,b=median,stay={stay})")).votes
    votes.parts = [torch.tensor([0])] * 7
    losses = torch.rand(3, 5, generator=draw, dtype=torch.float64) * torch.tensor([[2.0], [2.0], [1.5]])
    rounds = iter(losses)
    votes._each = lambda params, index: next(rounds)  # type: ignore[method-assign]

    def taken(said: torch.Tensor) -> float:
        gains = (said[0] - said).sort(1).values[:, 3].tolist()
        best = max(gains[1:])
        return losses[0 if stay and best <= 0 else 1 + gains[1:].index(best)].mean().item()

    worst = taken(votes(torch.zeros(3, votes.flat.d), range(7)))
    for _ in range(200):
        claims = 5 * torch.randn(3, 2, generator=draw, dtype=torch.float64)
        assert taken(torch.cat([claims, losses], dim=1)) <= worst


@pytest.mark.parametrize("loss", CASES)
def test_losses_are_those_of_the_run(loss: str) -> None:
    source, model = CASES[loss]
    run = Run(source=source, model=model, loss=loss, clients=5, byzantine=1, partition="iid", rounds=1, votes=True)
    federation = Federation(replace(run, aggregator="vote"))
    said = federation.votes(federation.params[None], [2])
    index, module, train = federation.parts[2], federation.flat.module, federation.dataset.train
    exact = by_hand(loss, module(federation.dataset.inputs(train.inputs[index])), train, index)
    assert said.item() == pytest.approx(exact.item(), rel=1e-4)


def test_batch_norm_uses_the_statistics_of_the_model() -> None:
    federation = Federation(replace(RUNS["batch norm"], votes=True, aggregator="vote", byzantine=1))
    federation.round(0)
    buffers = federation.flat.read_buffers()
    said = federation.votes(federation.params[None], [3, 4])
    assert said.isfinite().all()
    assert torch.equal(federation.flat.read_buffers(), buffers)


def test_votes_are_on_plain_steps() -> None:
    with pytest.raises(InputError, match="votes = True asks for losses after plain steps: use the server fedavg"):
        replace(RUN, server="fedavgm")


def test_a_rule_that_asks_needs_the_option() -> None:
    with pytest.raises(InputError, match="vote needs the clients' losses at candidate models"):
        replace(BASE, aggregator="vote")
    assert "votes" not in BASE.content
