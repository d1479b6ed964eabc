"""Our rules inside Flower's strategies: hand-made replies, expected values by hand."""

from __future__ import annotations

import logging
import math
import shlex
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest
import torch

pytest.importorskip("flwr.serverapp.strategy", reason="needs flwr: pip install 'gradskew[flower]'")

from flower_world import Grid, ask, failure, numbers, record, reply, trained
from flwr.app import ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import Bulyan, FedAdam, FedAvg, FedAvgM, FedMedian, FedProx, FedTrimmedAvg, Krum, MultiKrum

from gradskew import InputError, aggregators
from gradskew.aggregators import Aggregator, Outcome
from gradskew.core.round import Layer, Round
from gradskew.flower import RedTeam, Robust
from gradskew.flower.interface import METHODS, Strategy, check_installed, check_strategy

pytestmark = pytest.mark.usefixtures("identity")


def step(strategy, model, replies, round=1, nodes=range(20)):
    """One round by hand: the model goes out, the replies come in."""
    list(strategy.configure_train(round, record(model), ConfigRecord(), Grid(nodes, trained)))
    return strategy.aggregate_train(round, replies)


def test_mean_is_the_unweighted_average_and_fedavg_of_equal_examples():
    model, sent = {"w": [1.0, 2.0]}, [[2.0, 2.0], [4.0, 8.0], [0.0, -1.0]]
    robust, _ = step(
        Robust(FedAvg(), "mean", f=0), model, [reply(i, {"w": w}, examples=9**i) for i, w in enumerate(sent)]
    )
    plain, _ = step(FedAvg(), model, [reply(i, {"w": w}) for i, w in enumerate(sent)])
    assert numbers(robust) == {"w": [2.0, 3.0]}
    np.testing.assert_allclose(robust["w"].numpy(), plain["w"].numpy(), rtol=1e-6)


def test_the_rule_sees_differences_in_the_order_of_nodes():
    """Rows are model sent - model received: the median of 1 - (3, 1, -5) is 0, and 1 - 0 = 1."""
    robust = Robust(FedAvg(), "median", f=1)
    arrays, _ = step(robust, {"w": [1.0]}, [reply(7, {"w": [3.0]}), reply(2, {"w": [1.0]}), reply(5, {"w": [-5.0]})])
    assert numbers(arrays) == {"w": [1.0]}
    robust = Robust(FedAvg(), "multikrum(m=1)", f=0)
    arrays, _ = step(robust, {"w": [1.0]}, [reply(7, {"w": [9.0]}), reply(2, {"w": [3.0]}), reply(5, {"w": [3.5]})])
    assert robust.rounds[-1]["weights"] == {2: 1.0, 5: 0.0, 7: 0.0}
    assert numbers(arrays) == {"w": [3.0]}


def test_the_robust_model_comes_out_exactly():
    """Averages of equal float32 models are off in the last bit; ours are taken in float64."""
    rng = np.random.default_rng(0)
    model, sent = rng.normal(size=999).astype("f"), rng.normal(size=(7, 999)).astype("f")
    replies = [reply(i, {"w": w}, examples=3 + i) for i, w in enumerate(sent)]
    arrays, _ = step(Robust(FedAvg(), "median", f=3), {"w": model}, replies)
    median = torch.from_numpy(model - sent).sort(0).values[3].double().numpy()
    assert np.array_equal(arrays["w"].numpy(), (model - median).astype("f"))


def test_the_strategy_keeps_its_own_server_step():
    """Momentum 0.5, rate 0.5: the first step takes half of the difference, the second half of (1 + 0.5) of it."""
    robust = Robust(FedAvgM(server_learning_rate=0.5, server_momentum=0.5), "median", f=0)
    arrays, _ = step(robust, {"w": [8.0]}, [reply(i, {"w": [4.0]}) for i in range(3)])
    assert numbers(arrays) == {"w": [6.0]}
    arrays, _ = step(robust, {"w": [6.0]}, [reply(i, {"w": [2.0]}) for i in range(3)], round=2)
    assert numbers(arrays) == {"w": [3.0]}


