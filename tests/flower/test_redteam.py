"""The red team: what it changes in the replies and what not, what it measures, what it leaves behind."""

from __future__ import annotations

import html
import json
import re
import shutil
import threading

import numpy as np
import pytest
import torch

pytest.importorskip("flwr.serverapp.strategy", reason="needs flwr: pip install 'gradskew[flower]'")

from cases import without_data
from flower_world import Grid, failure, numbers, record, reply, trained
from flwr.app import ConfigRecord, MetricRecord
from flwr.serverapp.exception import InconsistentMessageReplies
from flwr.serverapp.strategy import Bulyan, FedAdam, FedAvg, FedMedian, FedTrimmedAvg, Krum, MultiKrum

from gradskew import InputError, attacks
from gradskew.aggregators import Aggregator
from gradskew.attacks import Attack, Forgery
from gradskew.core.rows import Rows
from gradskew.flower import RedTeam, Robust
from gradskew.flower.findings import Findings
from gradskew.flower.measure import Scene
from gradskew.flower.page import FlowerSection, report
from gradskew.flower.rows import receive
from gradskew.flower.training import Training
from gradskew.flower.weights import recover_weights

pytestmark = pytest.mark.usefixtures("identity")
START = {"w": np.zeros(100, "f")}
NODES = [1000 + 7 * i for i in range(20)]
STRATEGIES = {
    "FedAvg": FedAvg,
    "FedMedian": FedMedian,
    "FedTrimmedAvg": FedTrimmedAvg,
    "Krum": lambda: Krum(num_malicious_nodes=4),
    "MultiKrum": lambda: MultiKrum(num_malicious_nodes=4, num_nodes_to_select=16),
    "Bulyan": lambda: Bulyan(num_malicious_nodes=4),
    "FedAdam": FedAdam,
    "Robust": lambda: Robust(FedAvg(), "nnm+rfa", f=4),
}


@pytest.fixture(autouse=True)
def one_order(monkeypatch):
    """Flower samples from the global random state; here all nodes take part, in one order."""
    monkeypatch.setattr("random.sample", lambda nodes, count: list(nodes)[:count])
    monkeypatch.setattr("gc.collect", lambda *_: 0)  # which Flower does for each array that Bulyan reads


def play(strategy, rounds=3, train=trained, nodes=NODES, **options):
    return strategy.start(Grid(nodes, train), record(START), num_rounds=rounds, **options)


def team(tmp_path, strategy=None, attack="strike", byzantine=0.2, **options):
    return RedTeam(strategy or FedAvg(), attack, byzantine, out=tmp_path, **options)


def one_round(red, replies, model, nodes, round=1):
    list(red.configure_train(round, record(model), ConfigRecord(), Grid(nodes, trained)))
    return red.aggregate_train(round, replies)


@pytest.mark.parametrize("name", STRATEGIES)
def test_without_an_attack_nothing_changes_by_a_bit(name, tmp_path):
    alone = play(STRATEGIES[name]())
    watched = play(team(tmp_path, STRATEGIES[name](), "none"))
    assert watched.arrays["w"].data == alone.arrays["w"].data
    assert watched.train_metrics_clientapp == alone.train_metrics_clientapp
    assert watched.evaluate_metrics_clientapp == alone.evaluate_metrics_clientapp


@pytest.mark.parametrize("name", STRATEGIES)
def test_two_trainings_and_the_model_to_keep_is_the_unattacked_one(name, tmp_path):
    red = team(tmp_path, STRATEGIES[name](), rules=["mean"])
    grid = Grid(NODES, trained)
    result = red.start(grid, record(START), num_rounds=3)
    assert result.arrays["w"].data == play(STRATEGIES[name]()).arrays["w"].data
    assert grid.sent == 2 * 3 * 20
    assert [training.attack for training in red.journal.trainings] == ["none", "strike"]
    attacked = play(team(tmp_path, STRATEGIES[name](), reference=False, rules=()))
    assert attacked.arrays["w"].data != result.arrays["w"].data


