"""`gradskew tune`, and that `gradskew bench` plays what it writes."""

import subprocess
import sys
import tomllib

import pytest
from command import records

pytest.importorskip("optuna", reason="needs optuna: pip install 'gradskew[tune]'")
TINY = "--clients 6 --byzantine 1 --rounds 1 --epochs 1 --model linear --workers 1 --seeds 1 --trials 2"


@pytest.fixture
def tune(call, tmp_path):
    return lambda *arguments: call("tune", *TINY.split(), "--out", tmp_path / "out", *arguments)


def test_what_is_written_is_played(call, tune, tmp_path):
    said = tune("--rule", "cclip(tau={tau})", "--search", "tau=0.5:5:log", "--search", "lr=0.1,0.2")
    assert said.code == 0, said.err
    assert "digits, cclip(tau={tau}), 2 trials: 2 runs of 1 round, 1 worker" in said.err
    lines = [line for line in said.err.splitlines() if line.startswith(("1/2  ", "2/2  "))]
    assert len(lines) == 2
    best = max(lines, key=lambda line: float(line.split()[-2]))
    assert f"Best of 2 trials: {best[5:]}, seed 0, on 20 % of the training inputs, which were held out." in said.out
    assert "The test inputs took no part in the choice." in said.out
    assert "2 runs done" in said.out
    settings = tomllib.loads((tmp_path / "out" / "tuned.toml").read_text())
    assert f"tau={settings['rules'].removeprefix('cclip(tau=').removesuffix(')')}, lr={settings['lr']}:" in best
    assert settings["seeds"] == [1]
    assert not {"attacks", "validation", "workers", "out"} & settings.keys()
    played = call("bench", tmp_path / "out" / "tuned.toml", "--attacks", "none", "--out", tmp_path / "bench")
    assert played.code == 0, played.err
    assert len(records(tmp_path / "bench")) == 1


def test_a_config_file_has_the_same_settings(call, tune, tmp_path):
    options = ("--rule", "median", "--attack", "lie", "--search", "momentum=0,0.9,lr=0.1:0.2")
    assert tune(*options).code == 0
    config = tmp_path / "tune.toml"
    config.write_text(
        'clients = 6\nbyzantine = 1\nrounds = 1\nepochs = 1\nmodel = "linear"\nworkers = 1\nseeds = 1\ntrials = 2\n'
        'rule = "median"\nattacks = ["lie"]\nsearch = ["momentum=0,0.9", "lr=0.1:0.2"]\n'
    )
    again = call("tune", config, "--out", tmp_path / "out")
    assert again.code == 0, again.err
    assert "0 runs done" in again.out
    assert tomllib.loads((tmp_path / "out" / "tuned.toml").read_text())["attacks"] == "lie"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "tune needs a rule"),
        ("--rule median --search lrr=0.1:1", "did you mean 'lr'?"),
        ("--rule median --search lr=0:1:log", "a logarithmic one begins above 0"),
        ("--rule median --search lr=0.1:1 --lr 0.1", "lr is given twice"),
        ("--rule median --lr 0.1,0.2", "tune takes one value of each option: give lists to the search"),
        ("--rule median --trials 0", "Invalid value for '--trials'"),
    ],
)
def test_a_wrong_study_is_one_line(tune, tmp_path, arguments, said):
    assert said in tune(*arguments.split()).error()
    assert not (tmp_path / "out").exists()


@pytest.mark.processes
def test_gradskew_is_imported_without_optuna():
    code = "import sys, gradskew as gs; gs.tune; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