@pytest.mark.parametrize("make", [FedAvg, FedProx, FedAvgM, FedAdam])
def test_strategies_that_average_do_under_mean_what_they_do_alone(make):
    model = {"w": np.arange(100, dtype="f") / 50}
    alone, robust = make(), Robust(make(), "mean", f=0)
    found = []
    for strategy in (alone, robust):
        replies = [trained(node, record(model), 1) for node in range(20)]
        for each in replies:
            each.content["metrics"]["num-examples"] = 5
        found.append(step(strategy, model, replies))
    np.testing.assert_allclose(found[1][0]["w"].numpy(), found[0][0]["w"].numpy(), rtol=2e-5, atol=1e-6)
    assert dict(found[0][1]) == dict(found[1][1]) == {"loss": pytest.approx(9.5)}


def test_a_single_number_is_an_array_too():
    arrays, _ = step(Robust(FedAvg(), "mean", f=0), {"w": np.float32(1.0)}, [reply(1, {"w": np.float32(4.0)})])
    assert numbers(arrays) == {"w": 4.0}


def test_a_reason_that_quotes_a_client_is_cut():
    robust = Robust(FedAvg(), "mean", f=0)
    step(robust, {"w": [0.0]}, [reply(1, {"x" * 10_000: [1.0]})])
    assert len(robust.rounds[0]["rejected"][1]) == 200


def test_the_reason_of_an_error_is_one_printable_line():
    robust = Robust(FedAvg(), "mean", f=0)
    step(robust, {"w": [0.0]}, [Message(Error(code=1, reason="a\n\x1b[31mred" + "\0" * 999), reply_to=ask(1))])
    reason = robust.rounds[0]["rejected"][1]
    assert reason.startswith(r"an error: a\n\x1b[31mred\x00")
    assert len(reason) == 200


def test_types_stay_and_integers_keep_their_value():
    mask, steps = np.array([True]), np.int64(2**62 + 1)  # more than a float64 can tell
    model = {"w": np.float64([1.0]), "h": np.float16([0.5, 2.0]), "steps": steps, "mask": mask}
    sent = {"w": np.float64([3.0]), "h": np.float16([1.5, 1.0]), "steps": np.int64(9), "mask": ~mask}
    arrays, _ = step(Robust(FedAvg(), "mean", f=0), model, [reply(i, sent, examples=i + 1) for i in range(3)])
    assert {name: array.numpy().dtype for name, array in arrays.items()} == {n: a.dtype for n, a in model.items()}
    assert numbers(arrays) == {"w": [3.0], "h": [1.5, 1.0], "steps": 2**62 + 1, "mask": [True]}


BATCH_NORM = {"w": [0.0], "bn.running_mean": [0.0], "bn.running_var": [1.0], "bn.num_batches_tracked": np.int64(3)}


def normed(node, w, mean, var):
    arrays = {"w": [w], "bn.running_mean": [mean], "bn.running_var": [var]}
    return reply(node, {**arrays, "bn.num_batches_tracked": np.int64(5)})


def test_batch_norm_statistics_are_averaged_and_not_given_to_the_rule():
    replies = [normed(0, 1.0, 3.0, 1.0), normed(1, 1.0, 6.0, 2.0), normed(2, 7.0, 0.0, 6.0)]
    arrays, _ = step(Robust(FedAvg(), "median", f=1), BATCH_NORM, replies)
    assert numbers(arrays) == {
        "w": [1.0], "bn.running_mean": [3.0], "bn.running_var": [3.0], "bn.num_batches_tracked": 3,
    }  # fmt: skip


def test_batch_norm_statistics_are_rows_like_others_if_so_told():
    """The medians; a variance is never set below 0."""
    replies = [normed(0, 1.0, 3.0, -4.0), normed(1, 1.0, 6.0, 2.0), normed(2, 7.0, -9.0, -6.0)]
    arrays, _ = step(Robust(FedAvg(), "median", f=1, statistics=()), BATCH_NORM, replies)
    assert numbers(arrays)["bn.running_mean"] == [3.0]
    assert numbers(arrays)["bn.running_var"] == [0.0]


