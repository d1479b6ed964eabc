"""The round loop: against a loop written by hand, and at every edge of a round."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from tiny import DROPOUT, NORM, Cuts, Tiny, buffers_of, hashed, reference, same
from torch import Tensor, nn

from gradskew import aggregators, attacks
from gradskew.aggregators import Aggregator, CClip, Mean, Median, MultiKrum, Outcome, WeightedRule
from gradskew.attacks import LIE, Attack, Forgery, LabelFlip, Mimic, NoAttack, View
from gradskew.core.errors import InputError
from gradskew.core.round import Round
from gradskew.core.rows import Rows
from gradskew.data.partition import IID, Parts
from gradskew.federation.clients import Shard, Training
from gradskew.federation.evaluation import evaluate
from gradskew.federation.optimizer import SGD
from gradskew.federation.rounds import Federation
from gradskew.federation.run import Run
from gradskew.federation.simulation import simulate
from gradskew.models import Linear, UserModel, initial
from gradskew.report.export import results_csv
from gradskew.report.table import Table
from gradskew.report.verdict import remarks
from gradskew.runs.record import Record

BASE = Run(
    source=Tiny(),
    partition=IID(),
    model=Linear(),
    clients=6,
    byzantine=2,
    rounds=3,
    sgd=SGD(epochs=2, batch=5, lr=0.2, momentum=0.9, weight_decay=1e-2, clip=1.0),
)


def with_rule(name: str) -> dict[str, Any]:
    """The fields of a run under this rule: one that needs more has root data, or clients that vote."""
    rule = aggregators.make(name)
    more = {"root_examples": 2, "partition": IID(), "votes": "losses" in rule.needs}
    return {"aggregator": rule, **(more if rule.needs else {})}


@dataclass(frozen=True, kw_only=True)
class Sends(Attack):
    """Every forged row has this one value in all entries; `only`: on the first forged row alone."""

    key: ClassVar[str] = "sends"
    value: float
    only: bool = False

    def forge(self, view: View) -> Forgery:
        rows = view.own.updates.clone()
        rows[: 1 if self.only else None] = self.value
        return Forgery(rows)


@dataclass(frozen=True, kw_only=True)
class Spy(Attack):
    """Writes down what it sees; sends its own rows."""

    key: ClassVar[str] = "spy"
    needs: str = "honest"  # type: ignore[misc]
    log: list[tuple[str, Any]] = field(default_factory=list, repr=False, compare=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Spy":
        return self  # one log for the test

    def observe(self, honest: Tensor, *, clients: Sequence[int] | None = None) -> None:
        self.log.append(("observe", (honest.clone(), list(clients or []))))

    def forge(self, view: View) -> Forgery:
        own = view.own.updates
        self.log.append(("call", (view.honest.updates.clone(), own.clone(), view.n, view.context)))
        return Forgery(own)

    def of(self, kind: str) -> list[Any]:
        return [seen for what, seen in self.log if what == kind]


@dataclass(frozen=True, kw_only=True)
class Meddler(Attack):
    """Misuses all it is given, and then sends its own rows."""

    key: ClassVar[str] = "meddler"

    def forge(self, view: View) -> Forgery:
        context, own = view.context, view.own.updates
        assert context is not None
        for _ in range(3):
            tried = context.rule(torch.cat([own, view.honest.updates]), 1)
        context.rule.observe(1e3 * tried)  # type: ignore[attr-defined]
        context.params.fill_(1e6)
        context.clients.clear()  # type: ignore[attr-defined]
        torch.manual_seed(0)
        return Forgery(own)


@dataclass(frozen=True, kw_only=True)
class Vandal(Attack):
    """Changes the honest rows in place."""

    key: ClassVar[str] = "vandal"

    def forge(self, view: View) -> Forgery:
        view.honest.updates.zero_()
        return Forgery(view.own.updates.neg_())


@dataclass(frozen=True, kw_only=True)
class Watched(Aggregator):
    """The mean, which writes down what it observes; after `broken` calls its aggregate is infinite."""

    key: ClassVar[str] = "watched"
    broken: float = math.inf
    log: list[tuple[str, Any]] = field(default_factory=list, repr=False, compare=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Watched":
        return replace(self, log=self.log)

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        calls = len(self.of("call"))
        self.log.append(("call", (rows.n, f)))
        value = rows.updates.mean(0)
        return Outcome(value.fill_(torch.inf) if calls >= self.broken else value, None, {"seen": rows.n})

    def observe(self, aggregate: Tensor) -> None:
        self.log.append(("observe", aggregate.clone()))

    def of(self, kind: str) -> list[Any]:
        return [seen for what, seen in self.log if what == kind]


@dataclass(frozen=True, kw_only=True)
class Weighs(WeightedRule):
    """Gives the rows these weights, whatever they are."""

    key: ClassVar[str] = "weighs"
    weights: tuple[float, ...]

    def weigh(self, rows: Rows, f: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Any]]:
        return torch.tensor(self.weights, dtype=torch.float64), {}


def planted(run: Run, rows: dict[int, float]) -> Federation:
    """A federation in which client i's update has rows[i] in every entry, 0 if it is not listed."""
    federation = Federation(run)

    def train(training: Training, params: Tensor, shards: Sequence[Shard], round: int, updates: Tensor) -> Tensor:
        for shard, row in zip(shards, updates, strict=True):
            row.fill_(rows.get(shard.client, 0.0))
        return torch.empty(len(shards), 0)

    federation.train = train
    return federation


