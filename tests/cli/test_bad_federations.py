"""What cannot be run is one line before anything is run."""

import sys

import pytest

from gradskew import InputError, aggregators, attacks
from gradskew.runs.settings import make_runs

NETS = """
import torch
from torch import nn

from gradskew import InputError, aggregators, attacks
from gradskew.runs.settings import make_runs

class Warm(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.linear, self.t = nn.Linear(64, classes), nn.Parameter(torch.tensor(0.5))

    def forward(self, x):
        return self.linear(x.flatten(1)) * self.t.exp()

class Listening(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.lstm, self.linear = nn.LSTM(8, 4, batch_first=True), nn.Linear(4, classes)

    def forward(self, x):
        return self.linear(self.lstm(x)[0][:, -1])

def warm(shape, num_classes):
    return Warm(num_classes)

def listening(shape, num_classes):
    return Listening(num_classes)
"""
TINY = "--clients 6 --byzantine 1 --rounds 1 --epochs 1 --workers 1 --attacks none --no-lens"


@pytest.fixture
def nets(tmp_path, monkeypatch):
    (tmp_path / "odd_nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.delitem(sys.modules, "odd_nets", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bench"], "multikrum tolerates at most 23 of 50 clients, not 30"),
        (["bench", "--aggregators", "mean,median,nnm+multikrum"], "median tolerates at most 24 of 50 clients, not 30"),
        (
            ["bench", "--aggregators", "median", "--byzantine", "0.5"],
            "median tolerates at most 24 of 50 clients, not 25",
        ),
        (["audit", "--attack", "ipm", "--against", "rfa"], "rfa tolerates at most 24 of 50 clients, not 30"),
        (["skew", "--attack", "lie", "--aggregator", "bucketing+multikrum"], "bucketing+multikrum tolerates at most"),
    ],
)
def test_more_byzantine_clients_than_a_rule_tolerates(call, tmp_path, arguments, said):
    options = [*arguments, *([] if "--byzantine" in arguments else ["--byzantine", "30"])]
    assert said in call(*options, "--out", tmp_path / "out").error()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        ("labelflip(map=pair,target=70)", "needs the class 70, and the data have 10 classes, counted from 0"),
        ("mimic(variant=index,index=5)", "copies the honest row 5, counted from 0, and knows 5"),
        ("gaussian(sigma=1e300)", "gaussian: sigma must be at least 0 and at most 1e+30"),
        ("rop(z=tau)", "takes the radius of cclip, which mean is not"),
        ("labelflip+rop(z=tau)", "takes the radius of cclip, which mean is not"),
        ("nonfinite(value=1)", "nonfinite: value must be one of inf, -inf, nan"),
    ],
)
def test_an_attack_that_cannot_be_played_is_one_line_before_anything_is_written(call, tmp_path, attack, said):
    options = [*TINY.replace("--attacks none", "").split(), "--aggregators", "mean"]
    assert said in call("bench", *options, "--attacks", f"none,{attack}", "--out", tmp_path / "out").error()
    assert not (tmp_path / "out").exists()


def test_what_tolerates_more_is_run(call, tmp_path):
    """No defence has no bound; with sampling, the number of Byzantine rows varies, and f is clamped and recorded."""
    common = ["bench", *TINY.split(), "--model", "linear", "--byzantine", "4", "--out", tmp_path]
    assert call(*common, "--aggregators", "mean").code == 0
    assert call(*common, "--aggregators", "median", "--sampled", "3").code == 0


def test_a_scalar_parameter_from_the_command_line(call, nets):
    for model in ("odd_nets:warm", "odd_nets:warm(vectorised=True)"):
        outcome = call("bench", *TINY.split(), "--model", model, "--aggregators", "mean", "--out", nets / "out")
        assert outcome.code == 0, outcome.err


def test_a_network_that_cannot_train_as_a_batch_is_refused_before_the_sweep(call, nets):
    model = "odd_nets:listening(vectorised=True)"
    said = call("bench", *TINY.split(), "--model", model, "--engine", "batched", "--out", nets / "out").error()
    assert f"the model {model} cannot train its clients together: use engine = loop" in said
    assert not (nets / "out").exists()


def test_a_list_of_all_rules_leaves_out_what_tolerates_too_few(capsys: pytest.CaptureFixture[str]) -> None:
    """Of ten clients with three Byzantine ones Bulyan tolerates one."""
    given = {"clients": 10, "byzantine": 3, "rounds": 1, "model": "linear", "attacks": "none,lie"}
    runs = make_runs({**given, "rules": "all"})
    names = {run.aggregator.name for run in runs}
    assert names == {"smea(search=greedy)", *aggregators.names()} - {"smea", "bulyan"}
    assert capsys.readouterr().err == ("gradskew: bulyan tolerates at most 1 of 10 clients, not 3: it is left out\n")
    with pytest.raises(InputError, match="bulyan tolerates at most 1 of 10 clients, not 3; leave it out"):
        make_runs({**given, "rules": "median,bulyan"})
    few = make_runs({**given, "rules": "paper,meamed", "attacks": "paper"})
    assert {run.aggregator.name for run in few} == {*aggregators.PAPER, "meamed"}
    assert {run.attack.name for run in few} == set(attacks.PAPER)
