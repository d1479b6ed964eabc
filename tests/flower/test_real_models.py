"""Models with arrays that no client trains: masks, counters, batch norm's statistics, parts that clients keep."""

from __future__ import annotations

import logging

import numpy as np
import pytest

pytest.importorskip("flwr.serverapp.strategy", reason="needs flwr: pip install 'gradskew[flower]'")

import torch
from cases import without_data
from flower_world import Grid, ask, numbers, record, reply
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAdagrad, FedAdam, FedAvg, FedAvgM, FedYogi

from gradskew import InputError, attacks
from gradskew.flower import RedTeam, Robust

pytestmark = pytest.mark.usefixtures("identity")
NODES = list(range(1, 9))
REFUSED = {"none", "labelflip", "nonfinite"}


@pytest.fixture(autouse=True)
def one_order(monkeypatch):
    monkeypatch.setattr("random.sample", lambda nodes, count: list(nodes)[:count])


def play(strategy, model, train, rounds=4, nodes=NODES):
    model = model if isinstance(model, ArrayRecord) else record(model)
    return strategy.start(Grid(nodes, train), model, num_rounds=rounds).arrays


def draws(node, round, *shape):
    return np.random.default_rng((node, round)).normal(size=shape).astype("f")


def moved(arrays, node, round, *names):
    """Return the arrays with a draw of this node added to those named."""
    sent = {name: array.numpy() for name, array in arrays.items()}
    return sent | {name: sent[name] + draws(node, round, *sent[name].shape) for name in names}


# Batch norm's counter, which FedAvg returns as float64 and clients send as int64.

NORMED = {"w": np.zeros(90, "f"), "bn.running_mean": np.zeros(3, "f"), "bn.running_var": np.ones(3, "f")}
NORMED |= {"bn.num_batches_tracked": np.int64(0)}


def normed(node, arrays, round):
    sent = moved(arrays, node, round, "w", "bn.running_mean")
    return reply(node, sent | {"bn.num_batches_tracked": np.int64(round * 5 + node)})


def test_fedavg_makes_the_counter_a_float64_and_every_round_is_measured_and_attacked(tmp_path):
    team = RedTeam(FedAvg(), "strike", 2, out=tmp_path, rules=["mean"])
    arrays = play(team, NORMED, normed)
    assert arrays["bn.num_batches_tracked"].numpy().dtype == np.float64
    assert [seen["rows"] for seen in team.journal.trainings[1].rounds] == [8] * 4
    assert [seen["attack"]["called"] for seen in team.journal.trainings[1].rounds] == [True] * 4
    assert [seen["lens"]["kappa"] is None for seen in team.journal.trainings[0].rounds] == [False] * 4


def test_from_a_saved_model_of_fedavg_the_mean_goes_on_as_fedavg_does():
    saved = play(FedAvg(), NORMED, normed, rounds=1)
    robust = Robust(FedAvg(), "mean", f=0)
    found, wanted = play(robust, saved, normed), play(FedAvg(), saved, normed)
    assert [seen["rejected"] for seen in robust.rounds] == [{}] * 4
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name].numpy(), array.numpy(), rtol=1e-5, atol=1e-6, err_msg=name)


def test_counters_and_ids_of_a_saved_model_of_fedavg_keep_the_servers_value(caplog):
    """FedAvg makes them float64; a client of torch sends the integers of its network."""
    saved = play(
        FedAvg(), {"w": [0.0], "ids": np.arange(5)}, lambda node, *_: reply(node, {"w": [2.0], "ids": np.arange(5)})
    )
    assert saved["ids"].numpy().dtype == np.float64
    robust = Robust(FedAvg(), "median", f=0)
    arrays = play(robust, saved, lambda node, *_: reply(node, {"w": [3.0], "ids": np.arange(5) + node}))
    assert [seen["rejected"] for seen in robust.rounds] == [{}] * 4
    assert numbers(arrays) == {"w": [3.0], "ids": [0.0, 1.0, 2.0, 3.0, 4.0]}
    line = "arrays that keep the server's value: the replies have other than floating numbers there: 'ids'"
    assert caplog.text.count(line) == 1