def by_hand(run: Run, flipped: int = 0) -> tuple[Tensor, list[float], Tensor]:
    """FedAvg of all clients, in plain PyTorch: final parameters, accuracies, final buffers (their plain mean)."""
    data = run.source.load()
    parts = run.partition(data, run.clients, run.seed)
    net = initial(run.model, data.shape, data.num_classes, hashed(run.seed, "model")).module
    accuracies = []
    for round in range(run.rounds):
        rows, buffers = [], []
        for client, index in enumerate(parts):
            labels = data.train.labels[index]
            labels = data.num_classes - 1 - labels if client < flipped else labels
            row, trained = reference(net, data, Shard(client, index, labels), run.sgd, seed=run.seed, round=round)
            rows.append(row)
            buffers.append(buffers_of(trained))
        step, offset = torch.stack(rows).mean(0), 0
        with torch.no_grad():
            for weight in net.parameters():
                weight -= step[offset : offset + weight.numel()].view(weight.shape)
                offset += weight.numel()
            offset, means = 0, torch.stack(buffers).mean(0)
            for buffer in [buffer for buffer in net.buffers() if buffer.is_floating_point()]:
                buffer.copy_(means[offset : offset + buffer.numel()].view(buffer.shape))
                offset += buffer.numel()
            scores = net.eval()(data.test.inputs * data.scale + data.shift)
        accuracies.append(100 * float((scores.argmax(1) == data.test.labels).float().mean()))
    return nn.utils.parameters_to_vector(net.parameters()).detach(), accuracies, buffers_of(net)


@pytest.mark.parametrize("engine", ["loop", "batched"])
@pytest.mark.parametrize("seed", [0, 2**40 + 3])
def test_fedavg_by_hand(engine: str, seed: int) -> None:
    run = replace(BASE, engine=engine, seed=seed)
    result = simulate(run)
    params, accuracies, _ = by_hand(run)
    same(result.params, params, 1e-4)
    assert [metrics["accuracy"] for metrics in result.rounds] == pytest.approx(accuracies)
    assert [metrics["round"] for metrics in result.rounds] == [0, 1, 2]
    assert all(metrics["stepped"] and metrics["rejected"] == 0 for metrics in result.rounds)


@pytest.mark.parametrize("engine", ["loop", "batched"])
def test_labelflip_changes_what_byzantine_clients_train_on(engine: str) -> None:
    run = replace(BASE, engine=engine, attack=LabelFlip())
    params = simulate(run).params
    same(params, by_hand(run, flipped=2)[0], 1e-4)
    assert (params - by_hand(run)[0]).norm() > 1e-2, "no attack"
    federation = Federation(run)
    clients = list(range(6))
    rows, _, _ = federation.updates(clients, 0)
    before = rows.clone()
    federation.attacker.forge(rows, Rows(rows[2:]), federation.describe_round(0, clients, None), federation.rule, 2)
    assert torch.equal(rows, before), "what the training gave goes out"
    assert (rows[:2] - rows[2:].mean(0)).norm(dim=1).min() > 1e-2, "not the honest mean"


def test_dropout_and_one_client_by_hand() -> None:
    for run in (replace(BASE, model=DROPOUT, rounds=2), replace(BASE, clients=1, byzantine=0, rounds=2)):
        same(simulate(run).params, by_hand(run)[0], 1e-4)


def test_tiny_round_by_hand() -> None:
    """Rows 8, then 0, 1, 5: the mean is 3.5, the honest mean 2, and a quarter of the weight is Byzantine."""
    run = replace(BASE, clients=4, byzantine=1)
    federation = planted(run, {0: 8.0, 2: 1.0, 3: 5.0})
    before, d = federation.params.clone(), federation.flat.d
    metrics = federation.round(0)
    assert torch.equal(federation.params, before - 3.5)
    assert metrics["distance"] == pytest.approx(1.5 * math.sqrt(d))
    assert metrics["byzantine_share"] == pytest.approx(0.25)
    wanted = {"rows": 4, "byzantine_rows": 1, "rejected": 0, "f": 1, "clamped": False, "stepped": True}
    assert {name: metrics[name] for name in wanted} == wanted
    assert metrics["attack"] == {"called": True}
    metrics = planted(replace(run, aggregator=Median()), {0: 8.0, 2: 1.0, 3: 5.0}).round(0)
    assert metrics["byzantine_share"] is None, "the median has no weights"
    assert metrics["distance"] == pytest.approx(1.0 * math.sqrt(d))  # the midpoint of 1 and 5 is 3


def test_byzantine_share_of_a_selection() -> None:
    """Multi-Krum with m = 3 keeps the rows 0, 1, 1 of five, the first of them Byzantine."""
    run = replace(BASE, clients=5, byzantine=1, aggregator=MultiKrum(m=3))
    metrics = planted(run, {0: 0.0, 1: 1.0, 2: 1.0, 3: 50.0, 4: -50.0}).round(0)
    assert metrics["byzantine_share"] == pytest.approx(1 / 3)
    run = replace(BASE, clients=4, byzantine=2, aggregator=Weighs(weights=(-0.5, 1, 0, 1.5)))
    metrics = planted(run, {0: 1.0, 1: 2.0, 2: 3.0, 3: 4.0}).round(0)
    assert metrics["byzantine_share"] == pytest.approx(1.5 / 3), "of the absolute weights"