def test_only_the_trained_arrays_of_the_chosen_change(tmp_path):
    """IPM, epsilon 1, from w = 1: honest rows are 1 - 3 = -2 and 1 - 7 = -6, the forged one is 4, so 1 - 4 = -3."""
    seen = {}

    class Spy(FedAvg):
        def aggregate_train(self, server_round, replies):
            seen.update({each.metadata.src_node_id: each for each in replies})
            return super().aggregate_train(server_round, replies)

    red = team(tmp_path, Spy(), "ipm(epsilon=1.0)", 1)
    model = {"w": np.float32(1.0), "bn.running_mean": [0.0], "steps": np.int64(0)}
    own = {"bn.running_mean": [5.0], "steps": np.int64(8)}
    list(red.configure_train(1, record(model), ConfigRecord(), Grid([1, 2, 3], trained)))
    (chosen,) = red.chosen
    honest = [node for node in (1, 2, 3) if node != chosen]
    weights = {chosen: 100.0, honest[0]: 3.0, honest[1]: 7.0}
    sent = [reply(node, {"w": np.float32(weights[node]), **own}, examples=node, loss=0.5) for node in (3, 1, 2)]
    red.aggregate_train(1, sent)
    assert list(seen) == [3, 1, 2]  # in the order in which they came
    assert numbers(seen[chosen].content["arrays"]) == {"w": -3.0, "bn.running_mean": [5.0], "steps": 8}
    assert dict(seen[chosen].content["metrics"]) == {"num-examples": chosen, "loss": 0.5}
    assert all(seen[node] is each for node, each in zip((3, 1, 2), sent, strict=True) if node != chosen)
    assert numbers(sent[[3, 1, 2].index(chosen)].content["arrays"])["w"] == 100.0  # what came in is left alone


REFUSED = {"none", "labelflip", "nonfinite"}  # nothing to call; training, which a server cannot change; nothing left
TRYING = [name for name in map(without_data, attacks.names()) if attacks.make(name).tries_rule]


@pytest.mark.parametrize("name", TRYING)
def test_an_attack_that_tries_the_rule_takes_robust_alone(name, tmp_path):
    """What it sends is worse for Robust's rule than what LIE sends, in each round."""
    with pytest.raises(
        InputError, match=f"{re.escape(name)} tries out the server's rule: put FedMedian into Robust, with a rule"
    ):
        team(tmp_path, FedMedian(), name)
    seen = {}
    for attack in (name, "lie"):
        red = team(tmp_path, Robust(FedAvg(), "median", f=0.2), attack, reference=False, rules=["median"])
        play(red, rounds=2)
        assert [each["attack"]["called"] for each in red.training.rounds] == [True, True]
        seen[attack] = red.training.rounds[0]["rules"]["median"]["kappa"]
    assert seen[name] >= 0.999 * seen["lie"] > 0
    own = team(tmp_path, Robust(FedAvg(), "median", f=0.2), name, reference=False, rules=(), known="own")
    play(own, rounds=1)
    assert own.training.rounds[0]["attack"]["called"] is True


def test_an_attack_that_needs_the_inputs_of_clients_is_refused(tmp_path):
    with pytest.raises(InputError, match="needs the clients' inputs, which a server has not: use aim=stop or undo"):
        team(tmp_path, Robust(FedAvg(), "median", f=0.2), "adaptive")


def test_an_attack_knows_the_first_model_and_the_one_before_also_between_its_rounds(tmp_path):
    seen = []

    class Spy(attacks.Attack):
        key = "spy"

        def forge(self, view):
            seen.append((view.context.initial.clone(), view.context.previous))
            return attacks.Forgery(view.own.updates)

    red = team(tmp_path, FedAvg(), Spy(), reference=False, rules=(), attack_rounds="2:")
    play(red, rounds=4)
    assert len(seen) == 2
    assert all(previous is not None for _, previous in seen)
    assert torch.equal(seen[0][0], seen[1][0])
    assert not torch.equal(seen[0][1], seen[1][1])


def test_an_attack_on_monotone_rules_refuses_another_in_robust(tmp_path):
    with pytest.raises(InputError, match="extreme takes rules that are monotone"):
        team(tmp_path, Robust(FedAvg(), "nnm+median", f=0.2), "extreme")


@pytest.mark.parametrize("name", sorted(set(map(without_data, attacks.names())) - REFUSED - {*TRYING}))
def test_every_attack_is_called_and_changes_the_replies_of_the_chosen(name, tmp_path):
    sent = {}

    class Spy(FedAvg):
        def aggregate_train(self, server_round, replies):
            sent.update({each.metadata.src_node_id: each for each in replies})
            return super().aggregate_train(server_round, replies)

    red = team(tmp_path, Spy(), name, rules=["mean"])
    (reference, attacked) = red._trainings()
    assert (reference[0].key, attacked[0].name) == ("none", red.attack.name)
    replies = {node: trained(node, record(START), 1) for node in NODES}
    one_round(red, replies.values(), START, NODES)
    assert red.training.rounds[0]["attack"]["called"] is True
    for node, reply_of_node in replies.items():
        before, after = (each.content["arrays"]["w"].numpy() for each in (reply_of_node, sent[node]))
        assert (sent[node] is reply_of_node) == np.array_equal(before, after) == (node not in red.chosen)
    assert f"Spy under {red.attack.name}" in (tmp_path / "report.html").read_text()


