"""A user's network by its path."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import Cuts, Tiny, frozen

from gradskew import models
from gradskew.core.errors import InputError
from gradskew.federation.run import Run
from gradskew.federation.simulation import simulate
from gradskew.models import UserModel
from gradskew.runs.sweeps import sweep

NET = """
from torch import nn

class Nets:
    @staticmethod
    def small(shape, num_classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1], num_classes))

def one_argument(shape):
    return nn.Flatten()

value = 3
"""
FAILS = "import math\nmath.sqrt(\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with modules that nothing else has imported."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "nets.py").write_text(NET)
    (tmp_path / "unreadable_net.py").write_text(FAILS)
    (tmp_path / "quitting_net.py").write_text("raise SystemExit(0)")
    (tmp_path / "raising_net.py").write_text("raise OSError('no weights here')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    for name in ("own", "own.nets", "unreadable_net", "quitting_net", "raising_net"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def test_a_path_of_an_installed_module() -> None:
    assert models.make("tiny:frozen") == UserModel(factory=frozen)
    assert models.make(" tiny:frozen(vectorised=True)") == UserModel(factory=frozen, vectorised=True)


def test_a_path_in_the_current_folder(folder: Path) -> None:
    model = models.make("own.nets:Nets.small")
    assert str(folder) in sys.path
    assert sum(p.numel() for p in model.build((2, 3), 4).parameters()) == 6 * 4 + 4
    assert models.make(model.name) == model
    assert sys.path.count(str(folder)) == 1


def test_the_name_makes_it_again() -> None:
    for text in ("tiny:frozen", "tiny:frozen(vectorised=True)"):
        assert models.make(text).name == text


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "missing_nets:net",
            "cannot import the model 'missing_nets:net' (package.module:function): ModuleNotFoundError",
        ),
        ("own.nets:net", "cannot import the model 'own.nets:net' (package.module:function): AttributeError: "),
        ("own.nets:", "cannot read 'own.nets:'"),
        (":net", "cannot read ':net'"),
        (".nets:net", "cannot read '.nets:net'"),
        ("unreadable_net:net", "cannot import the model 'unreadable_net:net' (package.module:function): SyntaxError"),
        ("raising_net:net", "OSError: no weights here"),
        ("quitting_net:net", "cannot import the model 'quitting_net:net' (package.module:function): SystemExit"),
        ("own.nets:value", "own.nets:value: factory must be a function of (shape, num_classes)"),
        ("own.nets:one_argument", "own.nets:one_argument: factory must be a function of (shape, num_classes)"),
        ("own.nets:Nets.small(vectorised=2)", "own.nets:Nets.small: vectorised must be one of False, True, not 2"),
        ("own.nets:Nets.small(width=2)", "unknown option of own.nets:Nets.small 'width'; known: vectorised"),
        ("own.nets:Nets.small(2)", "are written name=value"),
        ("own.nets:Nets.small(", "are written name=value"),
    ],
)
def test_wrong_paths_are_one_line(folder: Path, path: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        models.make(path)


@pytest.mark.processes
def test_worker_processes_find_it(folder: Path) -> None:
    model = models.make("own.nets:Nets.small")
    run = Run(source=Tiny(), partition=Cuts(sizes=(16, 16, 16)), model=model, clients=3, byzantine=0, rounds=1)
    records = sweep([run, replace(run, seed=1)], folder / "out", workers=2)
    assert records[0].params_sha256 == simulate(run).params_sha256
