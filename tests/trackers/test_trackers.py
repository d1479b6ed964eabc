"""Trackers: what they log, each run once, whatever fails; and the real back ends, read back."""

import csv
import json
import math
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
from command import TINY
from made_records import one_round, record
from outside import until
from tiny_sweeps import BASE, Raises, runs_of, stored

import gradskew as gs
from gradskew.core.errors import InputError
from gradskew.runs.sweeps import FailedRuns
from gradskew.trackers import CSV, TRACKERS, FinishedRun, JSONLines, Log, Tracker
from gradskew.trackers.flat import flat_rounds, flat_spec

SPEC = {
    "aggregator": {"name": "median"},
    "aggregator_name": "nnm+median",
    "attack": {"name": "lie", "z": 1.0},
    "attack_name": "lie(z=1.0)",
    "dataset": "digits",
    "partition": {"name": "dirichlet", "beta": 0.5},
    "rows": "gradient",
    "seed": 3,
    "server": {"name": "fedadam", "betas": [0.9, 0.99]},
    "sgd": {"name": "sgd", "lr": 0.2, "clip": None},
    "pictures": [0, 1],
}
DIGEST = "ab" * 32
LENS = {"f": 1, "towards": [-1.0, 1.0, -1.0, 1.0], "principal": [1.0, -1.0, 1.0, -1.0], "kappa": 0.25}
ROUNDS = [
    {"round": 0, "accuracy": None, "clamped": True, "attack": {"called": True}, "rule": {"f of cclip(tau=0.1)": 1}},
    {"round": 1, "accuracy": 50.0, "clamped": False, "attack": {"called": True}, "rule": {"kept": [1, 2]}},
]


def finished(**changes):
    return FinishedRun(**{"digest": DIGEST, "spec": SPEC, "rounds": ROUNDS, "accuracy": 50.0, **changes})


@dataclass(frozen=True, kw_only=True)
class Listed(Tracker):
    """Keeps what it is given; `broken` raises after so many runs."""

    key: ClassVar[str] = "listed"
    runs: list = field(default_factory=list, repr=False)
    broken: float = math.inf

    def has(self, run):
        return run.key in [each.key for each in self.runs]

    def log(self, run):
        if len(self.runs) >= self.broken:
            raise OSError("the server\nis gone")
        self.runs.append(run)


def test_a_spec_becomes_single_values():
    assert flat_spec(SPEC) == {
        "dataset": "digits",
        "partition": "dirichlet(beta=0.5)",
        "attack": "lie(z=1.0)",
        "rule": "nnm+median",
        "seed": 3,
        "sent": "gradient",
        "server": "fedadam(betas=(0.9,0.99))",
        "lr": 0.2,
        "pictures": "[0,1]",
    }
    assert [*flat_spec(SPEC)][:2] == ["dataset", "partition"]


def test_a_round_becomes_single_values():
    first, second = flat_rounds(ROUNDS)
    assert first == {"round": 0, "clamped": True, "attack_called": True, "rule_f_of_cclip_tau_0_1": 1}
    assert second == {"round": 1, "accuracy": 50.0, "clamped": False, "attack_called": True}
    lens = {**LENS, "kappa_bound": "inf", "shut_out": [3, 5], "clients": [2, 3, 4, 5], "progress": None}
    (measured,) = flat_rounds([{**ROUNDS[1], "f": 2, "lens": lens}])
    # projections of two equal halves: half of them are above their mean, and there is no skewness
    expected = {"f": 2, "measured_f": 1, "kappa": 0.25, "kappa_bound": math.inf, "shut_out": 2, "above": 0.5}
    assert {name: measured[name] for name in expected} == expected
    assert measured["skewness"] == measured["principal_skewness"] == 0
    assert not {"towards", "clients", "progress", "lens"} & measured.keys()
    assert "lens" not in flat_rounds([{**ROUNDS[1], "lens": None}])[0]


def test_rounds_of_different_sizes_are_measured_each_by_itself():
    skewed, equal = {"towards": [0.0, 3.0, 3.0, 3.0], "principal": [0.0, 3.0, 3.0, 3.0]}, {"towards": [1.0, 1.0]}
    lenses = [LENS, {**LENS, **equal, "principal": [0.0, 1.0]}, {**LENS, **skewed}, None]
    zero, two, low, none = flat_rounds([{**ROUNDS[1], "lens": lens} for lens in lenses])
    assert zero["skewness"] == 0
    assert low["skewness"] == pytest.approx(-(4**0.5) / 3**0.5)  # deviations -9/4 and three of 3/4
    assert "skewness" not in two  # all are equal
    assert (two["above"], two["principal_skewness"], low["above"]) == (1, 0, 0.75)
    assert "skewness" not in none