BAD = {
    "NaN or infinity": lambda: reply(9, {"w": [math.nan, 0.0]}),
    "NaN or infinity ": lambda: reply(9, {"w": np.float64([1e300, 0.0])}),
    "arrays of another shape: 'w'": lambda: reply(9, {"w": [1.0, 2.0, 3.0]}),
    "another architecture: it differs in 'v', 'w'": lambda: reply(9, {"v": [1.0, 2.0]}),
    "another architecture: it differs in 'v'": lambda: reply(9, {"w": [1.0, 2.0], "v": [1.0]}),
    "an error: it dropped out": lambda: failure(9),
    "0 records of arrays instead of one": lambda: emptied(reply(9, {"w": [1.0, 2.0]})),
    "arrays of other than floating numbers": lambda: reply(9, {"w": np.int64([1, 2])}),
    "an array that cannot be read (ValueError)": lambda: damaged(reply(9, {"w": [1.0, 2.0]})),
    "num-examples = nan": lambda: reply(9, {"w": [1.0, 2.0]}, examples=math.nan),
    "num-examples = 0": lambda: reply(9, {"w": [1.0, 2.0]}, examples=0),
    "num-examples = -3": lambda: reply(9, {"w": [1.0, 2.0]}, examples=-3),
    "num-examples = 1e+300": lambda: reply(9, {"w": [1.0, 2.0]}, examples=1e300),
    "num-examples = [1, 2]": lambda: reply(9, {"w": [1.0, 2.0]}, examples=[1, 2]),
    "other metrics than most": lambda: reply(9, {"w": [1.0, 2.0]}, loss=1.0),
}


def emptied(message):
    message.content = RecordDict({"metrics": message.content["metrics"]})
    return message


def damaged(message):
    message.content["arrays"]["w"].data = b"\x93NUMPY no array"
    return message


@pytest.mark.parametrize("reason", BAD)
def test_a_reply_that_cannot_be_used_is_logged_and_left_out(reason, caplog):
    good = [reply(1, {"w": [1.0, 1.0]}), reply(2, {"w": [3.0, 5.0]})]
    robust = Robust(FedAvg(), "mean", f=0)
    arrays, metrics = step(robust, {"w": [0.0, 0.0]}, [good[0], BAD[reason](), good[1]])
    assert numbers(arrays) == {"w": [2.0, 3.0]}
    assert metrics is not None
    assert robust.rounds[-1]["rejected"] == {9: reason.strip()}
    assert f"the reply of node 9 is left out: {reason.strip()}" in caplog.text


def renamed(message):
    message.content = RecordDict({"weights": message.content["arrays"], "metrics": message.content["metrics"]})
    return message


ODD = {
    "other metrics than most": lambda: reply(0, {"w": [9.0]}, loss=[1.0], each=[1.0, 2.0]),
    "other metrics than most ": lambda: reply(0, {"w": [9.0]}, loss=1.0, each=[1.0]),
    "another name of the record of arrays than most": lambda: renamed(
        reply(0, {"w": [9.0]}, loss=1.0, each=[1.0, 2.0])
    ),
    "a metric that is not finite: 'loss'": lambda: reply(0, {"w": [9.0]}, loss=math.nan, each=[1.0, 2.0]),
    "a metric that is not finite: 'each'": lambda: reply(0, {"w": [9.0]}, loss=1.0, each=[1.0, -math.inf]),
    "a metric that is not finite: 'loss' ": lambda: reply(0, {"w": [9.0]}, loss=10**400, each=[1.0, 2.0]),
}


@pytest.mark.parametrize("reason", ODD)
def test_a_client_with_metrics_of_another_form_spoils_nothing(reason):
    """It comes first, so what Flower takes the form from would be its reply. A loss of 3 is as good as one of 3.0."""
    good = [reply(1, {"w": [1.0]}, loss=1.0, each=[2.0, 4.0]), reply(2, {"w": [3.0]}, loss=3, each=[4.0, 0.0])]
    robust = Robust(FedAvg(), "mean", f=0)
    arrays, metrics = step(robust, {"w": [0.0]}, [ODD[reason](), *good])
    assert robust.rounds[-1]["rejected"] == {0: reason.strip()}
    assert numbers(arrays) == {"w": [2.0]}
    assert dict(metrics) == {"loss": 2.0, "each": [3.0, 2.0]}


