"""Sweeps through a cluster that is not Ray, and what else of Ray needs none: `test_ray` has the real one."""

import os
import pickle
import re
import sys
import time
import types
import warnings
from dataclasses import replace

import numpy as np
import pytest
from tiny_sweeps import BASE, Log, Raises, runs_of, stored

import gradskew.cli
from gradskew import Cluster, InputError, Store, sweep
from gradskew.core.importing import with_place
from gradskew.data import Digits, from_arrays, to_arrays
from gradskew.runs import ray as cluster
from gradskew.runs import sweeps


class FakeRay(types.ModuleType):
    """A cluster of one node, which executes one task whenever it is waited for."""

    def __init__(self):
        super().__init__("ray")
        self.exceptions = types.SimpleNamespace(RayError=type("RayError", (Exception,), {}))
        self.queue, self.results, self.cancelled, self.options_of = {}, {}, [], []

    def is_initialized(self):
        return True

    def nodes(self):
        return [{"Alive": True, "Resources": {"CPU": 2, "GPU": 0, "memory": 1e12}}]

    def put(self, parts):
        return parts

    def remote(self, **options):
        def decorate(function):
            return types.SimpleNamespace(
                options=lambda **needs: types.SimpleNamespace(
                    remote=lambda *given: self.submit(lambda: function(*given), {**options, **needs})
                )
            )

        return decorate

    def submit(self, call, options):
        reference = len(self.options_of)
        self.options_of.append(options)
        self.queue[reference] = call
        return reference

    def wait(self, references, *, num_returns, timeout):
        first = next((each for each in references if each in self.queue), None)
        if first is None:
            return [], references
        try:
            self.results[first] = self.queue.pop(first)()
        except Exception as error:
            self.results[first] = error
        return [first], [each for each in references if each != first]

    def get(self, reference):
        result = self.results[reference]
        if isinstance(result, Exception):
            raise result
        return result

    def cancel(self, reference):
        self.cancelled.append(reference)
        del self.queue[reference]


@pytest.fixture
def fake(monkeypatch):
    ray = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", ray)
    return ray


def test_a_sweep_submits_waits_and_stores_whatever_raises(fake, tmp_path):
    runs, log = runs_of(), Log()
    bad = replace(BASE, attack=Raises())
    with pytest.raises(InputError, match=r"raises against mean, seed 0: ZeroDivisionError: over here \("):
        sweep([bad, *runs], tmp_path / "there", workers=Cluster(), on_progress=log)
    sweep(runs, tmp_path / "here")
    assert stored(tmp_path / "there") == stored(tmp_path / "here")
    assert (log[-1].done, log[-1].rounds_done) == (5, 8)
    assert {(each["num_cpus"], each["num_gpus"], each["max_retries"]) for each in fake.options_of} == {(1, 0, 5)}
    assert all(each["memory"] > 0 for each in fake.options_of)
    assert not list((tmp_path / "there" / "runs").glob(".token.*"))


def test_ctrl_c_cancels_what_has_not_ended(fake, tmp_path):
    def stop(progress):
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(runs_of(), tmp_path, workers=Cluster(), on_progress=stop)
    assert fake.cancelled == [3, 2]
    assert len(sweep(runs_of(), tmp_path, workers=Cluster())) == 4
    assert len(fake.options_of) == 4 + 2


def test_a_run_of_another_process_comes_last(fake, tmp_path):
    """Its task is submitted once more, and waits."""
    runs, waits = runs_of("none", "mean,median"), []
    inner = cluster.execute

    def execute(run, store, *, wait, **given):
        waits.append((run.digest, wait))
        if len(waits) == 1:
            return cluster.Status.ELSEWHERE
        return inner(run, store, wait=wait, **given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "execute", execute)
        sweep(runs, tmp_path, workers=Cluster())
    assert waits == [(runs[0].digest, False), (runs[1].digest, False), (runs[0].digest, True)]