def test_sampling() -> None:
    run = replace(BASE, clients=12, sampled=5, byzantine=5, rounds=40)
    federation, counts = Federation(run), set()
    assert federation.matrix.shape == (5, federation.flat.d)
    for round in range(run.rounds):
        clients = federation.sample(round)
        assert clients == sorted(set(clients)), "Byzantine ids are the lowest, so they come first"
        assert len(clients) == 5
        assert set(clients) <= set(range(12))
        assert federation.count_byzantine(clients) == sum(client < 5 for client in clients)
        assert clients == Federation(run).sample(round)
        counts.add(federation.count_byzantine(clients))
    assert len(counts) > 2, "the number of Byzantine rows varies"
    assert {tuple(federation.sample(round)) for round in range(9)} > {tuple(federation.sample(0))}


def test_sampled_rows_are_those_clients_training() -> None:
    run = replace(BASE, clients=8, sampled=4, byzantine=2)
    federation = Federation(run)
    clients = federation.sample(1)
    rows, _, _ = federation.updates(clients, 1)
    net = initial(run.model, (3, 3), 3, hashed(0, "model")).module
    for client, row in zip(clients, rows, strict=True):
        index = federation.parts[client]
        shard = Shard(client, index, federation.dataset.train.labels[index])
        same(row, reference(net, federation.dataset, shard, run.sgd, round=1)[0])


def test_a_number_that_is_told_is_one_number() -> None:
    assert replace(BASE, told="03").digest == replace(BASE, told=3).digest


@pytest.mark.parametrize("told", ["actual", "expected", "1"])
def test_what_f_the_rule_is_told(told: str) -> None:
    """Five of twelve are Byzantine: of five rows 25/12, rounded up 3, are expected; the mean tolerates 2 of 5."""
    rule = Watched()
    result = simulate(replace(BASE, clients=12, sampled=5, byzantine=5, rounds=30, told=told, aggregator=rule))
    seen = set()
    for metrics, (n, f) in zip(result.rounds, rule.of("call"), strict=True):
        wanted = {"actual": metrics["byzantine_rows"], "expected": 3, "1": 1}[told]
        assert (n, f) == (5, min(wanted, 2))
        assert (metrics["f"], metrics["clamped"]) == (f, wanted > 2)
        seen.add(metrics["clamped"])
    assert seen == {"actual": {True, False}, "expected": {True}, "1": {False}}[told]


def test_partial_knowledge_is_drawn_once() -> None:
    """A quarter of ten honest clients, rounded up: three."""
    spy = Spy()
    run = replace(BASE, clients=12, byzantine=2, knowledge=0.25, attack=spy, rounds=3)
    federation = planted(run, {client: float(client) for client in range(12)})
    for round in range(3):
        federation.round(round)
    ids = [context.clients for *_, context in spy.of("call")]
    assert ids[0] == ids[1] == ids[2] == federation.attacker.known.nonzero()[:, 0].tolist()
    assert len(ids[0]) == 3
    assert min(ids[0]) >= 2
    for honest, own, n, context in spy.of("call"):
        assert honest[:, 0].tolist() == context.clients, "the rows of those clients"
        assert own[:, 0].tolist() == [0, 1]
        assert (n, context.classes) == (12, 3)
    others = [Federation(replace(run, seed=seed)).attacker.known for seed in range(4)]
    assert len({tuple(known.tolist()) for known in others}) > 1


def test_partial_knowledge_and_sampling() -> None:
    spy = Spy()
    run = replace(BASE, clients=16, sampled=8, byzantine=4, knowledge=0.5, attack=spy, rounds=8)
    federation = Federation(run)
    assert int(federation.attacker.known.sum()) == 6
    for round in range(8):
        federation.round(round)
        _, _, n, context = spy.of("call")[-1]
        assert context.round == round
        assert n == 8
        assert context.clients == [client for client in federation.sample(round) if federation.attacker.known[client]]


def test_redrawn_knowledge() -> None:
    spy = Spy()
    run = replace(BASE, clients=12, byzantine=2, knowledge=0.3, redraw_knowledge=True, attack=spy, rounds=6)
    simulate(run)
    ids = [context.clients for *_, context in spy.of("call")]
    assert {len(known) for known in ids} == {3}
    assert len({tuple(known) for known in ids}) > 1


@pytest.mark.parametrize(
    "change", [{"knowledge": 0}, {"byzantine": 0}, {"knowledge": 0, "redraw_knowledge": True}], ids=str
)
def test_the_attack_is_not_called_without_a_row_or_a_victim(change: dict[str, Any]) -> None:
    spy = Spy()
    result = simulate(replace(BASE, attack=spy, **change))
    assert spy.log == []
    assert all(metrics["attack"] == {"called": False} for metrics in result.rounds)
    plain = replace(BASE, **{**change, "knowledge": 1.0})
    assert result.params_sha256 == simulate(plain).params_sha256, "own rows go out unchanged"


