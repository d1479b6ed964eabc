"""Functions, classes and objects in the place of names, and code that was typed in a notebook."""

import pickle
import sys
from dataclasses import replace
from types import ModuleType

import foreign
import numpy as np
import pytest
import torch
from tiny import Cuts, Tiny
from tiny_sweeps import BASE, Raises, runs_of, stored

from gradskew import IID, Run, Store, aggregators, attacks, grid, simulate, skew, sweep
from gradskew.aggregators import Median, UserRule
from gradskew.attacks import LIE
from gradskew.core.errors import InputError
from gradskew.models import CNN, MLP, UserModel
from gradskew.runs import sweeps
from gradskew.runs.settings import make_methods
from gradskew.runs.sweeps import FailedRuns

ROWS = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 90.0]])

CELL = """
import numpy as np
import torch
from dataclasses import dataclass
from typing import ClassVar
from gradskew.aggregators import Aggregator, Outcome

def middle(rows, f):
    return rows.median(0).values

def middle_of_arrays(rows):
    return np.median(rows, axis=0)

def push(honest):
    return -10 * honest.mean(0)

def net(shape, num_classes):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, num_classes))

@dataclass(frozen=True, kw_only=True)
class First(Aggregator):
    key: ClassVar[str] = "first_row"

    def outcome(self, rows, f, generator):
        return Outcome(rows.updates[0].clone())
"""


@pytest.fixture
def cell(monkeypatch):
    """The names that a notebook's cell defines: in a `__main__` without a file."""
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    exec(compile(CELL, "<cell 1>", "exec"), vars(main))
    return vars(main)


def test_names_functions_and_classes_are_taken_where_objects_are():
    run = Run(source="digits", partition="iid", model="mlp(hidden=8)", attack="alie", aggregator="nnm+TrMean")
    assert (run.partition, run.model, run.attack) == (IID(), MLP(hidden=8), LIE())
    assert run.aggregator == aggregators.make("nnm+rbtm")
    assert run.digest == replace(run, attack=LIE(), model=MLP(hidden=8)).digest
    assert Run(partition="dirichlet(beta=0.3)").partition.min_samples == 2  # the data set's own, as in `bench`
    assert replace(run, attack="strike").attack.key == "strike"
    assert Run(model=CNN, attack=LIE, aggregator=Median) == Run(model=CNN(), attack=LIE(), aggregator=Median())
    named = grid(BASE, attacks=["none", LIE()], rules=["krum", Median])
    assert named == grid(BASE, attacks=["none", "lie"], aggregators=["multikrum(m=1)", "median"])


def test_an_imported_function_is_its_path():
    """So it has the digest of its name on the command line, and other processes can import it."""
    assert aggregators.make(foreign.trimmed) == aggregators.make("foreign:trimmed")
    assert aggregators.make(foreign.torn, arrays="numpy") == aggregators.make("foreign:torn(arrays=numpy)")
    assert attacks.make(foreign.mirrored) == attacks.make("foreign:mirrored")
    by_name = replace(BASE, aggregator="foreign:trimmed")
    assert replace(BASE, aggregator=foreign.trimmed).digest == by_name.digest
    assert by_name.session_code == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"rules": "mean"},
        {"rules": ["mean"], "aggregators": ["mean"]},
        {},
        {"rules": [3]},
        {"rules": [LIE()]},
        {"rules": "mean,median"},
    ],
    ids=str,
)
def test_a_grid_that_cannot_be_is_one_line(wrong):
    with pytest.raises(InputError):
        grid(BASE, attacks=["none"], **wrong)


def test_a_typed_function_is_called_with_what_it_asks_for(cell):
    assert aggregators.make(cell["middle"])(ROWS, f=1).tolist() == [2.0, 20.0]
    arrays = aggregators.make(cell["middle_of_arrays"], arrays="numpy")
    assert arrays(ROWS, f=1).tolist() == [2.0, 20.0]
    assert arrays.name == "__main__:middle_of_arrays(arrays=numpy)"
    forged = attacks.make(cell["push"])(ROWS, ROWS[:1])
    assert forged.tolist() == [[-20.0, -400.0]]
    factor = 3.0
    scaled = aggregators.make(lambda rows: factor * rows.mean(0))
    assert scaled(ROWS, f=0).tolist() == [6.0, 120.0]
    examined = skew.examine(torch.tensor(np.eye(10), dtype=torch.float32), ["lie"], [cell["middle"], "mean"])
    assert {trial.aggregator for trial in examined.trials} == {"__main__:middle", "mean"}