@pytest.mark.parametrize("kind", ["i8", "i4", "f8", "f4", "f2", "u1"])
@pytest.mark.parametrize("server", ["i8", "f8"])
def test_the_type_of_what_is_not_trained_does_not_matter(kind, server):
    model = {"w": [0.0], "steps": np.array(3, "i8"), "bn.num_batches_tracked": np.array(3, server)}
    sent = {"w": [2.0], "steps": np.array(7, kind), "bn.num_batches_tracked": np.array(7, kind)}
    robust = Robust(FedAvg(), "median", f=0)
    arrays = play(robust, model, lambda node, *_: reply(node, sent), rounds=1)
    assert robust.rounds[0]["rejected"] == {}
    assert numbers(arrays) == {"w": [2.0], "steps": 3, "bn.num_batches_tracked": 3 if server == "i8" else 7.0}


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = torch.nn.Linear(4, 6), torch.nn.BatchNorm1d(6), torch.nn.Linear(6, 2)
        self.register_buffer("mask", torch.full((3, 3), -torch.inf).triu(1))
        self.register_buffer("rotation", torch.polar(torch.ones(4), torch.arange(4.0)))
        self.register_buffer("ids", torch.arange(5))

    def forward(self, x):
        return self.last(self.norm(self.first(x)).relu())


def trained_net(node, arrays, round):
    """Return the reply of a client that trains the network for three batches of its own."""
    net = Net()
    net.load_state_dict({name: torch.from_numpy(np.array(array.numpy())) for name, array in arrays.items()})
    generator = torch.Generator().manual_seed(100 * round + node)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        inputs = torch.randn(8, 4, generator=generator) + node
        net(inputs).square().mean().backward()
        optimizer.step()
    return reply(node, ArrayRecord(net.state_dict()))


def test_a_network_of_torch_trains_under_the_mean_as_under_fedavg_and_keeps_its_buffers():
    """Of its counter the network of integers keeps the server's value, which FedAvg averages."""
    torch.manual_seed(0)
    start = Net().state_dict()
    found = play(Robust(FedAvg(fraction_evaluate=0.0), "mean", f=0), ArrayRecord(start), trained_net)
    wanted = play(FedAvg(fraction_evaluate=0.0), ArrayRecord(start), trained_net)
    for name in start:
        if name in ("mask", "rotation", "ids", "norm.num_batches_tracked"):
            assert np.array_equal(found[name].numpy(), start[name].numpy()), name
        else:
            np.testing.assert_allclose(found[name].numpy(), wanted[name].numpy(), rtol=1e-3, atol=1e-5, err_msg=name)


def test_a_network_of_torch_under_a_server_optimizer_has_the_mean_of_its_clients_statistics():
    sent = {}

    def train(node, arrays, round):
        sent[node] = trained_net(node, arrays, round)
        return sent[node]

    torch.manual_seed(0)
    strategy = Robust(FedAdam(fraction_evaluate=0.0, eta=0.1), "mean", f=0)
    found = play(strategy, ArrayRecord(Net().state_dict()), train, rounds=8)
    for name in ("norm.running_mean", "norm.running_var"):
        wanted = np.mean([each.content["arrays"][name].numpy().astype("f8") for each in sent.values()], axis=0)
        np.testing.assert_allclose(found[name].numpy(), wanted, rtol=1e-6, err_msg=name)
    assert all(np.isfinite(array.numpy()).all() for name, array in found.items() if name != "mask")


# Buffers that are no statistics.

FIXED = {
    "mask": np.triu(np.full((3, 3), -np.inf, "f"), 1),
    "rotation": np.exp(1j * np.arange(4)).astype(np.complex64),
    "ids": np.arange(5),
    "steps": np.int64(2**40 + 1),
    "flags": np.array([True, False]),
    "frequencies": (1e4 ** -np.linspace(0, 1, 7)).astype("f"),
    "empty": np.zeros((0, 4), "f"),
}
WEIGHTS = {"w": np.linspace(-1, 1, 60, dtype="f"), "temperature": np.float32(2.0)}
OPTIMIZERS = {
    "FedAvg": FedAvg,
    "FedAvgM": lambda: FedAvgM(server_learning_rate=0.5, server_momentum=0.9),
    "FedAdam": lambda: FedAdam(eta=1.5),
    "FedYogi": lambda: FedYogi(eta=1.5),
    "FedAdagrad": lambda: FedAdagrad(eta=1.5),
}


def weighed(node, arrays, round):
    """Move the weights; recompute some buffers, as a client does that does not load them."""
    sent = moved(arrays, node, round, *WEIGHTS)
    return reply(node, sent | {"ids": np.arange(5) + node, "mask": np.zeros((3, 3), "f")})