@pytest.mark.parametrize("change", [{"knowledge": 0}, {"knowledge": 0, "redraw_knowledge": True}], ids=str)
def test_an_attack_that_needs_no_honest_row_is_called_without_one(change: dict[str, Any]) -> None:
    """It observes no row, once before each call; what it sends is what it sends where it knows all."""
    own, nothing = replace(Spy(), needs="own"), replace(Spy(), needs="nothing")
    for spy in (own, nothing):
        result = simulate(replace(BASE, attack=spy, **change))
        assert all(metrics["attack"] == {"called": True} for metrics in result.rounds)
        assert [(len(rows), ids) for rows, ids in spy.of("observe")] == [(0, [])] * 3
        assert [(len(honest), len(own), n) for honest, own, n, _ in spy.of("call")] == [(0, 2, 6)] * 3
    flipped = replace(BASE, attack=attacks.make("bitflip"))
    assert simulate(replace(flipped, **change)).params_sha256 == simulate(flipped).params_sha256
    assert simulate(flipped).params_sha256 != simulate(BASE).params_sha256


def test_own_rows_stand_in_for_the_honest_ones() -> None:
    """h = f, n stays, and the ids are those of the Byzantine clients."""
    spy = Spy()
    run = replace(BASE, clients=7, byzantine=3, known="own", attack=spy)
    planted(run, {client: float(client) for client in range(7)}).round(0)
    ((rows, ids),) = spy.of("observe")
    ((honest, own, n, context),) = spy.of("call")
    assert rows[:, 0].tolist() == honest[:, 0].tolist() == own[:, 0].tolist() == ids == context.clients == [0, 1, 2]
    assert n == 7
    for f, clients in ((2, 3), (1, 2)):  # f rows and f own rows would be more than all
        federation = planted(replace(run, byzantine=f, clients=clients, attack=spy), {})
        assert federation.round(0)["attack"] == {"called": True}


ALL_OWN = ["strike", "rop", "lie(z=None)", "opt", "fang", "adaptive(aim=stop,effort=full,limit=60)"]


@pytest.mark.parametrize("name", ALL_OWN)
def test_a_round_of_byzantine_clients_alone(name: str) -> None:
    """Own rows stand in for the honest ones, of which the round has none."""
    run = replace(BASE, clients=4, byzantine=3, sampled=2, known="own", attack=attacks.make(name), rounds=4)
    federation = Federation(run)
    numbers = [number for number in range(40) if federation.sample(number)[-1] < 3][:2]
    assert len(numbers) == 2
    for number in numbers:
        assert federation.round(number)["attack"]["called"]


def test_a_rule_is_tried_on_own_rows_with_their_own_example_counts() -> None:
    """Clients of 2, 3, 9, 9, 9 and 9 examples: a forged row of 2 and the own rows, which stand for 2 and 3."""
    spy = Spy()
    rule = aggregators.make("mean(weights=examples)")
    run = replace(BASE, clients=6, byzantine=2, known="own", attack=spy, aggregator=rule)
    federation = planted(run, {})
    federation.parts = Parts.of([np.arange(size) for size in (2, 3, 9, 9, 9, 9)])
    federation.round(0)
    ((*_, context),) = spy.of("call")
    rows = torch.tensor([[0.0], [10.0], [100.0]]).expand(3, federation.matrix.shape[1])
    assert context.rule(rows, 1)[0] == pytest.approx((2 * 0 + 2 * 10 + 3 * 100) / 7)


@pytest.mark.parametrize("name", ["lie", "mimic", "strike", "bitflip"])
def test_an_attack_on_own_rows_by_hand(name: str) -> None:
    """What the attack makes of rows 0, 1, 5 alone; honest rows play no part."""
    run = replace(BASE, clients=7, byzantine=3, known="own", attack=attacks.make(name))
    federation = planted(run, {1: 1.0, 2: 5.0, 3: 8.0, 4: 7.0, 5: 9.0, 6: 6.0})
    federation.round(0)
    own = torch.tensor([0.0, 1.0, 5.0])[:, None].expand(3, federation.matrix.shape[1])
    attack = attacks.make(name)
    attack.begin(run.seed)
    attack.observe(own, clients=[0, 1, 2])
    assert torch.equal(federation.matrix[:3], attack(own, own, n=7))
    assert federation.matrix[3:, 0].tolist() == [8, 7, 9, 6]


def test_the_rounds_of_the_attack() -> None:
    """In rounds 1 and 3 the labels are flipped and the rows forged; in the others both are the client's own."""
    spy = Spy()
    run = replace(BASE, attack=spy, rounds=5, attack_rounds="1:4:2")
    called = [metrics["attack"]["called"] for metrics in simulate(run).rounds]
    assert called == [False, True, False, True, False]
    assert len(spy.of("observe")) == 2
    for name in ("labelflip", "labelflip+bitflip"):
        attacked, plain = (Federation(replace(run, attack=attacks.make(each))) for each in (name, "none"))
        everywhere = Federation(replace(run, attack=attacks.make(name), attack_rounds=None))
        for number in range(5):
            attacked.params.copy_(plain.params)
            everywhere.params.copy_(plain.params)
            for federation in (attacked, everywhere, plain):
                federation.round(number)
            wanted = everywhere if number in (1, 3) else plain
            assert torch.equal(attacked.matrix, wanted.matrix)
            assert not torch.equal(everywhere.matrix, plain.matrix)