def test_bitflip_sends_minus_the_updates_and_has_a_report(tmp_path):
    """From w = 0, each client goes half of the way to its target: the forged model is minus that."""
    red = team(tmp_path, FedAvg(), "bitflip", rules=["mean"])
    play(red, rounds=1)
    assert [each.attack for each in red.journal.trainings] == ["none", "bitflip"]
    assert [each.rounds[0]["attack"]["called"] for each in red.journal.trainings] == [False, True]
    honest, own = (
        [trained(node, record(START), 1).content["arrays"]["w"].numpy() for node in NODES if (node in red.chosen) == of]
        for of in (False, True)
    )
    rows = torch.from_numpy(-np.stack([-each for each in own] + honest))
    mean, spread = -np.mean(honest, 0), np.mean([np.sum((each - np.mean(honest, 0)) ** 2) for each in honest])
    kappa = np.sum((rows.double().mean(0).numpy() - mean) ** 2) / spread
    assert red.journal.trainings[1].rounds[0]["rules"]["mean"]["kappa"] == pytest.approx(kappa, rel=1e-3)
    assert "FedAvg under bitflip" in (tmp_path / "report.html").read_text()


def test_what_is_forged_is_what_the_attack_makes_of_all_replies(tmp_path):
    red = team(tmp_path, FedAvg(), "strike", 0.2, reference=False, rules=())
    replies = [trained(node, record(START), 1) for node in NODES]
    arrays, _ = one_round(red, replies, START, NODES)
    honest = [each for each in replies if each.metadata.src_node_id not in red.chosen]
    rows = -torch.stack([torch.from_numpy(each.content["arrays"]["w"].numpy()) for each in honest])
    forged = -attacks.make("strike")(rows, torch.zeros(4, 100))[0].double()
    claimed = {each.metadata.src_node_id: each.content["metrics"]["num-examples"] for each in replies}
    total = sum(claimed.values())
    expected = sum(claimed[node] for node in red.chosen) * forged
    expected -= sum(claimed[each.metadata.src_node_id] * row.double() for each, row in zip(honest, rows, strict=True))
    np.testing.assert_allclose(arrays["w"].numpy(), (expected / total).numpy(), rtol=1e-4, atol=1e-6)


def test_own_rows_that_stand_in_for_the_honest_ones(tmp_path):
    red = team(tmp_path, FedAvg(), "lie", 0.2, reference=False, rules=(), known="own")
    replies = [trained(node, record(START), 1) for node in NODES]
    one_round(red, replies, START, NODES)
    own = [each.content["arrays"]["w"].numpy() for each in replies if each.metadata.src_node_id in red.chosen]
    rows = -torch.from_numpy(np.stack(own))
    expected = attacks.make("lie")(rows, rows)[0]
    sent = red.forger.forge(red_scene(red, replies), red.layout, red.strategy)[0].rows
    torch.testing.assert_close(sent[0], expected)
    assert red.journal.settings["known"] == "own"


def red_scene(red, replies):
    """The scene of a first round with these replies."""
    order = sorted(replies, key=lambda each: (each.metadata.src_node_id not in red.chosen, each.metadata.src_node_id))
    received = receive(red.layout, order)
    return Scene(1, received.rows, received.nodes, len(red.chosen), received.layout)


def test_the_rounds_of_the_attack_are_counted_from_0(tmp_path):
    red = team(tmp_path, FedAvg(), "lie", 0.2, reference=False, rules=(), attack_rounds="1:4:2")
    play(red, rounds=5)
    attacks_of_rounds = [each["attack"] for each in red.training.rounds]
    assert [each["called"] for each in attacks_of_rounds] == [False, True, False, True, False]
    assert attacks_of_rounds[0]["why"] == "it is no round of the attack"
    assert json.loads((tmp_path / "rounds.json").read_text())["attack_rounds"] == "1:4:2"
    for wrong, says in (({"attack_rounds": "4:1"}, "attack_rounds is START:STOP:EVERY"), ({"known": "all"}, "known")):
        with pytest.raises(InputError, match=says):
            team(tmp_path, **wrong)