@pytest.mark.parametrize("rule", ["median", "mean", "nnm+multikrum", "cclip"])
def test_what_no_client_trains_keeps_the_value_of_the_server(rule):
    robust = Robust(FedAvg(), rule, f=2)
    found = play(robust, FIXED | WEIGHTS, weighed)
    assert [seen["rejected"] for seen in robust.rounds] == [{}] * 4
    for name, value in FIXED.items():
        assert found[name].numpy().dtype == np.asarray(value).dtype
        assert np.array_equal(found[name].numpy(), value), name
    assert all(np.abs(found[name].numpy() - value).max() > 0.1 for name, value in WEIGHTS.items())


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_the_median_of_every_trained_array_is_that_of_numpy(kind):
    """Also of an array of one number, of one without numbers, and beside a mask."""
    shapes = {"w": (8, 3), "temperature": (), "one": (1,), "empty": (0, 4)}
    model = {name: np.ones(shape, kind) for name, shape in shapes.items()} | {"mask": FIXED["mask"]}
    sent = [{name: draws(node, 1, *shape).astype(kind) for name, shape in shapes.items()} for node in NODES]
    replies = [each | {"mask": FIXED["mask"]} for each in sent]
    found = play(Robust(FedAvg(), "median", f=3), model, lambda node, *_: reply(node, replies[node - 1]), rounds=1)
    near = {"rtol": 1e-3, "atol": 1e-3} if kind == "f2" else {"rtol": 1e-6, "atol": 1e-6}
    for name in shapes:
        wanted = np.median(np.stack([each[name] for each in sent]).astype("f8"), axis=0)
        np.testing.assert_allclose(found[name].numpy(), wanted, **near, err_msg=name)
        assert found[name].numpy().dtype == kind


@pytest.mark.parametrize("attack", sorted(set(map(without_data, attacks.names())) - REFUSED))
def test_a_mask_keeps_no_attack_from_being_played_and_measured(attack, tmp_path):
    strategy = Robust(FedAvg(), "median", f=2) if attacks.make(attack).tries_rule else FedAvg()
    team = RedTeam(strategy, attack, 2, out=tmp_path, rules=["median"])
    found = play(team, FIXED | WEIGHTS, lambda node, arrays, round: reply(node, moved(arrays, node, round, *WEIGHTS)))
    for training in team.journal.trainings:
        assert [seen["rows"] for seen in training.rounds] == [8] * 4
        assert all(seen["lens"]["kappa"] is not None for seen in training.rounds)
    assert all(seen["attack"]["called"] for seen in team.journal.trainings[1].rounds)
    assert np.array_equal(found["mask"].numpy(), FIXED["mask"])


def test_a_model_that_diverged_has_no_masks(tmp_path, caplog):
    """What becomes infinite in a later round is trained: the replies cannot be used, and Flower's training goes on."""
    sent = {1: [1.0], 2: [np.inf], 3: [np.inf]}
    team = RedTeam(FedAvg(), "lie", 2, out=tmp_path, rules=(), reference=False)
    play(
        team, {"w": [0.0], "mask": [-np.inf]}, lambda node, _, round: reply(node, {"w": sent[round], "mask": [0.0]}), 3
    )
    assert [len(seen["rejected"]) for seen in team.journal.trainings[0].rounds] == [0, 8, 8]
    line = "RedTeam: arrays that keep the server's value: they have other than finite real numbers: 'mask'"
    assert caplog.text.count(line) == 1


# Server optimizers and batch norm's statistics.


def half(node, arrays, round):
    """Every client has seen the mean 0.5 and the variance 0.25."""
    sent = moved(arrays, node, round, "w")
    return reply(node, sent | {"bn.running_mean": np.full(3, 0.5, "f"), "bn.running_var": np.full(3, 0.25, "f")})


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in RedTeam"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_no_server_optimizer_steps_the_statistics(name, inside, tmp_path):
    sent = []

    def train(node, arrays, round):
        sent.append((arrays["bn.running_mean"].numpy().tolist(), arrays["bn.running_var"].numpy().tolist()))
        return half(node, arrays, round)

    strategy = Robust(OPTIMIZERS[name](), "median", f=2)
    strategy = RedTeam(strategy, out=tmp_path, rules=()) if inside else strategy
    arrays = play(strategy, NORMED | FIXED, train, rounds=6)
    assert set(map(str, sent[len(NODES) : 6 * len(NODES)])) == {str(([0.5] * 3, [0.25] * 3))}
    assert numbers(arrays)["bn.running_mean"] == [0.5] * 3
    assert numbers(arrays)["bn.running_var"] == [0.25] * 3
    assert np.array_equal(arrays["mask"].numpy(), FIXED["mask"])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_server_optimizer_steps_what_is_trained_as_without_statistics(name):
    with_statistics = play(Robust(OPTIMIZERS[name](), "mean", f=0), NORMED, half)
    train = lambda node, arrays, round: reply(node, moved(arrays, node, round, "w"))  # noqa: E731
    alone = play(Robust(OPTIMIZERS[name](), "mean", f=0), {"w": NORMED["w"]}, train)
    assert np.array_equal(with_statistics["w"].numpy(), alone["w"].numpy())