def test_an_object_is_called_and_each_run_has_one_of_its_own():
    class Counting:
        calls = 0

        def __call__(self, rows):
            self.calls += 1
            return rows.mean(0)

    given = Counting()
    rule = aggregators.make(given)
    for _ in range(2):
        assert rule(ROWS, f=0).tolist() == [2.0, 40.0]
    assert given.calls == 0
    assert isinstance(rule, UserRule)


def test_typed_code_runs_here_and_is_neither_stored_nor_sent(cell, tmp_path, capsys, monkeypatch):
    """The runs of built-in rules beside it are stored as ever."""
    monkeypatch.setattr(
        sweeps, "run_in_processes", lambda runs, store, workers, on_rounds: sweeps._run_here(runs, store, on_rounds)
    )
    rules = [cell["middle"], "median", cell["First"]]
    runs = grid(BASE, attacks=["none", cell["push"]], rules=rules)
    progress = []
    records = sweep(runs, tmp_path, workers=2, on_progress=progress.append)
    assert [record.digest for record in records] == [run.digest for run in runs]
    assert (progress[-1].done, progress[-1].rounds_done) == (6, 12)
    assert len(stored(tmp_path)) == 1
    line = "gradskew: __main__:middle, __main__.First, __main__:push: defined in this session alone, so run in this"
    assert capsys.readouterr().err.count(line) == 1
    of_typed, of_path = records[0], records[1]
    assert of_typed.spec["aggregator_name"] == "__main__:middle"
    assert of_typed.rounds[-1]["accuracy"] == simulate(runs[0]).rounds[-1]["accuracy"]
    assert of_path.params_sha256 == sweep([runs[1]], tmp_path)[0].params_sha256
    with pytest.raises(InputError, match="__main__:middle cannot be sent to another process: put it in a file"):
        pickle.dumps(runs[0].aggregator)


def test_another_function_of_the_same_name_is_another_run(cell, tmp_path):
    """A cell that is run again defines another function: no record of the old one may be taken for its own."""
    old = replace(BASE, aggregator=cell["middle"])
    exec(compile(CELL.replace("rows.median(0).values", "rows[0]"), "<cell 2>", "exec"), cell)
    new = replace(BASE, aggregator=cell["middle"])
    assert old.aggregator.name == new.aggregator.name
    assert old.digest != new.digest
    first, second = sweep([old, new], tmp_path)
    assert first.params_sha256 != second.params_sha256
    assert list(Store(tmp_path).all()) == []


def test_a_typed_network_trains_and_its_class_is_known(cell, tmp_path):
    run = Run(model=cell["net"], clients=6, byzantine=1, rounds=1)
    assert run.model == UserModel(factory=cell["net"])
    assert run.session_code == ["__main__.net"]
    assert len(sweep([run], tmp_path)) == 1
    assert list(Store(tmp_path).all()) == []


def test_a_typed_function_that_raises_fails_its_own_runs_alone(tmp_path):
    def broken(rows):
        raise ZeroDivisionError("over")

    runs = [replace(BASE, aggregator=broken), BASE, replace(BASE, attack=Raises())]
    with pytest.raises(FailedRuns, match=r"broken raised ZeroDivisionError: over .*and 1 more run"):
        sweep(runs, tmp_path)
    assert stored(tmp_path).keys() == {BASE.digest}


def test_every_round_is_reported_with_its_metrics():
    run = replace(runs_of("lie", "median")[0], source=Tiny(), partition=Cuts(sizes=(8,) * 5), clients=5, rounds=3)
    seen = []
    result = simulate(run, on_round=seen.append)
    assert seen == result.rounds
    assert [metrics["round"] for metrics in seen] == [0, 1, 2]
    assert all({"accuracy", "distance", "lens", "attack"} <= metrics.keys() for metrics in seen)


def test_functions_of_one_name_cannot_be_told_apart() -> None:
    """Their records would share a cell of the table; one function that is given twice is only an entry too many."""

    def own(updates, f):
        return updates.mean(0)

    both = [lambda updates, f: updates.mean(0), lambda updates, f: updates.median(0).values]
    line = r"^two functions in rules have one name, '.*<lambda>', and cannot .* give each a name of its own with def$"
    for make in (lambda rules: grid(BASE, attacks=["none"], rules=rules), lambda rules: make_methods({"rules": rules})):
        with pytest.raises(InputError, match=line):
            make(both)
        assert make([both[0], own])
    with pytest.raises(InputError, match=r"^two functions in attacks have one name"):
        grid(BASE, attacks=[lambda honest: honest.mean(0), lambda honest: -honest.mean(0)], rules=["mean"])
    with pytest.raises(InputError, match=r"^an entry is given twice in rules: '.*<lambda>'$"):
        make_methods({"rules": [both[0], both[0]]})