def test_the_byzantine_are_drawn_once_by_the_seed(tmp_path):
    drawn = []
    for seed in (0, 0, 1):
        red = team(tmp_path, attack="none", byzantine=0.21, seed=seed)
        list(red.configure_train(1, record(START), ConfigRecord(), Grid(NODES, trained)))
        drawn.append(red.chosen)
        list(red.configure_train(2, record(START), ConfigRecord(), Grid([5, *NODES[:9]], trained)))
        assert red.chosen == drawn[-1]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == 5  # 0.21 of 20 is 4.2


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_weights_are_found_where_there_are_any(name, tmp_path):
    red = team(tmp_path, STRATEGIES[name](), "lie", reference=False, rules=())
    play(red, rounds=2)
    shares = [seen["byzantine_share"] for seen in red.journal.trainings[0].rounds]
    if name in ("FedMedian", "FedTrimmedAvg", "Bulyan", "FedAdam"):
        assert shares == [None, None]
        return
    examples = {node: 1 + node % 3 for node in NODES}
    if name == "FedAvg":
        expected = sum(examples[node] for node in red.chosen) / sum(examples.values())
        assert shares == pytest.approx([expected] * 2, abs=1e-3)
    elif name == "Krum":
        assert all(share == pytest.approx(round(share), abs=1e-3) for share in shares)  # it takes one
    elif name == "Robust":
        weights = red.strategy.rounds[-1]["weights"]
        assert shares[-1] == pytest.approx(sum(weights[node] for node in red.chosen))


def test_recovered_weights_by_hand():
    rows = torch.randn(6, 400, generator=torch.Generator().manual_seed(0))
    rows[1] = rows[0]
    given = torch.tensor([0.2, 0.2, 0.0, 0.5, 0.1, 0.0], dtype=torch.float64)
    found = recover_weights((given @ rows.double()).float(), Rows(rows))
    torch.testing.assert_close(found, given, rtol=0, atol=1e-5)
    even = torch.full((6,), 1 / 6, dtype=torch.float64)
    torch.testing.assert_close(recover_weights((even @ rows.double()).float(), Rows(rows)), even, rtol=0, atol=1e-5)
    assert recover_weights(rows.median(0).values, Rows(rows)) is None  # per coordinate
    assert recover_weights(2 * rows[0] - rows[3], Rows(rows)) is None  # outside of them
    assert recover_weights(rows[0][:20], Rows(rows[:, :20])) is None  # too few coordinates to tell


def test_kappa_and_the_rules_of_a_round_by_hand(tmp_path):
    """From w = 0, honest models 2 and 4 (rows -2, -4; mean -3, spread 1), forged row 3 (IPM, epsilon 1).

    The mean of all is -1: kappa (2 / 1)^2. The median is -2: kappa 1. FedAvg of equal examples is the mean.
    """
    red = team(tmp_path, FedAvg(), "ipm(epsilon=1.0)", 1, rules=["mean", "median"], reference=False)
    list(red.configure_train(1, record({"w": [0.0]}), ConfigRecord(), Grid([1, 2, 3], trained)))
    (chosen,) = red.chosen
    models = iter([2.0, 4.0])
    red.aggregate_train(1, [reply(n, {"w": [0.5 if n == chosen else next(models)]}) for n in (1, 2, 3)])
    (seen,) = red.journal.trainings[0].rounds
    assert seen["lens"]["kappa"] == 4.0
    assert seen["lens"]["spread"] == 1.0
    assert seen["lens"]["progress"] == pytest.approx(1 / 3, abs=1e-6)
    red.journal.write(last=True)
    assert "Dashed: f / (n - 2 f) = 1.00" in (red.journal.folder / "report.html").read_text()
    assert {name: tried["kappa"] for name, tried in seen["rules"].items()} == {"mean": 4.0, "median": 1.0}
    assert seen["rules"]["mean"]["byzantine_share"] == pytest.approx(1 / 3, abs=1e-6)
    assert seen["rules"]["median"]["byzantine_share"] is None


def test_an_index_beyond_the_honest_clients_is_said_once(tmp_path, caplog):
    """Of 20 connected clients, four of them Byzantine: the rows 0 to 15 are honest."""
    for index, known, honest in ((15, "honest", None), (16, "honest", 16), (3, "own", None), (4, "own", 4)):
        caplog.clear()
        play(team(tmp_path, FedAvg(), f"mimic(variant=index,index={index})", known=known, rules=["mean"]), rounds=2)
        said = f"RedTeam: mimic(variant=index,index={index}) copies the honest row {index}, counted from 0, and knows"
        assert caplog.text.count(said) == (honest is not None)
        assert honest is None or f"{said} {honest}" in caplog.text