def test_a_variance_that_the_rule_aggregates_is_not_stepped_below_zero():
    arrays = play(Robust(FedAdam(eta=1.5), "median", f=2, statistics=()), NORMED, half)
    assert arrays["bn.running_var"].numpy().min() >= 0


@pytest.mark.parametrize("name", ["bn.running_var", "bn/moving_variance"])
def test_a_variance_that_a_client_sends_below_zero_is_averaged_and_not_set_below_zero(name):
    """(-9 + 7 x 1) / 8 = -1/4, and (-1 + 7 x 1) / 8 = 3/4."""
    sent = np.array([[-9.0, -1.0]] + [[1.0, 1.0]] * 7, "f")
    robust = Robust(FedAvg(), "median", f=1, statistics=(name.split(".")[-1],))
    arrays = play(robust, {"w": [0.0], name: [1.0, 1.0]}, lambda n, *_: reply(n, {"w": [1.0], name: sent[n - 1]}), 1)
    assert numbers(arrays) == {"w": [1.0], name: [0.0, 0.75]}


# FedBN: clients keep arrays to themselves.

PARTS = {"w": np.zeros(90, "f"), "bn.weight": np.ones(3, "f"), "bn.running_mean": np.zeros(3, "f")}


def test_arrays_that_no_reply_has_are_not_asked_for_and_the_model_keeps_them(caplog):
    def train(node, arrays, round):
        return reply(node, {"w": moved(arrays, node, round, "w")["w"]})

    robust = Robust(FedAvg(), "mean", f=0)
    found = play(robust, PARTS, train)
    assert [seen["rejected"] for seen in robust.rounds] == [{}] * 4
    wanted = play(FedAvg(), PARTS, train)
    assert set(wanted) == {"w"}
    np.testing.assert_allclose(found["w"].numpy(), wanted["w"].numpy(), rtol=1e-5, atol=1e-6)
    assert numbers(found)["bn.weight"] == [1.0] * 3
    assert numbers(found)["bn.running_mean"] == [0.0] * 3
    line = "arrays that keep the server's value: the replies do not have them: 'bn.running_mean', 'bn.weight'"
    assert caplog.text.count(line) == 1


@pytest.mark.parametrize("make", [FedAvg, lambda: Robust(FedAdam(), "median", f=2)], ids=["FedAvg", "Robust(FedAdam)"])
def test_a_federation_whose_clients_keep_arrays_is_attacked_and_measured(make, tmp_path):
    team = RedTeam(make(), "lie", 2, out=tmp_path, rules=["mean"])
    play(team, PARTS, lambda node, arrays, round: reply(node, {"w": moved(arrays, node, round, "w")["w"]}))
    for seen in team.journal.trainings[1].rounds:
        assert (seen["rows"], seen["attack"]["called"]) == (8, True)
        assert seen["lens"]["kappa"] is not None


def test_most_replies_say_which_arrays_they_have():
    """One client that sends the array which all others keep, or keeps one that they send, shuts out itself alone."""

    def train(node, arrays, round):
        whole = moved(arrays, node, round, "w")
        kept = {1: whole, 2: {"bn.weight": whole["bn.weight"]}}
        return reply(node, kept.get(node, {"w": np.full(90, float(node), "f")}))

    robust = Robust(FedAvg(), "mean", f=0)
    found = play(robust, {name: PARTS[name] for name in ("w", "bn.weight")}, train, rounds=1)
    reasons = {1: "it differs in 'bn.weight'", 2: "it differs in 'bn.weight', 'w'"}
    wanted = {node: f"another architecture: {reason}" for node, reason in reasons.items()}
    assert robust.rounds[0]["rejected"] == wanted
    assert numbers(found) == {"w": [5.5] * 90, "bn.weight": [1.0] * 3}


