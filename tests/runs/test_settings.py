"""Lists of attacks by one word, the seeds that they have by default, and a network that returns probabilities."""

import pytest
from torch import nn

from gradskew import InputError, attacks
from gradskew.attacks import Adaptive
from gradskew.core.grammar import parse
from gradskew.models import UserModel
from gradskew.runs.listed import split_names
from gradskew.runs.settings import make_methods, make_runs

SMALL = {"clients": 6, "byzantine": 1, "rounds": 1, "model": "linear", "rules": "mean"}


@pytest.fixture
def worst(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ensemble of two attacks that need no search."""
    monkeypatch.setattr(attacks, "WORST", ("none", "lie", "lie(z=0.5)"))


def test_worst_is_the_default_bench_and_five_that_search() -> None:
    names = split_names("worst", "attacks")
    assert names[:9] == [*attacks.PAPER]
    members = [parse(name) for name in names[9:]]
    aims = ("undo", "stop", "loss", "loss+stop", "loss+stop+undo")
    assert members == [[("adaptive", {"aim": aim, "cap": None})] for aim in aims]
    assert split_names("none,worst", "attacks") == names
    assert split_names("strike,worst", "attacks") == ["strike", *(name for name in names if name != "strike")]
    assert split_names("mimic(warmup=3),none", "attacks") == ["mimic(warmup=3)", "none"]
    assert split_names(["none", "worst"], "attacks") == names
    rule = object()
    assert split_names([rule, "paper"], "rules")[0] is rule


def test_worst_takes_options_of_its_searches():
    names = split_names("none,worst(effort=full, limit=50)", "attacks")
    fixed, searches = names[: -len(attacks.ADAPTIVE)], names[-len(attacks.ADAPTIVE) :]
    assert fixed == [*attacks.PAPER]
    assert [attacks.make(name) for name in searches] == [
        Adaptive(aim=aim, cap=None, effort="full", limit=50)
        for aim in ("undo", "stop", "loss", "loss+stop", "loss+stop+undo")
    ]
    assert attacks.make(split_names("worst(cap=3)", "attacks")[-1]).cap == 3
    for text, message in (
        ("worst(aim=stop)", "aim: the searches of worst have their own"),
        ("worst(hat=1)", "unknown option of adaptive 'hat'"),
        ("worst(cap=0)", "cap must be above 0"),
    ):
        with pytest.raises(InputError, match=message):
            make_methods({"attacks": text})
    assert make_methods({"attacks": "worst(limit=9)"})[2] == [0, 1, 2]
    assert make_methods({"attacks": ["none", "worst"]})[2] == [0, 1, 2]
    assert make_methods({"attacks": "worst", "seeds": 1})[2] == [0]


def test_each_member_plays_federations_of_its_own(worst: None) -> None:
    runs = make_runs({**SMALL, "attacks": "worst"})
    assert [(run.attack.name, run.seed) for run in runs] == [
        (name, seed) for name in ("none", "lie", "lie(z=0.5)") for seed in (0, 1, 2)
    ]


@pytest.mark.parametrize(
    ("given", "seeds"),
    [
        ({"attacks": "worst"}, [0, 1, 2]),
        ({"attacks": "worst,strike"}, [0, 1, 2]),
        ({"attacks": "lie(z=0.5),none,lie"}, [0, 1, 2]),  # the same by name, as the audit has it
        ({"attacks": "worst", "seeds": None}, [0, 1, 2]),
        ({"attacks": "worst", "seeds": "1"}, [0]),
        ({"attacks": "worst", "seeds": "4,5"}, [4, 5]),
        ({"attacks": "none,lie"}, [0]),
        ({}, [0]),
    ],
    ids=str,
)
def test_worst_has_three_seeds_unless_told_otherwise(worst: None, given: dict[str, object], seeds: list[int]) -> None:
    assert make_methods(given)[2] == seeds
    assert list(dict.fromkeys(run.seed for run in make_runs({**SMALL, "attacks": "none", **given}))) == seeds


@pytest.mark.parametrize(
    ("last", "warned"), [(nn.Softmax(1), True), (nn.LogSoftmax(1), False), (nn.Sigmoid(), False), (nn.ReLU(), False)]
)
def test_a_network_that_returns_probabilities_gets_a_line(last, warned, capsys):
    """The loss takes their softmax again, which nobody who wrote the network meant."""
    network = UserModel(factory=lambda shape, classes: nn.Sequential(nn.Flatten(), nn.Linear(64, classes), last))
    make_runs({**SMALL, "model": network, "attacks": "none"})
    assert ("returns probabilities" in capsys.readouterr().err) == warned


class Small(nn.Module):
    """Embeds the pixels, of which there are more values than it knows."""

    def __init__(self, classes):
        super().__init__()
        self.embed = nn.EmbeddingBag(2, classes)

    def forward(self, inputs):
        return self.embed((20 * inputs).long().flatten(1))


def test_a_network_that_fails_on_training_inputs_is_one_line():
    """It takes the zeros on which networks are first tried."""
    network = UserModel(factory=lambda shape, classes: Small(classes))
    with pytest.raises(InputError, match=r"fails on training inputs: .*\(test_settings\.py, line \d+\)$"):
        make_runs({**SMALL, "model": network, "attacks": "none"})