def test_rounds_outside_the_attack_are_no_remark() -> None:
    records = [Record.of(simulate(replace(BASE, attack_rounds="1:", attack=attacks.make("lie"))))]
    table = Table(records)
    assert "attack in rounds 1:" in table.federation
    assert not [line for line in remarks(table) if "was not run" in line]


def test_a_round_without_a_byzantine_row() -> None:
    spy = Spy()
    result = simulate(replace(BASE, clients=12, sampled=3, byzantine=1, rounds=8, attack=spy))
    called = [metrics["attack"]["called"] for metrics in result.rounds]
    assert called == [metrics["byzantine_rows"] > 0 for metrics in result.rounds]
    assert set(called) == {True, False}
    assert len(spy.of("observe")) == len(spy.of("call")) == sum(called)
    free = [metrics for metrics in result.rounds if not metrics["byzantine_rows"]]
    assert all((metrics["f"], metrics["byzantine_share"]) == (0, 0.0) for metrics in free)


def test_a_round_of_byzantine_rows_alone() -> None:
    run = replace(BASE, clients=5, sampled=1, byzantine=4, rounds=5, attack=Sends(value=9.0))
    result = simulate(run)
    alone = [metrics for metrics in result.rounds if metrics["byzantine_rows"] == 1]
    assert alone
    for metrics in alone:
        assert metrics["attack"] == {"called": False}
        assert metrics["stepped"]
        assert (metrics["f"], metrics["clamped"]) == (0, True)
        assert metrics["byzantine_share"] == 1
        assert metrics["distance"] is None


OVERFLOW = replace(BASE, partition=Cuts(sizes=(8,) * 6), source=Tiny(overflow=16), sgd=replace(BASE.sgd, clip=None))


def test_no_honest_row_left() -> None:
    """Training overflows on the images of all honest clients: only the two Byzantine rows stay."""
    spy, rule = Spy(), Watched()
    result = simulate(replace(OVERFLOW, attack=spy, aggregator=rule))
    assert spy.log == []
    assert rule.of("call") == [(2, 0)] * 3
    for metrics in result.rounds:
        assert (metrics["rows"], metrics["byzantine_rows"], metrics["rejected"]) == (2, 2, 4)
        assert (metrics["f"], metrics["clamped"], metrics["distance"]) == (0, True, None)
        assert metrics["stepped"]
    two = replace(BASE, clients=2, byzantine=0, partition=Cuts(sizes=(8, 8)), sgd=OVERFLOW.sgd)
    same(result.params, simulate(two).params, 1e-4)


@pytest.mark.parametrize("rule", [*aggregators.RULES, "nnm+rfa", "bucketing+multikrum", "nnm+bucketing+median"])
def test_nothing_finite(rule: str) -> None:
    run = replace(OVERFLOW, source=Tiny(overflow=0), **with_rule(rule))
    result = simulate(run)
    start = Federation(run).params
    assert torch.equal(result.params, start), "the model stays"
    for metrics in result.rounds:
        assert (metrics["rows"], metrics["rejected"], metrics["stepped"]) == (0, 6, False)
        assert metrics["byzantine_share"] is metrics["distance"] is None
        assert 0 <= metrics["accuracy"] <= 100


def test_honest_rows_that_overflow_are_taken_out_before_the_attack() -> None:
    spy = Spy()
    result = simulate(replace(OVERFLOW, source=Tiny(overflow=40), attack=spy, knowledge=1.0))  # the last client's
    for honest, own, n, context in spy.of("call"):
        assert honest.isfinite().all()
        assert (len(honest), len(own), n, context.clients) == (3, 2, 5, [2, 3, 4])
    assert [metrics["rejected"] for metrics in result.rounds] == [1, 1, 1]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("rule", [*aggregators.RULES, "nnm+median"])
def test_rows_that_are_not_finite_cannot_reach_the_model(value: float, rule: str) -> None:
    run = replace(BASE, attack=Sends(value=value, only=True), byzantine=1, rounds=1, **with_rule(rule))
    result = simulate(run)
    metrics = result.rounds[0]
    assert result.params.isfinite().all()
    assert (metrics["rows"], metrics["byzantine_rows"], metrics["rejected"]) == (5, 0, 1)
    assert metrics["attack"] == {"called": True}
    assert metrics["f"] == min(1, run.aggregator.max_f(5)), "n falls, f stays but for the clamp"
    assert metrics["stepped"]
    assert metrics["byzantine_share"] in (None, 0.0)


def test_some_forged_rows_not_finite() -> None:
    """Two attackers send NaN and 8 (its own row); honest rows are 0, 1, 5, 0: the mean is 14/5, f stays 2."""
    federation = planted(replace(BASE, attack=Sends(value=math.nan, only=True)), {0: 7.0, 1: 8.0, 3: 1.0, 4: 5.0})
    before = federation.params.clone()
    metrics = federation.round(0)
    same(federation.params, before - 14 / 5)
    assert (metrics["rows"], metrics["byzantine_rows"], metrics["rejected"], metrics["f"]) == (5, 1, 1, 2)
    assert metrics["distance"] == pytest.approx((14 / 5 - 6 / 4) * math.sqrt(federation.flat.d))