def test_metrics_are_finite_numbers():
    rounds = [{**ROUNDS[1], "distance": math.inf, "attack": {"called": False, "word": "x"}}]
    assert finished(rounds=rounds, best_accuracy=60.0).metrics == [
        {"accuracy": 50.0, "clamped": 0.0, "attack_called": 0.0}
    ]


def test_csv_by_hand(tmp_path):
    spec = {key: SPEC[key] for key in ("dataset", "attack_name", "aggregator_name", "seed")} | {"dataset": "=1+2"}
    run = finished(spec=spec, best_accuracy=60.0)
    CSV(folder=tmp_path).log(run)
    assert (tmp_path / "lie_z_1.0-nnm_median-3-abababababab.csv").read_text() == (
        "digest,dataset,attack,rule,seed,final_accuracy,best_accuracy,round,clamped,attack_called,"
        "rule_f_of_cclip_tau_0_1,accuracy\n"
        f"{DIGEST},'=1+2,lie(z=1.0),nnm+median,3,50.0,60.0,0,True,True,1,\n"
        f"{DIGEST},'=1+2,lie(z=1.0),nnm+median,3,50.0,60.0,1,False,True,,50.0\n"
    )


def test_json_lines_by_hand(tmp_path):
    rounds = [{**ROUNDS[1], "distance": math.inf}]
    run = finished(spec={**SPEC, "attack_name": "a/../b"}, rounds=rounds, best_accuracy=60.0, stamp="now")
    JSONLines(folder=tmp_path).log(run)
    (path,) = tmp_path.iterdir()
    assert path.name == "a_.._b-nnm_median-3-abababababab-now.jsonl"
    first, second, last = map(json.loads, path.read_text().splitlines())
    assert first == {"event": "run", "digest": DIGEST, **flat_spec({**SPEC, "attack_name": "a/../b"})}
    metrics = {"round": 1, "accuracy": 50.0, "clamped": False, "distance": None, "attack_called": True}
    assert second == {"event": "round", **metrics}
    assert last == {"event": "end", "final_accuracy": 50.0, "best_accuracy": 60.0}


def test_each_run_is_logged_once_with_the_numbers_of_its_record(tmp_path):
    runs = runs_of("none,lie", "mean,median")
    gs.sweep(runs[:1], tmp_path)
    listed = Listed()
    records = gs.sweep(runs, tmp_path, log=[listed, "csv"])
    assert [run.digest for run in listed.runs] == [run.digest for run in runs]
    for run, made in zip(listed.runs, records, strict=True):
        assert [metrics["accuracy"] for metrics in run.metrics] == made.accuracies
        assert run.summary == {"final_accuracy": made.accuracy, "best_accuracy": made.best_accuracy}
        assert {"skewness", "kappa", "progress"} <= run.table[0].keys()
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "log" / "csv").iterdir()}
    assert len(files) == 4
    gs.sweep(runs, tmp_path, log=(listed, "csv"))
    assert len(listed.runs) == 4
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "log" / "csv").iterdir()} == files


@pytest.mark.processes
def test_workers_change_no_byte_of_a_log(tmp_path):
    runs = runs_of("none,lie", "mean")
    for workers in (1, 2):
        gs.sweep(runs, tmp_path / str(workers), workers=workers, log="csv,jsonl")
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / workers / "log").rglob("*.*")} for workers in "12"
    )
    assert one == two
    assert len(one) == 4


def test_a_tracker_that_fails_loses_no_run(tmp_path, capsys):
    runs, broken, listed = runs_of("none,lie", "mean,median"), Listed(broken=1), Listed(runs=[])
    records = gs.sweep(runs, tmp_path, log=[broken, "jsonl"])
    assert len(records) == len(stored(tmp_path)) == 4
    assert len(list((tmp_path / "log" / "jsonl").iterdir())) == 4
    (line,) = capsys.readouterr().err.splitlines()
    why = "--log listed(broken=1.0) failed at none against median, seed 0 (OSError: the server is gone)"
    assert line == f"gradskew: {why}: the runs go on without it; the same command logs what is missing"
    gs.sweep(runs, tmp_path, log=listed)
    assert len(listed.runs) == 4


def test_a_run_that_fails_is_not_logged(tmp_path):
    listed = Listed()
    with pytest.raises(FailedRuns):
        gs.sweep(
            [gs.Run(attack=Raises(), model="linear", clients=6, byzantine=1, rounds=2), BASE], tmp_path, log=listed
        )
    assert [run.digest for run in listed.runs] == [BASE.digest]


