"""Studies: what a trial is worth, that they go on where they ended, and what comes out of them."""

import sys
import tomllib
from dataclasses import replace
from statistics import fmean

import pytest
import torch
from tiny_sweeps import stored

import gradskew as gs
from gradskew.core.errors import InputError
from gradskew.data import Dataset, Split
from gradskew.runs.settings import make_runs
from gradskew.runs.tuned import Trial, Tuned

pytest.importorskip("optuna", reason="needs optuna: pip install 'gradskew[tune]'")
SMALL = {"model": "linear", "clients": 4, "rounds": 1, "epochs": 1, "rule": "median", "byzantine": 1, "beta": "iid"}


def data(flip: bool = False) -> Dataset:
    """Two classes of 40 inputs that a line divides. flip: with wrong test labels."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(80) % 2
    inputs = torch.randn(80, 3, generator=rng) + 2 * labels[:, None]
    return Dataset(Split(inputs, labels), Split(inputs[:20], labels[:20] ^ flip), 2)


def tune(out, **options):
    return gs.tune(**{"dataset": data(), "seeds": 2, "trials": 6, "out": out, **SMALL, **options})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A study, its folder, and the runs that it stored."""
    out = tmp_path_factory.mktemp("study")
    tuned = tune(out)
    return tuned, out, stored(out)


def test_a_trial_is_the_mean_over_seeds_of_its_runs(finished, tmp_path):
    """The runs of a trial, played by their settings."""
    tuned, _, records = finished
    assert [trial.number for trial in tuned.trials] == [1, 2, 3, 4, 5, 6]
    for trial in tuned.trials[:2]:
        runs = make_runs(
            {**SMALL, "beta": None, "partition": "iid", "dataset": data(), "attacks": "none", "seeds": 2}
            | {"validation": 0.2, "lens": False, **trial.values}
        )
        assert {run.digest for run in runs} < records.keys()
        accuracies = [gs.simulate(run).rounds[-1]["accuracy"] for run in runs]
        assert trial.accuracy == pytest.approx(fmean(accuracies))
    assert tuned.best.accuracy == max(trial.accuracy for trial in tuned.trials)


def test_the_same_study_plays_nothing_again_and_a_longer_one_what_is_missing(finished):
    tuned, out, records = finished
    reports = []
    assert tune(out, on_progress=reports.append).trials == tuned.trials
    assert reports[-1].rounds_done == 0
    assert stored(out) == records
    longer = tune(out, trials=7, on_progress=reports.append)
    assert longer.trials[:6] == tuned.trials
    assert reports[-1].done == 2
    assert len(stored(out)) == len(records) + 2


def test_an_interrupted_study_goes_on_to_the_same_trials(finished, tmp_path):
    tuned, _, records = finished

    def stop(trial):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(tmp_path, on_trial=stop)
    before = stored(tmp_path)
    assert 0 < len(before) < len(records)
    assert tune(tmp_path).trials == tuned.trials
    assert stored(tmp_path) == records


def test_the_test_part_takes_no_part(finished, tmp_path):
    other = tune(tmp_path, dataset=data(flip=True))
    assert other.trials == finished[0].trials


def test_of_several_attacks_the_lowest_counts(tmp_path):
    trials = {
        attacks: tune(tmp_path, attacks=attacks, trials=1).trials[0] for attacks in ("bitflip", "none", "bitflip,none")
    }
    lowest = min(("bitflip", "none"), key=lambda attack: (trials[attack].accuracy, attack))
    assert trials["bitflip,none"] == trials[lowest]


def test_a_larger_rate_learns_what_a_tiny_one_does_not(tmp_path):
    """The choice follows the accuracy: at 1e-9 the network stays where it was drawn."""
    tuned = tune(tmp_path, search={"lr": [1e-9, 0.5]}, trials=4, rounds=5)
    assert tuned.options["lr"] == 0.5
    assert {trial.values["lr"] for trial in tuned.trials} == {1e-9, 0.5}


TUNED = Tuned(
    given={"rules": "nnm+cclip(tau={tau})", "model": "linear", "validation": 0.3, "seeds": "2", "download": True},
    search=(),
    seeds=(0, 7),
    attacks=("none", "lie"),
    validation=0.3,
    trials=[
        Trial(1, {"lr": 0.5, "tau": 2.0}, 50.0, "lie"),
        Trial(2, {"lr": 0.25, "tau": 4.5}, 80.04, "lie"),
        Trial(3, {"lr": 0.125, "tau": 9.0}, 80.04, "none"),
    ],
)


def test_the_file_has_the_best_values_other_seeds_and_what_the_choice_rests_on():
    text = TUNED.to_toml()
    assert tomllib.loads(text) == {
        "rules": "nnm+cclip(tau=4.5)",
        "model": "linear",
        "seeds": [8, 9],
        "download": True,
        "lr": 0.25,
    }
    assert text.startswith(
        "# Best of 3 trials: lr=0.25, tau=4.5: 80.0 % under lie, the mean over the seeds 0, 7, the lowest under none, "
        "lie, on 30 % of the training inputs, which were held out.\n"
    )
    assert "# The test inputs took no part in the choice. The seeds did" in text


def test_an_object_has_no_place_in_a_file():
    with pytest.raises(InputError, match="model is an object, which a TOML file cannot name"):
        replace(TUNED, given={**TUNED.given, "model": gs.Linear()}).to_toml()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rule": None}, "tune needs a rule"),
        ({"rule": "median,mean"}, "tune takes one rule, not 2: median, mean"),
        ({"rule": "median(tau={tau})", "search": "tau=1:2"}, "tau=1: unknown option of median 'tau'"),
        ({"search": "momentum=0:1"}, "momentum=1: momentum must be at least 0 and below 1"),
        ({"lr": 0.1, "momentum": 0.9}, "nothing is searched: lr and momentum are given"),
        ({"weight_decay": [0.1, 0.2]}, "tune takes one value of each option"),
        ({"validation": 0.0}, "validation = 0 holds out nothing to judge by"),
        ({"trials": 0}, "trials must be at least 1, not 0"),
        ({"roundz": 1}, "unknown option of tune 'roundz'; did you mean 'rounds'?"),
    ],
)
def test_what_cannot_be_tuned_is_one_line_and_plays_nothing(tmp_path, options, said):
    with pytest.raises(InputError) as error:
        tune(tmp_path / "out", **options)
    assert said in str(error.value)
    assert not (tmp_path / "out").exists()


def test_without_optuna_one_line_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"tune needs the package optuna: .*pip install 'gradskew\[tune\]'"):
        gs.tune(rule="median")
