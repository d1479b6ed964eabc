"""FLTrust by hand, and what a server knows of a round: given by the rows, refused where it is missing."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from cases import rows_of
from tiny import Cuts, Tiny, same

import gradskew as gs
from gradskew.aggregators import Aggregator, FLTrust, Mean, Mixed, Mixing, Outcome
from gradskew.attacks import Attack, Forgery, View
from gradskew.core.round import Round
from gradskew.core.rows import Rows
from gradskew.data import Dataset
from gradskew.federation import SGD, Federation, Run, simulate
from gradskew.federation.clients import Shard
from gradskew.federation.held_out import hold_out
from gradskew.models import Linear

OWN = torch.tensor([1.0, 0.0])
ROUND = Round(reference=OWN)
ROWS = rows_of((2, 0), (0, 3), (-5, 0), (3, 4))
BASE = Run(
    source=Tiny(),
    partition=Cuts(sizes=(6, 6, 6, 6, 6, 6)),
    model=Linear(),
    clients=6,
    byzantine=2,
    rounds=2,
    sgd=SGD(epochs=2, batch=5, lr=0.2),
    root_examples=12,
)


def test_by_hand() -> None:
    """Cosines 1, 0, -1, 0.6; norms 2, 3, 5, 5: (1 (1, 0) + 0.6 (0.6, 0.8)) / 1.6 = (0.85, 0.30)."""
    outcome = FLTrust().explain(ROWS, 1, round=ROUND)
    same(outcome.value, torch.tensor([0.85, 0.30]))
    assert outcome.weights.tolist() == pytest.approx([0.5 / 1.6, 0, 0, 0.12 / 1.6])
    assert outcome.notes == {"trusted": 2}


@pytest.mark.parametrize("name", ["fltrust", "clipping(c=100)+fltrust", "average(a=fltrust,b=mean)"])
def test_a_row_counts_by_weight_times_length(name: str) -> None:
    """Trust scores 1, 0, 0 and 3/5: the first row counts 1 of 1.6, and a short row does not count more than a long one.

    Averaged with the mean, of which it counts 1/4: (1/1.6 + 1/4) / 2.
    """
    outcome = gs.aggregators.make(name).explain(ROWS, 1, round=ROUND)
    wanted = (1 / 1.6 + 1 / 4) / 2 if "mean" in name else 1 / 1.6
    assert outcome.share(1) == pytest.approx(wanted)


def test_a_longer_reference_lengthens_the_aggregate_and_no_row_does() -> None:
    same(FLTrust()(ROWS, 1, round=Round(reference=3 * OWN)), torch.tensor([2.55, 0.90]))
    same(FLTrust()(ROWS * torch.tensor([[7.0], [1.0], [1.0], [1e30]]), 1, round=ROUND), torch.tensor([0.85, 0.30]))


@pytest.mark.parametrize("own", [(0, 0), (-1, 0)])
@pytest.mark.parametrize("rows", [rows_of((2, 0), (0, 3)), rows_of((0, 0), (0, 0))])
def test_no_row_is_trusted(own: tuple[int, int], rows: torch.Tensor) -> None:
    outcome = FLTrust().explain(rows, 0, round=Round(reference=torch.tensor(own, dtype=torch.float32)))
    assert outcome.value.tolist() == outcome.weights.tolist() == [0, 0]
    assert outcome.notes == {"trusted": 0}
    assert outcome.share(1) is None


def test_all_rows_count_equally_where_none_is_trusted_and_that_is_asked_for() -> None:
    """(2, 0) and (0, 3), scaled to the norm 1 of (-1, 0), on average."""
    rows, round = rows_of((2, 0), (0, 3)), Round(reference=-OWN)
    outcome = FLTrust(none_trusted="uniform").explain(rows, 0, round=round)
    same(outcome.value, torch.tensor([0.5, 0.5]))
    assert outcome.weights.tolist() == pytest.approx([1 / 4, 1 / 6])
    assert outcome.notes == {"trusted": 0}


def test_behind_nearest_neighbour_mixing_the_reference_stays() -> None:
    """Each of three rows becomes the mean of two: (1, 0), (1, 0), (0, 2) give (1, 0), (1, 0), (0.5, 1)."""
    rows = rows_of((1, 0), (1, 0), (0, 2))
    cosine = 0.5 / 1.25**0.5
    wanted = (2 * torch.tensor([1.0, 0.0]) + cosine * torch.tensor([0.5, 1.0]) / 1.25**0.5) / (2 + cosine)
    same(gs.aggregators.make("nnm+fltrust")(rows, 1, round=ROUND), wanted)


@pytest.mark.parametrize("name", ["fltrust", "nnm+fltrust"])
def test_without_root_data_one_line_says_what_gives_it(name: str) -> None:
    rule = gs.aggregators.make(name)
    with pytest.raises(gs.InputError, match=r"fltrust needs the server's own update: root_examples = 100"):
        rule(ROWS, 1)
    with pytest.raises(gs.InputError, match=r"fltrust needs the server's own update: root_examples = 100"):
        replace(BASE, root_examples=0, aggregator=rule)


def test_a_reference_of_another_length() -> None:
    with pytest.raises(gs.InputError, match=r"the reference must have the shape \(2,\), not \(3,\)"):
        FLTrust()(ROWS, 1, round=Round(reference=torch.ones(3)))


@dataclass(frozen=True, kw_only=True)
class Written(Tiny):
    """The images of twelve writers, four each."""

    key: ClassVar[str] = "written"

    def read(self) -> Dataset:
        dataset = super().read()
        writers = torch.arange(48) // 4
        return replace(dataset, train=replace(dataset.train, writers=writers))


@dataclass(frozen=True, kw_only=True)
class Asks(Aggregator):
    """The mean, for who knows the clients; notes the ids that it was given."""

    key: ClassVar[str] = "asks"
    needs: ClassVar[frozenset[str]] = frozenset({"clients", "examples", "params", "layers"})

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        round = rows.round
        assert round.examples is not None
        assert round.params is not None
        assert round.layers is not None
        layers = {name: [layer.columns.start, layer.columns.stop, *layer.shape] for name, layer in round.layers.items()}
        notes = {"clients": list(round.clients or ()), "examples": round.examples.tolist(), "layers": layers}
        return Outcome(rows.updates.mean(0), None, {**notes, "norm": float(round.params.norm())})


@dataclass(frozen=True, kw_only=True)
class Same(Mixing):
    """Leaves the rows as they are."""

    key: ClassVar[str] = "same"
    keeps_rows: ClassVar[bool] = True

    def matrix(self, rows: Rows, f: int, generator: torch.Generator) -> torch.Tensor:
        return torch.eye(rows.n, dtype=torch.float64)


def test_a_rule_that_needs_the_clients_is_refused_behind_a_mixing_when_it_is_built() -> None:
    for name in ("nnm", "bucketing"):
        mixing = gs.aggregators.MIXINGS.classes[name]()
        with pytest.raises(gs.InputError, match=f"asks needs clients and examples, and {name} mixes the rows"):
            Mixed(mixing=mixing, rule=Asks())
    assert Mixed(mixing=Same(), rule=Asks()).needs == Asks.needs


def test_the_simulation_tells_a_rule_all_that_a_server_knows() -> None:
    run = replace(BASE, sampled=4, root_examples=0, rounds=3)
    for rule in (Asks(), Mixed(mixing=Same(), rule=Asks())):
        federation = Federation(replace(run, aggregator=rule))
        for number in range(3):
            norm = float(federation.params.norm())
            notes = federation.round(number)["rule"]
            assert notes["clients"] == federation.sample(number)
            assert notes["examples"] == [6] * 4
            assert notes["layers"] == {"1.weight": [0, 27, 3, 9], "1.bias": [27, 30, 3]}
            assert notes["norm"] == norm, "w^t, before the step"


@pytest.mark.parametrize("engine", ["loop", "batched"])
def test_the_reference_is_trained_on_the_root_data_as_a_client_trains(engine: str) -> None:
    run = replace(BASE, partition=gs.IID(), aggregator=FLTrust(), engine=engine)
    federation = Federation(run)
    assert len(federation.root) == 12
    dealt = torch.cat([*federation.parts, federation.root])
    assert sorted(dealt.tolist()) == list(range(48)), "the root data is held out of the clients' images"
    rows, _, own = federation.updates(list(range(6)), 0)
    alone = torch.empty(1, federation.flat.d)
    shard = Shard(6, federation.root, federation.labels[federation.root])
    federation.train(federation.training, federation.params, [shard], 0, alone)
    same(own, alone[0], 1e-4)
    assert len(rows) == 6


def test_the_root_data_is_the_same_draw_for_every_seed_and_changes_the_digest() -> None:
    roots = [Federation(replace(BASE, partition=gs.IID(), seed=seed)).root.tolist() for seed in (0, 1)]
    assert roots[0] == roots[1]
    digests = {replace(BASE, partition=gs.IID(), root_examples=count).digest for count in (0, 12, 13)}
    assert len(digests) == 3


@pytest.mark.parametrize("count", [48, 100, -1, 1.5])
def test_root_data_must_leave_images_to_the_clients(count: float) -> None:
    with pytest.raises(gs.InputError, match="root_examples"):
        simulate(replace(BASE, partition=gs.IID(), root_examples=count))


@dataclass(frozen=True, kw_only=True)
class Tries(Attack):
    """Sends what the rule makes of the honest rows, twice."""

    key: ClassVar[str] = "tries"

    def forge(self, view: View) -> Forgery:
        assert view.context is not None
        value = view.context.rule(view.honest.updates, 0)
        mean = view.honest.updates.double().mean(0).float()
        exact = FLTrust()(view.honest.updates, 0, round=Round(reference=mean))
        return Forgery(value.expand(view.f, -1), {"off": float((value - exact).norm() / exact.norm())})


@dataclass(frozen=True, kw_only=True)
class Overflows(Tiny):
    """Training images that overflow float32, but for the clients' first ones; the root data has some of them."""

    key: ClassVar[str] = "overflows"
    overflow: int | None = 6