def test_an_interrupt_while_a_run_is_logged_leaves_no_part_of_it(tmp_path, monkeypatch):
    def interrupted(metrics):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("gradskew.trackers.base.flat_rounds", interrupted)
        with pytest.raises(KeyboardInterrupt):
            gs.sweep([BASE], tmp_path, log="csv")
    assert len(stored(tmp_path)) == 1
    assert list((tmp_path / "log" / "csv").iterdir()) == []
    gs.sweep([BASE], tmp_path, log="csv")
    assert len(list((tmp_path / "log" / "csv").iterdir())) == 1


def test_simulate_logs_its_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    listed = Listed()
    result = gs.simulate(BASE, log=[listed, "csv"])
    (run,) = listed.runs
    assert (run.digest, run.stamp, len(run.table)) == (BASE.digest, "", 2)
    (path,) = (tmp_path / "gradskew-results" / "log" / "csv").iterdir()
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [float(row["accuracy"]) for row in rows] == [metrics["accuracy"] for metrics in result.rounds]


def test_a_function_of_this_session_is_logged_anew(tmp_path):
    def first(rows):
        return rows[0]

    run = gs.Run(aggregator=first, model="linear", clients=6, byzantine=1, rounds=2, sgd=BASE.sgd)
    assert run.session_code
    listed = Listed()
    for _ in range(2):
        gs.sweep([run], tmp_path, log=listed)
    gs.simulate(run, log=listed)
    assert len({each.key for each in listed.runs}) == 3


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("wanb", r"unknown tracker 'wanb'; did you mean 'wandb'\? known: csv, jsonl, mlflow, tensorboard, wandb"),
        ("csv,csv", "an entry is given twice in log"),
        ([CSV(), "csv"], "a tracker is given twice in log: csv"),
        ("", "empty entry in log"),
        ("csv(foo=1)", "unknown option of csv 'foo'; known: folder"),
        ("csv(folder=/dev/null/x)", "--log csv: cannot write to '/dev/null/x': Not a directory"),
        (3, "log takes names of trackers and Tracker objects, not 3"),
        ("gradskew:Table", "gradskew:Table must be a class that inherits Tracker"),
    ],
    ids=str,
)
def test_what_cannot_be_a_tracker_is_one_line_before_anything_is_run(given, says, tmp_path):
    with pytest.raises(InputError, match=says) as caught:
        gs.sweep([BASE], tmp_path, log=given)
    assert "\n" not in str(caught.value)
    assert not stored(tmp_path)


