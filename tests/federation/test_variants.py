"""Variants of local training: both engines against an oracle in float64, identities bit for bit, examples by hand."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_clients_modules import Counts, Warm, user
from tiny import NORM, Cuts, Tiny, masked, same, tied
from torch import Tensor
from training_oracle import Oracle, sum_of_weights

from gradskew import SGD, InputError, Run, aggregators, simulate
from gradskew.core.rows import Rows
from gradskew.federation.batches import Shard, batches, num_steps
from gradskew.federation.fednova import accumulated, factors
from gradskew.federation.local import FedProx, Scaffold, Variant
from gradskew.federation.remembering import WorkerMomentum
from gradskew.federation.rounds import Federation
from gradskew.federation.terms import Terms
from gradskew.models import CNN, MLP, UserModel

SIZES = (5, 1, 12, 7, 3, 9)
EPOCHS = SGD(epochs=2, batch=4, lr=0.1, momentum=0.9, weight_decay=1e-2, clip=0.5)
STEPS = replace(EPOCHS, epochs=1, local_steps=5)
PLAIN_STEPS = replace(STEPS, momentum=0.0)
ONE = replace(EPOCHS, epochs=1, local_steps=1)
BASE = Run(
    source=Tiny(shape=(4, 4)),
    partition=Cuts(sizes=SIZES),
    model=MLP(hidden=6),
    clients=6,
    sampled=4,
    byzantine=2,
    rounds=4,
    sgd=EPOCHS,
    lens=False,
)
VARIANTS = {
    "fedprox": {"local": "fedprox(mu=0.5)"},
    "steps": {"sgd": STEPS},
    "fedprox in steps": {"sgd": STEPS, "local": "fedprox(mu=1.0)"},
    "one gradient": {"sgd": ONE, "rows": "gradient"},
    "momenta of gradients": {"sgd": ONE, "rows": "gradient", "worker_momentum": 0.9},
    "worker momentum": {"worker_momentum": 0.9},
    "from the first row": {"worker_momentum": 0.5, "worker_momentum_start": "first"},
    "scaffold": {"sgd": PLAIN_STEPS, "local": "scaffold"},
    "scaffold, sent": {"sgd": PLAIN_STEPS, "local": "scaffold(control=sent)"},
    "scaffold of gradients": {"sgd": replace(ONE, momentum=0.0), "rows": "gradient", "local": "scaffold"},
    "fednova": {"rows": "fednova"},
    "ascent": {"attack": "bitflip(how=training)"},
    "ascent in scaffold": {"sgd": PLAIN_STEPS, "local": "scaffold", "attack": "bitflip(how=training)"},
    "ascent in fedprox": {"attack": "bitflip(how=training)", "local": "fedprox(mu=0.5)"},
    "fedavgm": {"server": "fedavgm(beta=0.5,lr=0.7)"},
    "fedadam": {"server": "fedadam(lr=0.05)"},
    "fedyogi": {"server": "fedyogi(lr=0.05,beta2=0.5)"},
    "fedadagrad": {"server": "fedadagrad(lr=0.05,tau=0.01)"},
    "everything": {
        "local": "fedprox(mu=0.2)",
        "worker_momentum": 0.5,
        "server": "fedadam(lr=0.05)",
        "attack": "bitflip(how=training)",
    },
}
MODELS = {
    "cnn": CNN(width=2),
    "tied": UserModel(factory=tied, vectorised=True),
    "masked": UserModel(factory=masked, vectorised=True),
    "a parameter of shape ()": user(Warm),
}
ALONE = {"batch norm": NORM, "an integer buffer": user(Counts)}
ON_ALL_MODELS = ("fedprox in steps", "scaffold", "momenta of gradients", "fednova", "ascent", "fedadam")


def check_against_the_oracle(run: Run) -> None:
    federation, oracle = Federation(run), Oracle(run)
    start = federation.params.double()
    for number in range(run.rounds):
        federation.round(number)
        oracle.round(number)
        same(start - federation.params, start - oracle.w, 1e-4)
    wanted = [each.flatten() for each in oracle.buffers if each.is_floating_point() and each.isfinite().all()]
    same(federation.flat.read_buffers(), torch.cat([torch.empty(0), *wanted]).float(), 1e-4)


@pytest.mark.parametrize("engine", ["batched", "loop"])
@pytest.mark.parametrize("name", VARIANTS)
def test_the_oracle_in_float64(name: str, engine: str) -> None:
    check_against_the_oracle(replace(BASE, engine=engine, **VARIANTS[name]))


@pytest.mark.parametrize("engine", ["batched", "loop"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ON_ALL_MODELS)
def test_the_oracle_on_networks_of_all_kinds(name: str, model: str, engine: str) -> None:
    check_against_the_oracle(replace(BASE, model=MODELS[model], rounds=2, engine=engine, **VARIANTS[name]))


@pytest.mark.parametrize("model", ALONE)
@pytest.mark.parametrize("name", ON_ALL_MODELS)
def test_the_oracle_on_networks_that_train_alone(name: str, model: str) -> None:
    run = replace(BASE, model=ALONE[model], rounds=2, engine="loop", **VARIANTS[name])
    if (name, model) == ("scaffold", "batch norm"):
        with pytest.raises(InputError, match="scaffold needs even numbers of steps, and the batch norm of"):
            Federation(run)
    else:
        check_against_the_oracle(run)


@given(
    sizes=st.lists(st.integers(1, 9), min_size=6, max_size=6).map(tuple),
    batch=st.integers(1, 10),
    steps=st.integers(1, 7),
    mu=st.sampled_from([0.0, 0.3]),
    momentum=st.sampled_from([0.0, 0.9]),
    worker=st.sampled_from([0.0, 0.9]),
    engine=st.sampled_from(["batched", "loop"]),
)
def test_the_oracle_for_any_setting(sizes, batch, steps, mu, momentum, worker, engine) -> None:
    sgd = SGD(local_steps=steps, batch=batch, lr=0.1, momentum=momentum)
    run = replace(BASE, partition=Cuts(sizes=sizes), sgd=sgd, local=FedProx(mu=mu), worker_momentum=worker, rounds=2)
    check_against_the_oracle(replace(run, source=Tiny(train=54), model=MLP(hidden=4), engine=engine))


def bits(run: Run) -> tuple[str, list]:
    """The final parameters, and what is recorded of each round."""
    result = simulate(run)
    return result.params_sha256, result.rounds


@pytest.mark.parametrize("engine", ["batched", "loop"])
@pytest.mark.parametrize(
    "changes",
    [
        {"local": "fedprox(mu=0)"},
        {"server": "fedavgm(beta=0)"},
        {"server": "fedavgm(beta=0.0,lr=1.0)"},
    ],
    ids=str,
)
def test_what_adds_nothing_is_fedavg_bit_for_bit(changes: dict, engine: str) -> None:
    run = replace(BASE, engine=engine, attack="lie", aggregator="median")
    assert bits(replace(run, **changes)) == bits(run)


@pytest.mark.parametrize("engine", ["batched", "loop"])
def test_even_steps_leave_nothing_for_fednova(engine: str) -> None:
    run = replace(BASE, sgd=STEPS, engine=engine)
    assert bits(replace(run, rows="fednova")) == bits(run)


@pytest.mark.parametrize("engine", ["batched", "loop"])
@pytest.mark.parametrize("control", ["row", "sent"])
def test_scaffold_begins_as_fedavg_bit_for_bit(control: str, engine: str) -> None:
    """In round 0 all controls are 0; in round 1 they are not."""
    run = replace(BASE, sgd=PLAIN_STEPS, engine=engine, sampled=None)
    plain, other = (Federation(each) for each in (run, replace(run, local=f"scaffold(control={control})")))
    for number, equal in ((0, True), (1, False)):
        plain.round(number)
        other.round(number)
        assert torch.equal(plain.received, other.received) == equal


@pytest.mark.parametrize("engine", ["batched", "loop"])
def test_as_many_steps_as_an_epoch_has_are_an_epoch(engine: str) -> None:
    """Six clients with 8 images, 2 epochs of 2 batches: the same orders, the same batches."""
    run = replace(BASE, partition=Cuts(sizes=(8,) * 6), engine=engine)
    assert bits(replace(run, sgd=replace(EPOCHS, epochs=1, local_steps=4)))[0] == bits(run)[0]


def test_a_row_of_a_gradient_is_the_update_over_the_rate() -> None:
    sent = [Federation(replace(BASE, sgd=ONE, rows=rows)) for rows in ("update", "gradient")]
    for federation in sent:
        federation.round(0)
    same(sent[0].received / ONE.lr, sent[1].received)
    same(sent[0].params, sent[1].params)


def test_rows_of_steps_by_hand() -> None:
    """Ranks 0 and 1 with 5 and 2 images, batches of 2: rank 1 begins anew in each step, rank 0 in the fourth."""
    sgd = SGD(local_steps=4, batch=2)
    listed = list(batches([5, 2], sgd))
    assert [(group.start, group.stop, columns.start, columns.stop) for group, columns, _ in listed] == [
        (0, 2, 0, 2),
        (0, 2, 2, 4),
        (0, 2, 4, 6),
        (0, 2, 6, 8),
    ]
    assert [counts for _, _, counts in listed] == [[2, 2], [2, 2], [1, 2], [2, 2]]
    shard = Shard(0, torch.arange(5), torch.zeros(5, dtype=torch.int64))
    first, second = shard.orders(sgd, 0, 0)
    assert (len(first), len(second)) == (5, 2)
    assert sorted(first.tolist()) == [0, 1, 2, 3, 4]
    assert torch.equal(shard.rows(sgd, 0, 0)[0], torch.cat([first, torch.tensor([0]), second]))
    assert [num_steps(sgd, size) for size in (1, 5, 100)] == [4, 4, 4]


def test_fednova_by_hand() -> None:
    """With momentum 0.9 the gradients of three steps count 1 + 1.9 + 2.71 = 5.61 times, those of ten 41.38 times."""
    assert accumulated(3, 0.9) == pytest.approx(5.61)
    assert accumulated(10, 0.9) == pytest.approx(41.381059609)
    for steps, rho in ((1, 0.0), (7, 0.0), (1, 0.9), (25, 0.5)):
        assert accumulated(steps, rho) == pytest.approx(sum_of_weights(steps, rho))
    assert factors([1, 2, 4], 3, 0.0) == [2.0, 1.0, 0.5]
    assert factors([1, 2, 4, 8], 4, 0.0) == [3.0, 1.5, 0.75, 0.375]
    assert factors([2, 2, 8], 2, 0.0) == [1.0, 1.0, 0.25]  # the server's own row is no client's
    assert factors([0, 0, 2, 4, 8], 5, 0.0) == [1.0, 1.0, 2.0, 1.0, 0.5]  # of steps, the median is 4
    assert factors([0, 0], 2, 0.0) == [1.0, 1.0]


def test_scaffold_by_hand() -> None:
    """K lr = 2, four clients in all. Round 0: rows (2, 4) and (6, 0): c_1 = (1, 2), c_2 = (3, 0), and c moves half the
    way to (2, 1). Round 1: client 1 adds c - c_1 = (0, -1.5) to its gradients; its row (4, 2) makes c_1 = (2, 1) - that
    = (2, 2.5), the change (1, 0.5), which is (2, 1) - c; c moves a quarter of the way."""
    variant = Scaffold()
    first = torch.tensor([[2.0, 4.0], [6.0, 0.0]])
    assert variant.terms(1).plain
    for client, row in zip((1, 2), first, strict=True):
        variant.learn(client, row, 2.0)
    variant.step(first.mean(0), Rows(first), 2.0, 4)
    assert variant.state_dict()["server"].tolist() == [1.0, 0.5]
    assert variant.terms(1).offset.tolist() == [0.0, -1.5]
    assert variant.terms(3).offset.tolist() == [1.0, 0.5]  # never sampled: c_3 = 0
    second = torch.tensor([[4.0, 2.0]])
    variant.learn(1, second[0], 2.0)
    variant.step(second[0], Rows(second), 2.0, 4)
    state = variant.state_dict()
    assert state["1"].tolist() == [2.0, 2.5]
    assert state["server"].tolist() == [1.25, 0.625]
    assert state["2"].tolist() == [3.0, 0.0]


def test_scaffold_counts_the_rows_that_reach_the_rule() -> None:
    """Two of six clients send rows that are not finite: c moves four sixths of the way, as by four changes."""
    run = replace(BASE, sampled=None, sgd=PLAIN_STEPS, local="scaffold", attack="nonfinite")
    federation = Federation(run)
    federation.round(0)
    received, rate = federation.received, PLAIN_STEPS.local_steps * PLAIN_STEPS.lr
    assert len(received) == 4
    same(federation.clients.variant.state_dict()["server"], 4 / 6 * received.mean(0) / rate)


def test_controls_that_overflow_stay() -> None:
    """3e38 over K lr = 0.1 is beyond float32."""
    variant, huge = Scaffold(), torch.tensor([3e38])
    for row, rate in ((torch.tensor([1.0]), 1.0), (huge, 0.1)):
        variant.learn(0, row, rate)
        variant.step(row, Rows(row[None]), rate, 1)
    assert {key: value.tolist() for key, value in variant.state_dict().items()} == {"0": [1.0], "server": [1.0]}


@dataclass(frozen=True, kw_only=True)
class Halved(Variant):
    """Halves the gradients of all clients."""

    key: ClassVar[str] = "halved"

    def terms(self, client: int) -> Terms:
        return Terms(scale=0.5)


def test_the_scale_of_a_variant_is_that_of_byzantine_clients_too() -> None:
    """Ascent by half: the row of one step is that of half the rate, upwards."""
    sgd = replace(ONE, weight_decay=0.0)
    run = replace(BASE, sgd=sgd, sampled=None)
    federations = [Federation(replace(run, **changes)) for changes in ({"local": Halved()}, {})]
    attacked = Federation(replace(run, local=Halved(), attack="bitflip(how=training)"))
    for federation in (*federations, attacked):
        federation.round(0)
    same(federations[0].received, 0.5 * federations[1].received)
    same(attacked.received[:2], -0.5 * federations[1].received[:2])


@pytest.mark.parametrize(("control", "wanted"), [("row", [2.0]), ("sent", [4.0])])
def test_the_channel_of_scaffold(control: str, wanted: list[float]) -> None:
    """Rows 1, 2 and 9, of which a rule makes 2: the mean of the sent changes follows the forged row."""
    variant = Scaffold(control=control)
    variant.step(torch.tensor([2.0]), Rows(torch.tensor([[1.0], [2.0], [9.0]])), 1.0, 3)
    assert variant.state_dict()["server"].tolist() == wanted


def test_worker_momentum_by_hand() -> None:
    """beta = 1/2 and rows 4, 8: from zero 2, then 5; from the first row 4, then 6."""
    for start, wanted in (("zero", [2.0, 5.0]), ("first", [4.0, 6.0])):
        momentum = WorkerMomentum(beta=0.5, start=start)
        assert [momentum.sent(7, torch.tensor([row])).item() for row in (4.0, 8.0)] == wanted
        assert momentum.recall(8) is None


def momenta(federation: Federation) -> dict[str, Tensor]:
    return federation.clients.momentum.state_dict()


def test_who_is_not_sampled_keeps_what_it_remembers() -> None:
    federation = Federation(replace(BASE, worker_momentum=0.5))
    for number in range(4):
        before = momenta(federation)
        federation.round(number)
        sampled = {str(client) for client in federation.sample(number)}
        after = momenta(federation)
        assert sampled <= after.keys() <= before.keys() | sampled
        for client in before.keys() - sampled:
            assert after[client] is before[client]


def test_attacks_see_momenta_and_the_byzantine_clients_follow() -> None:
    """Own rows are momenta too: in the second round minus the own row is minus the momentum."""
    federation = Federation(replace(BASE, sampled=None, worker_momentum=0.5, attack="bitflip"))
    for number in range(2):
        federation.round(number)
        state = momenta(federation)
        own, honest = federation.received[:2], federation.received[2:]
        assert torch.equal(own, -torch.stack([state["0"], state["1"]]))
        assert torch.equal(honest, torch.stack([state[str(client)] for client in range(2, 6)]))


def test_a_row_that_is_not_finite_leaves_what_its_client_remembers() -> None:
    """The images of the last client overflow: it is rejected, and so it has no momentum and no control."""
    source = Tiny(shape=(4, 4), overflow=28)
    for changes in ({"worker_momentum": 0.5}, {"sgd": PLAIN_STEPS, "local": "scaffold"}):
        federation = Federation(replace(BASE, source=source, sampled=None, byzantine=0, **changes))
        for number in range(2):
            assert federation.round(number)["rejected"] == 1
        states = federation.clients.momentum.state_dict() | federation.clients.variant.state_dict()
        assert states.keys() - {"server"} == {"0", "1", "2", "3", "4"}
        assert all(each.isfinite().all() for each in states.values())


def test_the_server_trains_on_its_root_data_as_one_client_more() -> None:
    run = replace(BASE, aggregator=aggregators.make("fltrust"), root_examples=6, sampled=None, worker_momentum=0.5)
    run = replace(run, partition=Cuts(sizes=(5, 1, 12, 7, 3, 9)))
    federation = Federation(run)
    reference = federation.updates(federation.sample(0), 0)[2]
    assert reference is not None
    assert torch.equal(reference, momenta(federation)["6"])


@pytest.mark.parametrize("rule", ["flame(noise=0)", "flame(noise=0,of=updates)", "multikrum"])
@pytest.mark.parametrize("attack", ["none", "adaptive(aim=loss+undo)"])
def test_rules_and_attacks_know_the_rate_of_gradients(rule: str, attack: str) -> None:
    """With rows over the rate, what looks at the model takes the same decisions."""
    run = replace(BASE, sgd=ONE, sampled=None, attack=attack, aggregator=aggregators.make(rule), rounds=3)
    kept = [simulate(replace(run, rows=rows)) for rows in ("update", "gradient")]
    for first, second in zip(*(each.rounds for each in kept), strict=True):
        assert first["byzantine_share"] == pytest.approx(second["byzantine_share"], abs=1e-3)
    same(kept[0].params, kept[1].params, 1e-3)


def test_outside_its_rounds_nobody_climbs() -> None:
    """The attack of round 1 alone: round 0 is that without attack."""
    run = replace(BASE, sampled=None)
    plain, other = (
        Federation(each) for each in (run, replace(run, attack="bitflip(how=training)", attack_rounds="1:"))
    )
    for number, equal in ((0, True), (1, False)):
        plain.round(number)
        other.round(number)
        assert torch.equal(plain.received[:2], other.received[:2]) == equal
    assert torch.equal(plain.received[2:], other.received[2:])


def test_one_step_of_ascent_without_decay_is_the_flipped_row() -> None:
    sgd = replace(ONE, weight_decay=0.0)
    for engine in ("batched", "loop"):
        run = replace(BASE, sgd=sgd, sampled=None, engine=engine, rows="gradient")
        sent = [Federation(replace(run, attack=name)) for name in ("bitflip", "bitflip(how=training)")]
        for federation in sent:
            federation.round(0)
        assert torch.equal(sent[0].received, sent[1].received)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"local": "scaffold", "sgd": replace(EPOCHS, momentum=0.0)}, "scaffold needs local_steps: in epochs"),
        ({"local": "scaffold", "sgd": EPOCHS}, "scaffold needs local_steps, and momentum = 0: in epochs"),
        ({"local": "scaffold", "sgd": STEPS}, "scaffold needs momentum = 0, not 0.9"),
        ({"local": "scaffold", "sgd": PLAIN_STEPS, "worker_momentum": 0.9}, "scaffold needs worker_momentum = 0"),
        ({"local": "scaffold(control=x)"}, "control must be one of row, sent"),
        ({"local": "fedprox(mu=-1)"}, "fedprox: mu must be .*at least 0"),
        (
            {"local": "fedprox(mu=20)", "sgd": replace(PLAIN_STEPS, lr=0.1)},
            "with lr = 0.1 and momentum = 0 mu must be bel",
        ),
        ({"local": "fedprox(mu=1e31)"}, "fedprox: mu must be .*at most 1e"),
        ({"server": "fedavgm(lr=1e31)"}, "fedavgm: lr must be .*at most 1e"),
        ({"server": "fedadam(tau=1e31)"}, "fedadam: tau must be .*at most 1e"),
        ({"local": "fedpro"}, "unknown local variant 'fedpro'.*fedprox"),
        ({"local": "DSGD"}, "dsgd is no local variant here: use rows=gradient"),
        ({"local": "fednova(mu=1)"}, "fednova is no local variant here: use rows=fednova"),
        ({"local": 3}, "local must be an object of type Variant"),
        ({"worker_momentum": 1.0}, "worker_momentum must be .*below 1"),
        ({"worker_momentum": -0.1}, "worker_momentum must be .*at least 0"),
        ({"worker_momentum_start": "first"}, "worker_momentum_start is that of worker_momentum, which is 0"),
        ({"worker_momentum_start": "x", "worker_momentum": 0.5}, "worker_momentum_start must be one of zero, first"),
        ({"rows": "gradient"}, "rows = gradient needs local_steps = 1, not None"),
        ({"rows": "gradient", "sgd": STEPS}, "rows = gradient needs local_steps = 1, not 5"),
        ({"rows": "fednova", "local": "fedprox"}, "rows = fednova counts the steps of plain SGD"),
        ({"rows": "x"}, "rows must be one of update, gradient, fednova"),
        ({"server": "fedavgm(beta=1)"}, "fedavgm: beta must be .*below 1"),
        ({"server": "fedavgm(lr=0)"}, "fedavgm: lr must be .*above 0"),
        ({"server": "fedadam(beta1=1.5)"}, "fedadam: beta1 must be .*below 1"),
        ({"server": "fedyogi(beta2=-0.5)"}, "fedyogi: beta2 must be .*at least 0"),
        ({"server": "fedadagrad(tau=0)"}, "fedadagrad: tau must be .*above 0"),
        ({"server": "fedadagrad(beta2=0.5)"}, "unknown option of fedadagrad 'beta2'"),
        ({"server": "adam"}, "unknown server optimiser 'adam'"),
        ({"attack": "bitflip(how=x)"}, "bitflip: how must be one of row, training"),
    ],
    ids=str,
)
def test_one_line_for_what_does_not_go_together(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        replace(BASE, **changes)
    assert "\n" not in str(error.value)


def test_steps_and_epochs_are_one_too_many() -> None:
    with pytest.raises(InputError, match="local_steps = 5 and epochs = 2 are both given"):
        SGD(epochs=2, local_steps=5)
    for wrong in (0, 1.5, True):
        with pytest.raises(InputError, match="local_steps"):
            SGD(local_steps=wrong)


def test_options_at_their_defaults_are_in_no_digest() -> None:
    assert not BASE.content.keys() & {"rows", "worker_momentum", "worker_momentum_start", "local", "server"}
    assert "local_steps" not in BASE.content["sgd"]
    made = [{}, *VARIANTS.values(), {"local": "fedprox(mu=0)"}, {"server": "fedavgm(beta=0)"}]
    digests = [replace(BASE, **changes).digest for changes in made]
    assert len(set(digests)) == len(made)