def test_replies_that_cannot_be_used_go_on_to_the_strategy(tmp_path, caplog):
    red = team(tmp_path, FedAvg(), "lie", 0.2, reference=False)

    def train(node, arrays, round):
        if node == NODES[0] and round == 2:
            return failure(node)
        return None if node == NODES[-1] and round == 3 else trained(node, arrays, round)

    play(red, train=train, rounds=3)
    rounds = red.journal.trainings[0].rounds
    assert [seen["rows"] for seen in rounds] == [20, 19, 19]
    assert rounds[1]["rejected"] == {"1000": "an error: it dropped out"}
    assert "RedTeam: the reply of node 1000 is not measured: an error: it dropped out" in caplog.text
    assert "1 of the replies under lie could not be used" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(("byzantine", "why"), [(0, "0 of 20"), (20, "20 of 20")])
def test_without_byzantine_or_honest_replies_the_round_goes_on(byzantine, why, tmp_path):
    red = team(tmp_path, FedAvg(), "strike", reference=False)
    red.chosen = frozenset(NODES[:byzantine])
    assert play(red).arrays["w"].data == play(FedAvg()).arrays["w"].data
    attack = {"called": False, "why": f"{why} usable replies are of Byzantine clients"}
    assert [seen["attack"] for seen in red.journal.trainings[0].rounds] == [attack] * 3
    assert f"3 rounds went on without the attack: {why} usable" in (tmp_path / "report.html").read_text()


def test_numbers_that_are_not_finite_are_words_in_the_json(tmp_path):
    red = team(tmp_path, reference=False)
    play(red, evaluate_fn=lambda server_round, arrays: MetricRecord({"loss": float("nan")}))
    kept = json.loads((tmp_path / "rounds.json").read_text())
    assert kept["trainings"][0]["rounds"][0]["metrics"]["server"] == {"loss": "nan"}
    assert red.journal.trainings[0].metrics() == [("train", "loss"), ("clients", "accuracy"), ("server", "loss")]


def test_an_attack_that_fails_does_not_stop_the_training(tmp_path):
    class Wild(Attack):
        key = "wild"

        def forge(self, view):
            return Forgery(torch.full_like(view.own.updates, torch.inf))

    class Broken(Wild):
        def forge(self, view):
            raise ZeroDivisionError("by zero")

    for attack, why in ((Wild(), "wild gave rows that are not finite"), (Broken(), "by zero")):
        red = team(tmp_path, FedAvg(), attack, reference=False)
        assert play(red).arrays["w"].data == play(FedAvg()).arrays["w"].data
        assert [seen["attack"] for seen in red.journal.trainings[0].rounds] == [{"called": False, "why": why}] * 3


def test_a_rule_that_fails_is_not_measured_and_that_is_said_once(tmp_path, caplog):
    class Boom(Aggregator):
        key = "boom"

        def max_f(self, n):
            return n - 1

        def outcome(self, rows, f, generator):
            raise ZeroDivisionError("by zero")

    red = team(tmp_path, rules=["mean", Boom()])
    assert play(red).arrays["w"].data == play(FedAvg()).arrays["w"].data
    kept = json.loads((tmp_path / "rounds.json").read_text())
    for training in kept["trainings"]:
        assert [seen["rules"]["boom"] for seen in training["rounds"]] == [None] * 3
    assert caplog.text.count("RedTeam: the rule boom fails, and is not measured: by zero") == 1
    dashes = "<td>–</td>" * 5
    assert f'<th scope="row">boom</th>{dashes}' in (tmp_path / "report.html").read_text()