@pytest.mark.parametrize("rule", [*aggregators.RULES, "nnm+rfa", "bucketing+multikrum"])
@pytest.mark.parametrize("value", [1e30, -1e30, 3e38])
def test_huge_rows_are_input_like_any_other(rule: str, value: float) -> None:
    result = simulate(replace(BASE, attack=Sends(value=value), byzantine=1, rounds=2, **with_rule(rule)))
    first = result.rounds[0]
    assert first["rejected"] == 0
    assert first["stepped"]
    assert math.isfinite(first["distance"])
    assert result.params.isfinite().all()
    if rule in ("multikrum", "median", "rbtm", "aksel", "dnc"):
        assert first["distance"] < 10, "no weight on it"


def test_an_aggregate_that_is_not_finite() -> None:
    rule = Watched(broken=1)
    run = replace(BASE, aggregator=rule)
    result = simulate(run)
    assert [metrics["stepped"] for metrics in result.rounds] == [True, False, False]
    assert [metrics["distance"] is None for metrics in result.rounds] == [False, True, True]
    assert len(rule.of("call")) == 3
    same(result.params, simulate(replace(BASE, rounds=1)).params)
    assert len(rule.of("observe")) == 1, "a step that is not taken is not observed"
    assert all(metrics["rule"] == {"seen": 6} for metrics in result.rounds)


def test_a_rule_that_gives_no_row_any_weight() -> None:
    metrics = simulate(replace(BASE, aggregator=Weighs(weights=(0,) * 6), rounds=1)).rounds[0]
    assert metrics["stepped"]
    assert metrics["byzantine_share"] is None


def test_observe_once_a_round_before_the_call() -> None:
    spy, rule = Spy(), Watched()
    result = simulate(replace(BASE, attack=spy, aggregator=rule))
    assert [what for what, _ in spy.log] == ["observe", "call"] * 3
    for (rows, clients), (honest, _, _, context) in zip(spy.of("observe"), spy.of("call"), strict=True):
        assert torch.equal(rows, honest)
        assert clients == context.clients == [2, 3, 4, 5]
    assert [what for what, _ in rule.log] == ["call", "observe"] * 3
    start = Federation(BASE).params
    total = torch.stack(rule.of("observe")).double().sum(0)
    same(start - result.params, total, 1e-5)


def test_an_attack_is_not_told_the_servers_own_update() -> None:
    class Watcher(Spy):
        def observe(self, honest: Any, *, clients: Any = None, round: Round | None = None) -> None:
            self.log.append(("round", round))

    spy = Watcher()
    run = replace(BASE, attack=spy, aggregator=aggregators.make("fltrust"), root_examples=4)
    federation = Federation(run)
    federation.round(0)
    (told,) = spy.of("round")
    assert told.reference is None
    assert told.params is not None


def test_a_rejected_row_does_not_end_a_run_with_a_pivot() -> None:
    """Six clients, of which the first sends rows that are not finite: row 5 is there no more, the last is trusted."""
    for mixing in ("", "nnm+"):
        rule = aggregators.make(f"{mixing}monna(pivot={BASE.clients - 1})")
        metrics = Federation(replace(BASE, attack=attacks.make("nonfinite"), aggregator=rule)).round(0)
        assert metrics["rejected"] > 0
        assert metrics["stepped"]


def test_a_pivot_beyond_the_rows_of_a_round_is_refused_at_the_start() -> None:
    for pivot in (BASE.clients, -BASE.clients - 1):
        with pytest.raises(InputError, match=f"pivot = {pivot} is none of the {BASE.clients} rows of a round"):
            Federation(replace(BASE, aggregator=aggregators.make(f"nnm+monna(pivot={pivot})")))


def test_what_an_attack_is_told() -> None:
    spy = Spy()
    run = replace(BASE, attack=spy, byzantine=3)
    result = simulate(run)
    contexts = [context for *_, context in spy.of("call")]
    assert [context.round for context in contexts] == [0, 1, 2]
    assert [context.f for context in contexts] == [2, 2, 2] == [metrics["f"] for metrics in result.rounds]
    assert torch.equal(contexts[0].params, Federation(run).params)
    same(contexts[1].params, simulate(replace(run, rounds=1)).params, 1e-7)
    rows = torch.tensor([[0.0], [3.0]])
    assert contexts[0].rule(rows, 0) == 1.5, "the server's own rule"


@pytest.mark.parametrize("rule", [CClip(tau=0.5), Mean()])
def test_an_attack_cannot_move_what_it_looks_at(rule: Aggregator) -> None:
    plain = simulate(replace(BASE, aggregator=rule, attack=NoAttack(), model=DROPOUT))
    with torch.random.fork_rng():
        meddled = simulate(replace(BASE, aggregator=rule, attack=Meddler(), model=DROPOUT))
    assert meddled.params_sha256 == plain.params_sha256
    assert [m["distance"] for m in meddled.rounds] == [m["distance"] for m in plain.rounds]


def test_an_attack_that_changes_the_honest_rows_is_told_off() -> None:
    with pytest.raises(InputError, match="the attack vandal changed the honest rows"):
        simulate(replace(BASE, attack=Vandal()))
    federation = planted(replace(BASE, attack=Vandal(), knowledge=0.5), {2: 1.0})
    with pytest.raises(InputError, match="changed the honest rows"):
        federation.round(0)