ODD_METRICS = [{"accuracy": [1.0]}, {"accuracy": math.nan}, {"other": 1.0}, {"num-examples": -5}]


@pytest.mark.parametrize("odd", ODD_METRICS, ids=str)
def test_a_client_spoils_no_metrics_of_an_evaluation(odd):
    def evaluated(node, given):
        metrics = MetricRecord({"num-examples": 1, **({} if "other" in given else {"accuracy": 0.5}), **given})
        return Message(RecordDict({"metrics": metrics}), reply_to=ask(node))

    robust = Robust(FedAvg(), "mean", f=0)
    replies = [evaluated(0, odd), evaluated(1, {}), evaluated(2, {"accuracy": 1.0, "num-examples": 3}), failure(3)]
    assert dict(robust.aggregate_evaluate(1, replies)) == {"accuracy": 0.875}
    assert not robust.aggregate_evaluate(2, [failure(0)])


@pytest.mark.parametrize("replies", [[], [failure], [failure, lambda node: reply(node, {"w": [math.inf]})]])
def test_without_a_usable_reply_the_model_stays(replies, caplog):
    made = [make(node) for node, make in enumerate(replies)]
    robust = Robust(FedAvgM(), "nnm+multikrum", f=0.2)
    assert step(robust, {"w": [1.0]}, made) == (None, None)
    assert "no reply can be used in round 1" in caplog.text


@pytest.mark.parametrize("bad", ["raises", "wrong shape", "NaN"])
def test_a_rule_that_fails_keeps_the_model_for_that_round(bad, caplog):
    class Boom(Aggregator):
        key = "boom"

        def max_f(self, n):
            return n - 1

        def outcome(self, rows, f, generator):
            if bad == "raises":
                raise ZeroDivisionError("by zero")
            return Outcome(torch.zeros(2) if bad == "wrong shape" else torch.full((1,), math.nan), None, {}, rows)

    robust = Robust(FedAvg(), Boom(), f=1)
    result = robust.start(Grid(range(3), lambda node, *_: reply(node, {"w": [1.0]})), record({"w": [7.0]}), 2)
    assert result.train_metrics_clientapp == {}
    assert [seen["weights"] for seen in robust.rounds] == [None, None]
    assert "Robust: boom failed in round 2, the model stays as it is" in caplog.text


def test_f_is_clamped_and_that_is_said_once(caplog):
    caplog.set_level(logging.WARNING, "flwr")
    robust = Robust(FedAvg(), "multikrum", f=4)
    for round in (1, 2):
        arrays, _ = step(robust, {"w": [0.0]}, [reply(i, {"w": [float(i)]}) for i in range(5)], round)
        assert arrays is not None
    assert [(seen["f"], seen["clamped"]) for seen in robust.rounds] == [(1, True), (1, True)]  # n > 2 f + 2
    assert caplog.text.count("of 5 replies multikrum tolerates f = 1, not 4") == 1


def test_f_as_a_share_counts_all_replies():
    robust = Robust(FedAvg(), "median", f=0.3)
    step(robust, {"w": [0.0]}, [*(reply(i, {"w": [1.0]}) for i in range(10)), failure(10)])
    assert robust.rounds[-1]["f"] == 4  # 0.3 of 11 is 3.3


def test_weighted_multiplies_the_weights_of_the_rule():
    """Multi-Krum with n = 4, f = 1 keeps 3; the far one is dropped whatever it claims: (1 * 0 + 1 * 3 + 2 * 6) / 4."""
    replies = [reply(0, {"w": [0.0]}), reply(1, {"w": [3.0]}), reply(2, {"w": [6.0]}, examples=2)]
    replies.append(reply(3, {"w": [99.0]}, examples=1000))
    arrays, _ = step(Robust(FedAvg(), "multikrum(m=3)", f=0, weighted=True), {"w": [0.0]}, replies)
    assert numbers(arrays) == {"w": [3.75]}