def test_a_report_that_cannot_be_made_does_not_end_the_training(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("gradskew.flower.journal.report", lambda *_: 1 // 0)
    play(team(tmp_path, reference=False, rules=()))
    assert "RedTeam: the report cannot be made: ZeroDivisionError: " in caplog.text
    assert len(json.loads((tmp_path / "rounds.json").read_text())["trainings"][0]["rounds"]) == 3


def test_the_clients_of_a_round_may_be_any(tmp_path):
    """Half of the nodes take part in each round: as many are Byzantine as were drawn among them."""
    red = team(tmp_path, FedAvg(fraction_train=0.5), "mimic", reference=False, rules=["mean"])
    play(red, rounds=4)
    for seen in red.journal.trainings[0].rounds:
        assert seen["rows"] == 10
        assert seen["byzantine_rows"] == len(red.chosen & set(NODES[:10]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attack": "labelflip"}, "labelflip acts in the clients' training: a server has no part in it"),
        ({"attack": "bitflip(how=training)"}, r"bitflip\(how=training\) acts in the clients' training"),
        (
            {"attack": "nonfinite"},
            "nonfinite sends rows that are not finite, which RedTeam does not: Robust takes such",
        ),
        ({"attack": "mpaf"}, "mpaf draws another initial model, which a server cannot: use base=initial"),
        ({"attack": "stirke"}, "did you mean 'strike'"),
        ({"attack": 3}, "attack must be a name, a function or an Attack, not 3"),
        ({"byzantine": -0.1}, "byzantine must be at least 0"),
        ({"byzantine": 0}, "byzantine must be above 0: without a Byzantine client there is no attack; attack='none'"),
        ({"byzantine": 0.0}, "byzantine must be above 0"),
        ({"byzantine": 2.5}, "byzantine must be a whole number, or a share below 1"),
        ({"byzantine": 1.0}, "byzantine must be a whole number, or a share below 1"),
        ({"rules": "mean"}, "rules must be a list of names"),
        ({"rules": ["krumm"]}, "unknown rule 'krumm'"),
        ({"out": "/proc/nowhere"}, "cannot write to '/proc/nowhere'"),
    ],
)
def test_wrong_options(options, message, tmp_path):
    with pytest.raises(InputError, match=message):
        RedTeam(FedAvg(), **{"out": tmp_path, **options})


def test_a_server_that_dies_leaves_what_was_seen(tmp_path):
    def train(node, arrays, round):
        if round == 3:
            raise KeyboardInterrupt
        return trained(node, arrays, round)

    with pytest.raises(KeyboardInterrupt):
        play(team(tmp_path, reference=False), train=train)
    kept = json.loads((tmp_path / "rounds.json").read_text())
    assert [seen["round"] for seen in kept["trainings"][0]["rounds"]] == [0, 1]
    assert len(kept["chosen"]) == 4
    assert "FedAvg under strike" in (tmp_path / "report.html").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "rounds.json"]


def test_the_report_says_what_it_costs_and_what_would_have_held(tmp_path):
    """The server's metric falls by one a round under the attack, and stays 80 without: 76 in the last of five."""
    attacked = iter(range(100))
    red = team(tmp_path)
    config = ConfigRecord({"lr": 0.1})

    def evaluate(server_round, arrays):
        calm = red.training.attack == "none"
        return MetricRecord({"accuracy": 80.0 if calm or server_round == 0 else 80.0 - next(attacked)})

    play(red, rounds=5, evaluate_fn=evaluate, train_config=config)
    assert dict(config) == {"lr": 0.1}
    text = (tmp_path / "report.html").read_text()
    assert "accuracy, measured by the server: 80 without attack, 76 under strike (one training each)." in text
    assert "4 of 20 clients count as Byzantine; 5 rounds." in text
    kappas = {}
    for rule in red.rules:
        found = [seen["rules"][rule.name]["kappa"] for seen in red.journal.trainings[1].rounds]
        kappas[rule.name] = sum(found) / len(found)
    mean = kappas.pop("mean")
    best = min(kappas, key=kappas.get)
    assert f"On the same replies {best} is pushed least of the robust rules, to {kappas[best]:.3g}." in text
    assert "This is kappa in single rounds under strike, no accuracy." in text
    assert "Attacks played: strike. Known and not played: bitflip, labelflip, lie" in text
    assert "have held" not in text
    assert ("The plain mean is pushed less" in text) == (mean < kappas[best])
    assert len(kappas) == 9


def test_the_report_says_why_a_training_ended(tmp_path, caplog):
    """A client of another architecture goes on to FedAvg, which Flower then ends."""

    def train(node, arrays, round):
        return reply(node, {"v": [1.0]}, loss=1.0) if round == 2 and node == NODES[3] else trained(node, arrays, round)

    with pytest.raises(InconsistentMessageReplies):
        play(team(tmp_path, rules=()), train=train)
    assert f"RedTeam: the reply of node {NODES[3]} is not measured: another architecture" in caplog.text
    (kept,) = json.loads((tmp_path / "rounds.json").read_text())["trainings"]
    assert (kept["begun"], kept["ended"][:27]) == (2, "InconsistentMessageReplies:")
    text = (tmp_path / "report.html").read_text()
    assert "The training without attack ended in round 2: InconsistentMessageReplies: " in text
    assert "The training without attack is unfinished: it has 1 of 3 rounds." in text


def test_a_training_that_ends_in_its_first_round_has_a_report(tmp_path):
    def train(node, arrays, round):
        raise ZeroDivisionError("by\nzero")

    with pytest.raises(ZeroDivisionError):
        play(team(tmp_path, reference=False), train=train)
    text = (tmp_path / "report.html").read_text()
    assert r"The training under strike ended in round 1: ZeroDivisionError: by\nzero." in text


def test_an_unfinished_training_is_compared_over_the_rounds_that_it_has(tmp_path):
    """Without the attack the metric is 9, 8, 7, 6, under it 0; it dies after two rounds: 8 to 0, not 6 to 0."""
    red = team(tmp_path, rules=())

    def train(node, arrays, round):
        if red.training.attack == "strike" and round == 3:
            raise KeyboardInterrupt
        return trained(node, arrays, round)

    def evaluate(server_round, arrays):
        return MetricRecord({"accuracy": 10.0 - server_round if red.training.attack == "none" else 0.0})

    with pytest.raises(KeyboardInterrupt):
        play(red, rounds=4, train=train, evaluate_fn=evaluate)
    text = (tmp_path / "report.html").read_text()
    assert "accuracy, measured by the server: 8 without attack, 0 under strike (one training each)." in text
    assert "it has 2 of 4 rounds, and is compared with as many without attack." in text


def measured(round, accuracy, kappa, called):
    """A round of which the strategy has no lens; the rule is the median."""
    median = {"kappa": kappa, "byzantine_share": None, "shut_out": None}
    kept = {"round": round, "rejected": {}, "attack": {"called": called}, "metrics": {"server": {"accuracy": accuracy}}}
    return {**kept, "rows": 5, "byzantine_rows": 1, "byzantine_share": None, "lens": None, "rules": {"median": median}}


def test_the_tables_of_the_section_by_hand_and_hostile_names_are_only_text():
    """Accuracy 70 to 30 in the last round; kappa 0.5 and 1 under the attack; 1 of 5 replies is Byzantine."""
    hostile = "<img src=x onerror=alert(1)>"
    settings = {"strategy": hostile, "attack": "lie", "byzantine": 1, "seed": 0, "base": "FedAvg", "rounds": 2}
    settings |= {"nodes": [1, 2, 3, 4, 5], "chosen": [2]}
    alone = Training("none", rounds=[measured(0, 80.0, 0.25, False), measured(1, 70.0, 0.25, False)])
    attacked = Training("lie", rounds=[measured(0, 50.0, 0.5, True), measured(1, 30.0, 1.0, True)], ended=hostile)
    section = FlowerSection(settings, [alone, attacked])
    assert section.costs.head == ["metric", "measured by", "without attack", "under lie", "difference"]
    assert section.costs.rows == [["accuracy", "the server", "70", "30", "-40"]]
    assert section.rules.rows == [["median", "0.75", "1", "0.25", "–", "–"]]
    assert section.even == "20"
    assert FlowerSection(settings, [attacked]).costs.rows == [["accuracy", "the server", "30"]]
    text = report(settings, [alone, attacked])
    assert "<img" not in text
    assert text.count("&lt;img src=x onerror=alert(1)&gt;") == 4  # title, heading, remark, settings
    assert "accuracy, measured by the server: 70 without attack, 30 under lie (one training each)." in text


class Clipped(FedAvg):
    """A strategy of the user's own."""


@pytest.mark.parametrize(
    ("strategy", "byzantine", "advised"),
    [
        (lambda: FedAvg(), 0.2, "Robust(FedAvg(...), &#34;median&#34;, f=4)"),
        (lambda: Clipped(), 4, "Robust(Clipped(...), &#34;median&#34;, f=4)"),
        (lambda: Robust(Clipped(), "mean", f=0), 4, "Robust(Clipped(...), &#34;median&#34;, f=4)"),
        (lambda: FedAvg(fraction_train=0.7), 0.2, "Robust(FedAvg(...), &#34;median&#34;, f=0.2)"),
        (lambda: FedAvg(fraction_train=0.7), 3, "Robust(FedAvg(...), &#34;median&#34;, f=0.15)"),
    ],
)
def test_the_report_advises_f_and_the_strategy_that_the_user_has(strategy, byzantine, advised, tmp_path):
    red = team(tmp_path, strategy(), "ipm(epsilon=3.0)", byzantine, reference=False, rules=["median"])
    play(red, nodes=NODES)
    assert f"train with {advised} inside RedTeam." in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("strategy", "attack", "asks"),
    [
        (lambda: Robust(FedAvg(), "median", f=4), "ipm", True),
        (lambda: Robust(FedAvg(), "median", f=4), "adaptive(aim=stop)", False),
        (FedAvg, "ipm", False),  # no rule that can be asked
    ],
)
def test_the_report_names_the_attack_that_searches(strategy, attack, asks, tmp_path):
    red = team(tmp_path, strategy(), attack, reference=False, rules=["median"])
    play(red)
    verdict = Findings(red.journal.settings, red.journal.trainings).verdict
    question = 'The harder question: RedTeam(..., attack="adaptive(aim=stop)") asks the rule.'
    assert (question in verdict) is asks