@dataclass(frozen=True, kw_only=True)
class Narrow(Attack):
    """One row too few."""

    key: ClassVar[str] = "narrow"

    def forge(self, view: View) -> Forgery:
        return Forgery(view.own.updates[1:])


def test_rows_of_a_wrong_shape() -> None:
    with pytest.raises(InputError, match=r"the attack narrow gave rows of shape \(1, 30\), not \(2, 30\)"):
        simulate(replace(BASE, attack=Narrow()))


def test_objects_given_in_a_run_are_not_changed_and_start_afresh() -> None:
    rule, attack = CClip(tau=0.1), Mimic(warmup=2)
    run = replace(BASE, aggregator=rule, attack=attack)
    fresh = simulate(run)
    assert rule.state_dict() == attack.state_dict() == {}
    targets = [metrics["attack"]["target"] for metrics in fresh.rounds]
    stale = min({2, 3, 4, 5} - set(targets))
    rule.observe(torch.full((30,), 5.0))
    attack.load_state_dict({"round": 2, "mu": torch.zeros(30), "z": torch.ones(30), "target": stale})
    centre = rule.state_dict()["centre"]
    again = simulate(run)
    assert [metrics["attack"]["target"] for metrics in again.rounds] == targets
    assert again.params_sha256 == fresh.params_sha256
    assert torch.equal(rule.state_dict()["centre"], centre)
    assert attack.state_dict()["target"] == stale


def test_state_lives_on_from_round_to_round() -> None:
    """Rows of 8 and tau = sqrt(30): the centre moves by at most 1 in each entry a round: 1, 2, 3."""
    run = replace(BASE, byzantine=0, aggregator=CClip(tau=math.sqrt(30)))
    federation = planted(run, dict.fromkeys(range(6), 8.0))
    before = federation.params.clone()
    for round in range(3):
        federation.round(round)
    same(before - federation.params, torch.full((30,), 6.0))


def test_notes_reach_the_record() -> None:
    rule = aggregators.make("bucketing+rfa")
    for metrics in simulate(replace(BASE, clients=10, attack=attacks.make("strike"), aggregator=rule)).rounds:
        assert metrics["attack"]["called"] is True
        assert metrics["attack"]["alpha"] > 0
        assert metrics["rule"]["f of rfa"] == 2  # of five buckets


def test_on_round() -> None:
    metrics = []
    result = simulate(BASE, on_round=metrics.append)
    assert [each["round"] for each in metrics] == [0, 1, 2]
    assert metrics == result.rounds


def test_batch_norm_statistics_are_the_mean_of_accepted_rows() -> None:
    run = replace(BASE, model=NORM, rounds=2)
    result = simulate(run)
    params, accuracies, buffers = by_hand(run)
    same(result.params, params, 1e-4)
    same(result.buffers, buffers, 1e-4)
    assert [metrics["accuracy"] for metrics in result.rounds] == pytest.approx(accuracies)


def test_batch_norm_statistics_of_rejected_and_forging_clients() -> None:
    """A rejected client's statistics do not count; those of a forger are its own."""
    run = replace(BASE, model=NORM, rounds=1, attack=Sends(value=math.nan, only=True))
    federation = Federation(run)
    own = federation.updates(list(range(6)), 0)[1]
    assert federation.round(0)["rejected"] == 1
    same(federation.flat.read_buffers(), own[1:].mean(0))


def test_aggregated_statistics_without_an_attack_are_the_mean() -> None:
    sizes = (1, 5, 6, 11, 12, 13)  # batches of 5, a rest of one is skipped: 0, 1, 1, 2, 3, 3 an epoch
    run = replace(BASE, model=NORM, rounds=1, partition=Cuts(sizes=sizes), byzantine=0)
    plain, together = simulate(run), simulate(replace(run, buffers="aggregated"))
    same(together.params, plain.params)
    same(together.buffers[:-1], plain.buffers)
    assert together.buffers[-1] == 3, "2 epochs: (0 + 2 + 2 + 4 + 6 + 6) / 6 is 10/3, to the nearest integer"


@pytest.mark.parametrize("value", [30.0, 1e30, -7.3])
def test_aggregated_statistics_under_attack(value: float) -> None:
    run = replace(BASE, model=NORM, attack=Sends(value=value), buffers="aggregated")
    federation = Federation(run)
    d = federation.flat.d
    assert federation.matrix.shape[1] == d + 9, "four means, four variances and a counter are forged with the row"
    assert federation.round(0)["stepped"]
    part = federation.flat.module[2]
    assert part.num_batches_tracked.dtype == torch.int64
    if value > 0:
        assert part.running_var.tolist() == [0] * 4, "driven below zero, held there"
    federation.round(1)
    assert (part.running_var >= 0).all()
    assert federation.params.isfinite().all()


def test_batch_norm_and_dropout_refuse_the_batched_engine() -> None:
    for model in (NORM, DROPOUT):
        vectorised = UserModel(factory=model.factory, vectorised=True)
        with pytest.raises(InputError, match="has batch norm or dropout: use engine = loop"):
            simulate(replace(BASE, model=vectorised, engine="batched"))