@pytest.mark.parametrize("examples", [None, -5, 0, [1, 2]])
def test_weighted_needs_examples_though_the_strategy_does_not_say_by_what_it_weighs(examples):
    class Last(Strategy):
        """Of the replies, which are equal, takes the last; says nothing of weights."""

        configure_train = configure_evaluate = aggregate_evaluate = summary = lambda self, *args: []

        def aggregate_train(self, server_round, replies):
            return list(replies)[-1].content["arrays"], None

    bad = reply(2, {"w": [99.0]}) if examples is None else reply(2, {"w": [99.0]}, examples=examples)
    if examples is None:
        del bad.content["metrics"]["num-examples"]
    replies = [reply(0, {"w": [1.0]}), reply(1, {"w": [5.0]}, examples=3), bad]
    robust = Robust(Last(), "mean", f=0, weighted=True)
    arrays, _ = step(robust, {"w": [0.0]}, replies)
    assert robust.rounds[-1]["rejected"] == {2: f"num-examples = {examples}"}
    assert numbers(arrays) == {"w": [4.0]}  # (1 * 1 + 3 * 5) / 4


def test_what_a_rule_remembers_is_the_aggregate():
    """cclip, radius 1: from 0 the rows -3 are clipped to -1; from there to -2."""
    robust = Robust(FedAvg(), "cclip(tau=1.0)", f=0)
    for round, wanted in ((1, 1.0), (2, 2.0)):
        arrays, _ = step(robust, {"w": [0.0]}, [reply(i, {"w": [3.0]}) for i in range(3)], round)
        assert numbers(arrays) == {"w": [wanted]}


@pytest.mark.parametrize("make", [FedMedian, FedTrimmedAvg, Krum, MultiKrum, Bulyan])
def test_a_strategy_that_does_not_average_is_refused(make):
    with pytest.raises(InputError, match=rf"{make.__name__} does not average: Robust wants FedAvg"):
        Robust(make(), f=0)