@pytest.mark.parametrize("make", [FedAdam, lambda: FedAvg()])
def test_the_step_of_a_server_optimizer_is_no_push(make, tmp_path):
    play(team(tmp_path, make(), "ipm(epsilon=3.0)", rules=["median"]))
    text = (tmp_path / "report.html").read_text()
    assert ("it is the strategy&#39;s own step on the server" in text) == (make is FedAdam)
    assert ("On the same replies median is pushed least" in text) == (make is not FedAdam)


def test_an_attack_that_was_never_applied_is_all_that_the_report_says(tmp_path):
    red = team(tmp_path, byzantine=20)
    play(red)
    verdict = Findings(red.journal.settings, red.journal.trainings).verdict
    assert verdict == ["strike was applied in no round: 20 of 20 usable replies are of Byzantine clients."]


def test_a_folder_that_vanishes_does_not_end_the_training(tmp_path, caplog):
    def train(node, arrays, round):
        if round == 2 and node == NODES[0]:
            shutil.rmtree(tmp_path / "out")
        return trained(node, arrays, round)

    assert play(team(tmp_path / "out", reference=False), train=train).arrays is not None
    assert f"RedTeam: cannot write to {tmp_path / 'out'}: No such file or directory" in caplog.text


def test_a_strategy_that_cannot_be_copied_is_only_attacked(tmp_path, caplog):
    strategy = FedAvg()
    strategy.lock = threading.Lock()
    red = team(tmp_path, strategy)
    play(red)
    assert [training.attack for training in red.journal.trainings] == ["strike"]
    assert "no training without the attack, as the strategy cannot be copied" in caplog.text