@pytest.mark.parametrize(
    ("name", "byzantine", "notes", "clamped"),
    [
        ("bucketing+multikrum", 2, {"f of multikrum": 0}, True),  # three buckets: multikrum tolerates none
        ("nnm+bucketing+median", 2, {"f of bucketing+median": 2, "f of median": 1}, True),  # median tolerates one
        ("bucketing+nnm+median", 2, {"f of nnm+median": 1, "f of median": 1}, True),
        ("nnm+bucketing+median", 1, {"f of bucketing+median": 1, "f of median": 1}, False),
        ("nnm+median", 2, {"f of median": 2}, False),
    ],
)
def test_clamping_behind_buckets_is_recorded(name: str, byzantine: int, notes: dict[str, int], clamped: bool) -> None:
    """Six rows in three buckets. Each stage says what it was told."""
    result = simulate(replace(BASE, byzantine=byzantine, aggregator=aggregators.make(name)))
    for metrics in result.rounds:
        assert (metrics["f"], metrics["clamped"]) == (byzantine, clamped)
        assert {key: told for key, told in metrics["rule"].items() if key.startswith("f of")} == notes
        assert "clamped" not in metrics["rule"]
    record = Record.of(result)
    (row,) = csv.DictReader(io.StringIO(results_csv([record])))
    assert row["clamped_rounds"] == ("3" if clamped else "0")
    said = [line for line in remarks(Table([record])) if "largest possible f" in line]
    assert said == [f"{name} got its largest possible f, which is below the number of Byzantine rows."] * clamped


@pytest.mark.parametrize("name", ["__call__", "explain"])
@pytest.mark.parametrize("base", [LIE, Mimic, NoAttack, Attack, Median])
def test_the_call_is_final(name: str, base: type) -> None:
    """Its checks would not hold for a subclass that overrides it."""
    with pytest.raises(TypeError, match=rf"Loud must override (forge|outcome), not {name}"):
        type("Loud", (base,), {name: lambda self, *args, **given: None})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"attack": "median"}, "unknown attack 'median'"),
        ({"aggregator": "strike"}, "unknown rule 'strike'"),
        ({"model": "strike"}, "unknown model 'strike'"),
        ({"partition": "strike"}, "unknown partition 'strike'"),
        ({"source": "strike"}, "unknown dataset 'strike'"),
        ({"attack": 3}, "attack must be a name, a function or an Attack, not 3"),
        ({"aggregator": 3}, "rule must be a name, a function or an Aggregator, not 3"),
        ({"attack": Median()}, "attack must be a name, a function or an Attack, not Median"),
        ({"model": 3}, r"model must be a name, a Model or a function of \(shape, num_classes\), not 3$"),
        ({"partition": 3}, "a partition is a name or a Partition, not 3"),
        ({"source": 3}, "a dataset is a name, a Source, arrays .* not of type int"),
        ({"sgd": "strike"}, "sgd must be an object of type SGD, not 'strike'"),
    ],
    ids=str,
)
def test_what_is_neither_a_name_nor_an_object_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=f"^{says}") as caught:
        replace(BASE, **given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_callers_gradient_mode_does_not_matter(mode: Any) -> None:
    run = replace(BASE, attack=LIE(), aggregator=aggregators.make("nnm+rfa"))
    wanted = simulate(run).params_sha256
    with mode():
        fresh = replace(run, source=Tiny())
        assert len(fresh.digest) == 64  # loads the data under this mode
        assert simulate(fresh).params_sha256 == wanted
        assert torch.is_inference_mode_enabled() == (mode is torch.inference_mode)
    assert simulate(fresh).params_sha256 == wanted


def test_the_model_is_tested_every_so_many_rounds_and_after_the_last_five():
    every, some = (simulate(replace(BASE, rounds=12, evaluate_every=k)) for k in (1, 3))
    accuracies = [metrics["accuracy"] for metrics in some.rounds]
    assert [t for t, accuracy in enumerate(accuracies) if accuracy is None] == [0, 1, 3, 4, 6]
    assert some.params_sha256 == every.params_sha256
    tested = [(a, m["accuracy"]) for a, m in zip(accuracies, every.rounds, strict=True) if a is not None]
    assert all(a == b for a, b in tested)
    record = Record.of(some)
    assert record.accuracy == Record.of(every).accuracy
    assert record.best_accuracy == max(b for _, b in tested)
    assert "evaluate_every" not in every.run.content


@pytest.mark.parametrize(
    ("images", "pixels", "at_once"), [(1000, 1 << 25, 20), (7, 1 << 25, 7), (1000, 50, 5), (1000, 1, 1)]
)
def test_all_test_images_are_scored_however_many_at_once(images, pixels, at_once, monkeypatch):
    """Tiny has 20 test images of 9 entries: 50 entries are 5 of them."""
    whole = simulate(BASE).rounds[-1]["accuracy"]
    monkeypatch.setattr("gradskew.data.base.MAX_TEST_BATCH", images)
    monkeypatch.setattr("gradskew.data.base.MAX_TEST_ENTRIES", pixels)
    assert simulate(BASE).rounds[-1]["accuracy"] == whole
    federation, scored = Federation(BASE), []
    federation.flat.module.register_forward_hook(lambda module, given, scores: scored.append(len(scores)))
    evaluate(federation.flat, federation.dataset, federation.loss)
    assert sum(scored) == len(federation.dataset.test)
    assert max(scored) == at_once