def test_wrappers_stand_around_each_other_in_one_order_only(tmp_path):
    inner = Robust(FedAvg(), f=0)
    RedTeam(inner, out=tmp_path)
    for wrong in (lambda: Robust(inner, f=0), lambda: Robust(RedTeam(FedAvg(), out=tmp_path), f=0)):
        with pytest.raises(InputError, match="does not average"):
            wrong()
    with pytest.raises(InputError, match="one RedTeam at a time"):
        RedTeam(RedTeam(FedAvg(), out=tmp_path), out=tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "multikurm", "f": 1}, "did you mean 'multikrum'"),
        ({"rule": 3, "f": 1}, "rule must be a name, a function or an Aggregator, not 3"),
        (
            {},
            r"Robust needs f: how many Byzantine clients the rule assumes, such as f=2, or their share, such as f=0\.2",
        ),
        ({"f": -1}, "f must be at least 0"),
        ({"f": 1.5}, r"f must be a whole number, or a share below 1, not 1\.5"),
        ({"f": 1.0}, r"f must be a whole number, or a share below 1, not 1\.0"),
        ({"f": True}, "f must be a whole number, or a share below 1, not True"),
        ({"f": math.nan}, "f must be a whole number, or a share below 1, not nan"),
        ({"f": -0.1}, "f must be at least 0"),
        ({"f": 1, "rule": "median", "weighted": True}, "median does not average rows: it cannot be weighted"),
        ({"f": 1, "rule": "nnm+rbtm", "weighted": True}, "it cannot be weighted"),
        ({"f": 1, "statistics": "running_mean"}, "statistics must be a list of names"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(InputError, match=message):
        Robust(FedAvg(), **options)


def test_no_strategy_no_model():
    with pytest.raises(InputError, match="strategy must be a Flower strategy, not ABCMeta"):
        Robust(FedAvg, f=0)
    with pytest.raises(InputError, match="has no model yet"):
        Robust(FedAvg(), f=0).aggregate_train(1, [])
    with pytest.raises(InputError, match="the model has no trained array"):
        step(Robust(FedAvg(), f=0), {"steps": np.int64(1)}, [])


def test_the_rule_is_a_copy():
    rule = aggregators.make("cclip(tau=1.0)")
    step(Robust(FedAvg(), rule, f=0), {"w": [0.0]}, [reply(i, {"w": [3.0]}) for i in range(3)])
    assert not rule.state_dict()


def test_options_of_the_strategy_show_through():
    robust = Robust(FedAvg(fraction_train=0.5), f=0)
    assert robust.fraction_train == 0.5
    with pytest.raises(AttributeError):
        robust.fraction_trian  # noqa: B018


INSTALL = f"{shlex.quote(sys.executable)} -m pip install 'gradskew[flower]'"
MISSING = f"needs flwr 1.21 or newer (tried up to 1.42), which is not installed: {INSTALL}"


def test_flower_is_missing(monkeypatch):
    def version(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    with pytest.raises(InputError) as caught:
        check_installed()
    assert str(caught.value) == f"gradskew.flower {MISSING}"


@pytest.mark.processes
def test_without_flower_the_import_ends_in_one_line():
    code = "import sys; sys.modules['flwr'] = None; import importlib.metadata as m\n"
    code += "def version(name): raise m.PackageNotFoundError(name)\nm.version = version\nimport gradskew.flower"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stderr.strip().splitlines()[-1].endswith(MISSING)


def test_flower_is_too_old(monkeypatch):
    monkeypatch.setitem(sys.modules, "flwr.serverapp.strategy", None)
    monkeypatch.setattr(metadata, "version", lambda name: "1.20.0")
    with pytest.raises(InputError, match=r"flwr 1\.20\.0 has no flwr\.serverapp\.strategy"):
        check_installed()


def test_flower_is_too_new():
    class More(Strategy):
        aggregate_train = None

    class Another:
        __abstractmethods__ = frozenset([*METHODS, "negotiate"])

    check_strategy(Strategy, "1.42.0")
    for changed in (More, Another):
        with pytest.raises(
            InputError, match=r"flwr 9.0 has another Strategy interface: .* -m pip install 'flwr<=1.42'"
        ):
            check_strategy(changed, "9.0")


def test_the_mean_by_examples_is_fedavg():
    model, sent = {"w": [1.0, 2.0]}, [[2.0, 2.0], [4.0, 8.0], [0.0, -1.0]]
    found = [
        step(strategy, model, [reply(i, {"w": w}, examples=9**i) for i, w in enumerate(sent)])[0]["w"].numpy()
        for strategy in (FedAvg(), Robust(FedAvg(), "mean(weights=examples)", f=0))
    ]
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)


@pytest.mark.parametrize("name", ["flame(noise=0)", "lasa", "alignins", "foolsgold", "foolsgold(features=output)"])
def test_a_rule_is_told_the_model_its_layers_and_the_nodes(name, tmp_path):
    """The same as the rule by itself on the rows w - w_i, w = (1, ..., 6), a 2 x 2 matrix and a bias."""
    model = {"w": np.arange(1, 5, dtype="f").reshape(2, 2), "b": np.float32([5, 6])}
    rows = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    sent = [{"w": model["w"] - row[:4].reshape(2, 2), "b": model["b"] - row[4:]} for row in rows.numpy()]
    arrays, _ = step(Robust(FedAvg(), name, f=1), model, [reply(3 + i, each) for i, each in enumerate(sent)])
    layers = {"w": Layer(slice(0, 4), (2, 2)), "b": Layer(slice(4, 6), (2,))}
    round = Round(clients=range(3, 8), params=torch.arange(1.0, 7.0), layers=layers)
    wanted = torch.arange(1.0, 7.0) - aggregators.make(name)(rows, 1, round=round)
    found = np.concatenate([arrays["w"].numpy().ravel(), arrays["b"].numpy()])
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-5, atol=1e-5)
    red = RedTeam(FedAvg(), "lie", byzantine=1, rules=[name], out=tmp_path)
    step(red, model, [reply(3 + i, each) for i, each in enumerate(sent)])
    assert red.training.rounds[0]["rules"][aggregators.make(name).name] is not None


def test_a_rule_that_needs_what_flower_does_not_tell_is_refused_at_once():
    with pytest.raises(InputError, match="fltrust needs the server's own update"):
        Robust(FedAvg(), "nnm+fltrust", f=1)
    with pytest.raises(InputError, match="fltrust needs the server's own update"):
        RedTeam(FedAvg(), rules=["median", "fltrust"])