def test_a_loop_of_the_users_own_needs_no_start(tmp_path):
    red = team(tmp_path, FedAvg(), "lie")
    for round in (1, 2):
        arrays, _ = one_round(red, [trained(node, record(START), round) for node in NODES], START, NODES, round)
        assert arrays is not None
    assert [seen["attack"]["called"] for seen in red.journal.trainings[0].rounds] == [True, True]


def test_a_start_of_the_strategys_own_is_not_used_and_that_is_said(tmp_path, caplog):
    class Mine(FedAvg):
        def start(self, *args, **kwargs):
            raise AssertionError

    play(team(tmp_path, Mine(), "none"))
    assert "RedTeam: Mine has a start of its own; Flower's is used" in caplog.text


def test_a_red_team_shows_itself_in_a_notebook(tmp_path):
    red = team(tmp_path, FedAvg(), "alie")
    assert repr(red) == "RedTeam(FedAvg under lie, byzantine=0.2)"
    assert "No round has begun." in red._repr_html_()
    play(red, rounds=2)
    shown = red._repr_html_()
    assert "<td>2</td>" in shown
    assert all(
        html.escape(sentence) in shown for sentence in Findings(red.journal.settings, red.journal.trainings).verdict
    )


def test_functions_are_taken_for_rules_and_attacks(tmp_path):
    def push(honest):
        return -3 * honest.mean(0)

    red = team(tmp_path, Robust(FedAvg(), lambda rows: rows.median(0).values, f=4), push, rules=["krum", np.median])
    assert red.attack.name.endswith("push")
    assert [rule.name for rule in red.rules] == ["multikrum(m=1)", "numpy:median"]
    play(red, rounds=1)
    assert red.journal.trainings[1].rounds[0]["attack"]["called"]