@pytest.mark.parametrize("none_trusted", ["zero", "uniform"])
def test_a_servers_update_that_is_not_finite_is_zero_and_noted(none_trusted: str) -> None:
    rule, sgd = FLTrust(none_trusted=none_trusted), replace(BASE.sgd, clip=None)
    run = replace(BASE, source=Overflows(), partition=gs.IID(), aggregator=rule, sgd=sgd)
    federation = Federation(run)
    before = federation.params.clone()
    metrics = federation.round(0)
    assert metrics["rule"] == {"trusted": 0, "reference": "zero or not finite"} or metrics["rows"] == 0
    assert torch.equal(federation.params, before)
    assert metrics["byzantine_share"] is None
    assert gs.Record.of(simulate(run)).to_json()


def test_a_round_given_to_mixed_rows_leaves_them_mixed() -> None:
    rows = Rows(ROWS)
    gram = rows.gram
    mixed = rows.mix(torch.tensor([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]))
    again = Rows.of(mixed, ROUND)
    assert (again.n, again.round, mixed.round.reference) == (2, ROUND, None)
    same(gs.aggregators.make("mean")(again, 0), ROWS.mean(0))
    assert Rows.of(rows, ROUND).gram is gram, "nothing is computed again"


def test_rules_that_do_not_need_it_do_not_pay_for_the_servers_training() -> None:
    assert replace(BASE, aggregator=FLTrust()).trains_reference
    run = replace(BASE, partition=gs.IID())
    assert not run.trains_reference
    federation = Federation(run)
    assert (federation.updates(list(range(6)), 0)[2], len(federation.root), len(federation.matrix)) == (None, 12, 6)


def test_an_attacker_who_tries_the_rule_has_the_honest_mean_for_the_servers_update() -> None:
    result = simulate(replace(BASE, partition=gs.IID(), aggregator=FLTrust(), attack=Tries()))
    assert [metrics["attack"]["off"] < 1e-5 for metrics in result.rounds] == [True, True]


def test_writers_that_lose_all_images_to_the_server_are_no_clients() -> None:
    """Twelve writers of four images each; of 24 held out, the default number of clients counts who is left."""
    run = replace(BASE, source=Written(), partition=gs.ByWriter(), root_examples=40, clients=1, byzantine=0)
    dataset, root, rest = hold_out(Written().load(), 40)
    writers = dataset.train.writers
    assert writers is not None
    left = len(writers.unique())
    assert gs.ByWriter().writers(dataset) == left < 12
    federation = Federation(replace(run, clients=left))
    assert sorted(torch.cat([*federation.parts, root]).tolist()) == list(range(48))
    assert rest.tolist() == sorted(rest.tolist())


def test_the_mean_needs_nothing() -> None:
    assert Mean().needs == frozenset()