@pytest.fixture
def asked(monkeypatch):
    """What a bench command asks of `sweep`: its runs and workers; or its one line."""

    def ask(capsys, line: str):
        calls = []

        def sweep(runs, out, *, workers, **options):
            calls.append((runs, workers))
            raise InputError("called")

        monkeypatch.setattr(sweeps, "sweep", sweep)
        with pytest.raises(SystemExit) as caught:
            gradskew.cli.main(["bench", "--attacks", "none", "--aggregators", "mean", *line.split()])
        assert caught.value.code == 2
        return calls[0] if calls else capsys.readouterr().err

    return ask


@pytest.mark.parametrize(
    ("line", "engine", "workers"),
    [
        ("--engine ray", "auto", Cluster("auto")),
        ("--engine ray,loop", "loop", Cluster("auto")),
        ("--engine batched,ray --address head:6379", "batched", Cluster("head:6379")),
        ("--engine loop --workers 2", "loop", 2),
    ],
)
def test_engine_says_who_executes_and_how_clients_train(line, engine, workers, asked, capsys, tmp_path):
    (run,), got = asked(capsys, f"{line} --out {tmp_path}")
    assert (run.engine, got) == (engine, workers)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--engine loop,batched", "one training engine"),
        ("--engine ray,ray", "given twice in engine"),
        ("--engine rai", "engine must be one of auto, batched, loop"),
        ("--address auto", "--address needs --engine ray"),
        ("--engine ray --workers 2", "--workers does not apply to --engine ray"),
    ],
)
def test_options_that_do_not_go_together(line, says, asked, capsys, tmp_path):
    assert says in asked(capsys, f"{line} --out {tmp_path}")


def test_a_data_set_comes_back_from_its_arrays():
    """Read-only ones, as they lie in Ray's object store: mapped, not copied, and without a warning."""
    dataset = Digits().load()
    arrays, about = to_arrays(dataset)
    frozen = {name: array.copy() for name, array in arrays.items()}
    for array in frozen.values():
        array.setflags(write=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        back = from_arrays(frozen, about)
    assert "digest" in vars(back)
    del vars(back)["digest"]
    assert back.digest == dataset.digest
    assert np.shares_memory(back.train.inputs.numpy(), frozen["train_inputs"])


def test_a_finished_sweep_needs_no_ray(tmp_path, monkeypatch):
    records = sweep(runs_of(), tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert sweep(runs_of(), tmp_path, workers=Cluster("auto")) == records


def test_without_ray_one_line_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'gradskew\[ray\]'"):
        sweep(runs_of(), tmp_path, workers=Cluster())


def test_what_a_killed_command_has_left_in_the_store_goes_one_day(tmp_path):
    store = Store(tmp_path)
    store.prepare()
    old, new = (store.runs / f".token.{name}" for name in ("old", "new"))
    for path in (old, new):
        path.touch()
    os.utime(old, (time.time() - 40 * 86_400,) * 2)
    with cluster._token(store) as token:
        assert sorted(store.runs.iterdir()) == sorted([new, token])
    assert list(store.runs.iterdir()) == [new]


def test_a_worker_with_another_torch_is_an_error(tmp_path):
    run = replace(BASE)
    run.content["torch"] = "0.0.1"
    with pytest.raises(InputError, match=r"a worker has torch .*, where the command started it is 0\.0\.1"):
        cluster.execute_as_task(run, to_arrays(run.source.load()), str(tmp_path / "runs" / "x"), False)


def test_an_error_of_a_users_code_keeps_its_place_when_a_worker_sends_it(tmp_path):
    run = replace(BASE, attack=Raises())
    with pytest.raises(ZeroDivisionError) as caught:
        cluster.execute_as_task(run, to_arrays(run.source.load()), str(tmp_path / "runs" / "x"), False)
    sent = pickle.loads(pickle.dumps(caught.value))
    assert re.fullmatch(r"ZeroDivisionError: over here \(tiny_sweeps\.py, line \d+\)", with_place(sent))