@pytest.mark.parametrize("name", ["mlflow", "tensorboard", "wandb"])
def test_a_library_that_is_missing_is_named_with_its_command(name, call, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    outcome = call("bench", *TINY.split(), "--out", tmp_path, "--log", f"csv,{name}")
    assert outcome.code == 2
    line = outcome.error().strip()
    assert line.startswith(f"gradskew: --log {name} needs {name} (")
    assert line.endswith(f" -m pip install 'gradskew[{name}]'")
    assert not stored(tmp_path)


def test_the_command_and_its_file_take_trackers(call, tmp_path):
    config = tmp_path / "sweep.toml"
    config.write_text('log = ["csv", "jsonl"]\n')
    assert call("bench", config, *TINY.split(), "--out", tmp_path / "out").code == 0
    assert {path.name for path in (tmp_path / "out" / "log").iterdir()} == {"csv", "jsonl"}
    assert "tensorboard" in call("list").out


def test_bench_from_python_takes_trackers(tmp_path):
    tiny = {"clients": 6, "byzantine": 1, "rounds": 2, "epochs": 1, "model": "linear", "progress": False}
    listed = Listed()
    table = gs.bench(attacks="none,lie", rules="mean", out=tmp_path, log=listed, **tiny)
    assert [run.digest for run in listed.runs] == [each.digest for each in table.records]


def test_a_closed_folder_in_the_middle_costs_a_line(tmp_path, capsys):
    ready = Log("csv", tmp_path)
    (tmp_path / "log" / "csv").rmdir()
    ready(finished(best_accuracy=50.0))
    assert "--log csv failed at lie(z=1.0) against nnm+median, seed 3 (FileNotFoundError" in capsys.readouterr().err
    assert not ready


def test_every_tracker_has_an_extra_of_its_library():
    extras = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    for key, cls in TRACKERS.classes.items():
        assert not cls.library or key in extras["optional-dependencies"], key


def made(folder, **changes):
    """A finished run of two rounds, by hand."""
    entry = record("lie", "median", [40.0, 60.0], **changes)
    rounds = [{"round": i, **one_round(x, distance=0.5 + i)} for i, x in enumerate([40.0, 60.0])]
    return FinishedRun(DIGEST, entry.spec, rounds, 60.0, 60.0)


@pytest.mark.filterwarnings("ignore")  # of the library
def test_event_files_of_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    ready, run = Log("tensorboard", tmp_path), made(tmp_path)
    (tmp_path / "log" / "tensorboard" / f".{run.stem}.x" / "half").mkdir(parents=True)  # of a killed process
    ready(run)
    ready(run)
    ready.trackers[0].log(run)  # as a process that was slower
    assert ready
    (folder,) = (tmp_path / "log" / "tensorboard").iterdir()
    read = EventAccumulator(str(folder)).Reload()
    assert [(each.step, each.value) for each in read.Scalars("accuracy")] == [(0, 40.0), (1, 60.0)]
    assert [(each.step, each.value) for each in read.Scalars("distance")] == [(0, 0.5), (1, 1.5)]
    assert [each.value for each in read.Scalars("final_accuracy")] == [60.0]
    content = read.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    assert b"median" in content
    assert DIGEST.encode() in content


def check_mlflow(tmp_path, monkeypatch, uri):
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    run, client = made(tmp_path), MlflowClient(uri)
    ready = Log("mlflow(experiment=mine)", tmp_path)
    with monkeypatch.context() as patch:  # killed between the run and its metrics
        patch.setattr("mlflow.MlflowClient.set_terminated", lambda *given: 1 / 0)
        Log("mlflow(experiment=mine)", tmp_path)(run)
    experiment = client.get_experiment_by_name("mine").experiment_id
    assert [each.info.status for each in client.search_runs([experiment])] == ["RUNNING"]
    ready(run)
    ready(run)
    assert ready
    (found,) = client.search_runs([experiment])
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "lie against median, seed 0"
    assert found.data.params["digest"] == DIGEST
    assert (found.data.params["rule"], found.data.params["lr"]) == ("median", "0.2")
    assert found.data.metrics["final_accuracy"] == 60.0
    history = client.get_metric_history(found.info.run_id, "accuracy")
    assert sorted((each.step, each.value) for each in history) == [(0, 40.0), (1, 60.0)]


@pytest.mark.filterwarnings("ignore")  # of the library
def test_files_of_mlflow(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    check_mlflow(tmp_path, monkeypatch, f"file:{tmp_path}/mlruns")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the libraries
def test_a_database_of_mlflow(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    pytest.importorskip("alembic")
    check_mlflow(tmp_path, monkeypatch, f"sqlite:///{tmp_path}/mlflow.db")


def records_of(path):
    """The whole records in a file of W&B: a head of 7 bytes, then parts in blocks, as LevelDB writes its log."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, whole = path.read_bytes(), 7, b""
    while place < len(data):
        if (left := -place % 32768) < 7 and left:  # the rest of a block, too short for a part
            place += left
            continue
        head, place = data[place : place + 7], place + 7
        size, kind = int.from_bytes(head[4:6], "little"), head[-1]
        whole, place = whole + data[place : place + size], place + size
        if place > len(data):  # it is being written
            return
        if kind in (1, 4):  # a full record, or the last part of one
            read = Record()
            read.ParseFromString(whole)
            yield read
            whole = b""


@pytest.mark.processes
@pytest.mark.filterwarnings("ignore")  # of the library
def test_weights_and_biases_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    ready, run = Log("wandb(project=mine)", tmp_path), made(tmp_path)
    ready(run)
    ready(run)
    assert ready
    (path,) = (tmp_path / "log" / "wandb").rglob("*.wandb")
    until(lambda: any(each.WhichOneof("record_type") == "exit" for each in records_of(path)))  # by another process
    read = list(records_of(path))
    (begun,) = (each.run for each in read if each.WhichOneof("record_type") == "run")
    assert (begun.run_id, begun.project, begun.display_name) == (DIGEST[:32], "mine", "lie against median, seed 0")
    assert '"median"' in {each.value_json for each in begun.config.update if each.key == "rule"}
    steps = [
        {(item.key or item.nested_key[0]): json.loads(item.value_json) for item in each.history.item}
        for each in read
        if each.WhichOneof("record_type") == "history"
    ]
    assert [(step["_step"], step["accuracy"], step["distance"]) for step in steps] == [(0, 40, 0.5), (1, 60, 1.5)]


@pytest.mark.filterwarnings("ignore")  # of the library
def test_weights_and_biases_without_an_account_is_one_line(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setattr(wandb, "login", lambda **given: False)
    monkeypatch.setattr(wandb, "setup", lambda: SimpleNamespace(settings=SimpleNamespace(mode="online")))
    with pytest.raises(InputError, match="no account: run `wandb login`, or set WANDB_MODE=offline"):
        Log("wandb", tmp_path)
