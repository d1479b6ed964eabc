"""Numbers to predict: read from files and memory, standardised, and dealt by their tenths."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import gradskew as gs
from gradskew import data
from gradskew.cli import cli
from gradskew.core.errors import InputError
from gradskew.runs.settings import make_runs

PRICES = [10.5, 20, 20, 40, 80, 160, 320, 640, 1280, 2560]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADSKEW_CACHE", str(tmp_path / "cache"))


def table(folder, prices=PRICES, times=4):
    """A file with each price `times` times; the size of a house is its number."""
    path = folder / "houses.csv"
    rows = [f"{i},{price}" for i, price in enumerate(list(prices) * times)]
    path.write_text("\n".join(["size,price", *rows]) + "\n")
    return path


def test_a_column_of_numbers(tmp_path) -> None:
    """Tenths are four rows each; equal numbers, 20, are in the lowest class that one of them has."""
    dataset = data.make(f"csv:{table(tmp_path)}(label=price,regression=True)").load()
    assert dataset.num_classes == 9
    assert "price is to be predicted; classes 0 to 8 are its tenths" in dataset.notes
    train, test = dataset.train, dataset.test
    assert train.targets.dtype == torch.float32
    assert float(train.targets.double().mean()) == pytest.approx(0, abs=1e-6)
    assert float(train.targets.double().std(correction=0)) == pytest.approx(1, abs=1e-6)
    classes = {round(float(t), 5): int(c) for t, c in zip(train.targets, train.labels, strict=True)}
    assert sorted(classes, key=lambda target: classes[target]) == sorted(classes), "classes rise with the numbers"
    assert train.labels.bincount(minlength=9).tolist()[1] + test.labels.bincount(minlength=9).tolist()[1] == 8


def test_numbers_as_they_are(tmp_path) -> None:
    dataset = data.make(f"csv:{table(tmp_path)}(label=price,regression=True,standardise=False)").load()
    whole = sorted([*dataset.train.targets.tolist(), *dataset.test.targets.tolist()])
    assert whole == sorted(PRICES * 4)


def test_the_test_part_is_measured_by_the_training_part(tmp_path) -> None:
    other = tmp_path / "new.csv"
    other.write_text("size,price\n1,1000\n2,3000\n")
    name = f"csv:{table(tmp_path)}(label=price,regression=True,test='{other}')"
    dataset = data.make(name).load()
    known = np.array(PRICES * 4)
    wanted = (np.array([1000, 3000]) - known.mean()) / known.std()
    np.testing.assert_allclose(dataset.test.targets.numpy(), wanted, rtol=1e-6)


def test_arrays(tmp_path) -> None:
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(50, 3)), generator.normal(size=50)
    held = gs.source((X, y), regression=True).load()
    np.savez(tmp_path / "a.npz", X=X, y=y)
    read = data.make(f"npz:{tmp_path / 'a.npz'}(regression=True)").load()
    for part in ("train", "test"):
        assert torch.equal(getattr(held, part).targets, getattr(read, part).targets)
    assert held.train.targets.shape == (40,)


def test_the_loss_follows_from_the_data(tmp_path, capsys) -> None:
    """A bench of such data trains by squared loss, and leaves the paper's label flip out."""
    given = {"dataset": f"csv:{table(tmp_path)}(label=price,regression=True)", "clients": 4, "byzantine": 1}
    given["rules"] = "mean"
    runs = make_runs(given)
    left_out = "labelflip changes labels, and loss = squared does not train on them: it is left out"
    assert left_out in capsys.readouterr().err
    assert {run.loss for run in runs} == {"squared"}
    assert "labelflip" not in {run.attack.name for run in runs}
    with pytest.raises(InputError, match="labelflip changes labels"):
        make_runs({**given, "attacks": "none,labelflip"})
    with pytest.raises(InputError, match="loss = cross_entropy needs classes, and these data have numbers to predict"):
        make_runs({**given, "loss": "cross_entropy"})


def test_many_equal_numbers_and_few_rows(tmp_path) -> None:
    """Most stays cost nothing: the tenths of the others have a row each."""
    dataset = data.make(f"csv:{table(tmp_path, [0] * 13 + [1, 2, 3, 4], 1)}(label=price,regression=True)").load()
    assert len(dataset.train) + len(dataset.test) == 17


def test_an_audit_leaves_the_label_flip_out(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--clients", "6", "--byzantine", "1", "--rounds", "1", "--against", "mean", "--under", "paper"]
    given = ["--dataset", f"csv:{table(tmp_path)}(label=price,regression=True)", "--rule", "mean", *options]
    done = CliRunner().invoke(cli, ["audit", *given, "--out", str(tmp_path / "out"), "--workers", "1"])
    assert not isinstance(done.exception, InputError), done.exception
    assert (tmp_path / "out" / "results.csv").exists()


@pytest.mark.parametrize(
    ("prices", "options", "line"),
    [
        ([1, 2, "dear"], "label=price,regression=True", "has texts such as 'dear', and regression=True predicts"),
        ([3, 3, 3], "label=price,regression=True", "has one number only: there is nothing to predict"),
        ([1, 2, 1e30], "label=price,regression=True", r"has numbers beyond 1e\+18"),
        ([1, 2, ""], "label=price,regression=True", "rows have no value in 'price'"),
        ([1.5, 2, 2], "label=price", "not whole, such as 1.5: classes are whole numbers or texts; regression=True"),
        ([1, 2, 3], "label=price,regression=maybe", "regression must be one of False, True"),
    ],
)
def test_what_cannot_be_predicted_is_one_line(tmp_path, prices, options, line) -> None:
    with pytest.raises(InputError, match=line):
        data.make(f"csv:{table(tmp_path, prices)}({options})").load()