def test_arrays_that_the_model_does_not_have_are_left_aside(caplog):
    robust = Robust(FedAvg(), "median", f=0)
    found = play(robust, {"w": [0.0]}, lambda node, *_: reply(node, {"w": [2.0], "control": [9.0]}), rounds=2)
    assert numbers(found) == {"w": [2.0]}
    assert [seen["rejected"] for seen in robust.rounds] == [{}] * 2
    assert caplog.text.count("arrays that are left aside: the model does not have them: 'control'") == 1


# Types.


def test_a_forged_row_that_the_type_cannot_hold_is_not_sent(tmp_path):
    team = RedTeam(FedAvg(), "ipm(epsilon=1e6)", 2, out=tmp_path, rules=(), reference=False)
    arrays = play(team, {"w": np.zeros(90, "f2")}, lambda node, *_: reply(node, {"w": np.ones(90, "f2")}), rounds=1)
    why = "a forged row is beyond float16, the type of 'w'"
    assert team.journal.trainings[0].rounds[0]["attack"] == {"called": False, "why": why}
    assert numbers(arrays)["w"] == [1.0] * 90


def test_replies_in_which_all_is_integers_train_nothing():
    """There is nothing else to train: they are no counters, but replies that cannot be used."""
    robust = Robust(FedAvg(), "median", f=0)
    model = {"w": [1.0], "empty": np.zeros((0, 4), "f")}
    sent = {"w": np.array([3]), "empty": np.zeros((0, 4), "f")}
    assert play(robust, model, lambda node, *_: reply(node, sent), 1).keys() == set()
    assert set(robust.rounds[0]["rejected"].values()) == {"arrays of other than floating numbers"}


def test_a_record_of_another_name_is_taken():
    def train(node, arrays, round):
        content = {"weights": record({"w": [float(node)]}), "metrics": MetricRecord({"num-examples": 1})}
        return Message(RecordDict(content), reply_to=ask(node))

    robust = Robust(FedAvg(arrayrecord_key="weights"), "median", f=0)
    messages = list(robust.configure_train(1, record({"w": [0.0]}), ConfigRecord(), Grid(NODES, train)))
    assert numbers(messages[0].content["weights"]) == {"w": [0.0]}
    arrays, _ = robust.aggregate_train(1, [train(node, None, 1) for node in NODES])
    assert numbers(arrays) == {"w": [4.5]}


@pytest.mark.parametrize("make", [np.int64, np.int32, np.uint8])
def test_counts_of_numpy_are_counts(make, tmp_path):
    assert (Robust(FedAvg(), f=make(2)).f, Robust(FedAvg(), f=0, seed=make(3)).seed) == (2, 3)
    team = RedTeam(FedAvg(), "lie", make(2), seed=make(3), out=tmp_path, rules=(), reference=False)
    play(team, {"w": np.zeros(90, "f")}, lambda node, arrays, round: reply(node, moved(arrays, node, round, "w")), 1)
    assert len(team.chosen) == 2
    assert '"byzantine": 2, "seed": 3' in (tmp_path / "rounds.json").read_text()


@pytest.mark.parametrize("make", [np.float16, np.float32, np.float64])
def test_a_share_of_numpy_is_the_decimal_that_is_written(make):
    """0.2 of 20 is 4, though the nearest float32 is above 0.2."""
    robust = Robust(FedAvg(), "median", f=make(0.2))
    play(robust, {"w": [0.0]}, lambda node, *_: reply(node, {"w": [1.0]}), rounds=1, nodes=range(20))
    assert robust.rounds[0]["f"] == 4


def test_a_strategy_of_flowers_older_interface_is_refused_in_one_line(tmp_path, caplog):
    caplog.set_level(logging.CRITICAL)
    from flwr.server.strategy import FedAvg as Older

    wanted = r"FedAvg is of flwr\.server\.strategy; take the one of flwr\.serverapp\.strategy"
    for strategy in (Older(), Older):
        with pytest.raises(InputError, match=wanted):
            Robust(strategy, f=0)
        with pytest.raises(InputError, match=wanted):
            RedTeam(strategy, out=tmp_path)


def test_arrays_in_another_order_are_the_same():
    model = {"w": [0.0, 0.0], "v": [0.0, 0.0]}
    sent = {1: {"w": [1.0, 2.0], "v": [3.0, 4.0]}, 2: {"v": [3.0, 4.0], "w": [1.0, 2.0]}}
    found = play(Robust(FedAvgM(server_momentum=0.9), "mean", f=0), model, lambda n, *_: reply(n, sent[n]), 1, [1, 2])
    assert numbers(found) == sent[1]
