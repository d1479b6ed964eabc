"""Sweeps: order, what is played and what is not, the same bytes with any number of workers, and failures."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from gradskew.runs.play import Played
from idx_files import write_fashion
from outside import until
from tiny_sweeps import BASE, Log, Raises, runs_of, stored

from gradskew import IID, FashionMNIST, Run, Store, aggregators, sweep
from gradskew.aggregators import Mean
from gradskew.attacks import LIE, Attack, NoAttack
from gradskew.core.errors import InputError
from gradskew.runs import play
from gradskew.runs import sweeps as bench
from gradskew.runs.sweeps import Progress, Unplayed


@dataclass(frozen=True, kw_only=True)
class KillsOnce(Attack):
    """Kills the process of the first call that finds no file $KILLED; else sends its own rows."""

    key: ClassVar[str] = "kills_once"

    def __call__(self, honest, own, *, n=None, generator=None, context=None):
        if not (killed := Path(os.environ["KILLED"])).exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return own


class Awkward(Exception):
    """Can be pickled, but not unpickled."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


@dataclass(frozen=True, kw_only=True)
class RaisesAwkward(Raises):
    key: ClassVar[str] = "awkward"

    def __call__(self, honest, own, *, n=None, generator=None, context=None):
        raise Awkward(1, 2)


def test_the_grid_is_the_product_in_order():
    runs = runs_of("none,lie,strike", "median,mean", seeds=iter([4, 2]))
    got = [(run.attack.name, run.aggregator.name, run.seed) for run in runs]
    assert got == [
        (attack, rule, seed) for attack in ("none", "lie", "strike") for rule in ("median", "mean") for seed in (4, 2)
    ]
    assert all(replace(run, attack=NoAttack(), aggregator=Mean(), seed=0) == BASE for run in runs)


def test_seeds_may_be_an_array():
    runs = runs_of("none", "mean", seeds=np.arange(2))
    assert [(run.seed, type(run.seed)) for run in runs] == [(0, int), (1, int)]
    assert [run.digest for run in runs] == [run.digest for run in runs_of("none", "mean", seeds=[0, 1])]


def test_records_come_in_the_order_of_the_runs(tmp_path):
    runs = runs_of(seeds=(1, 0))
    records = sweep(runs, tmp_path)
    assert [record.digest for record in records] == [run.digest for run in runs]
    assert [record.spec["seed"] for record in records] == [1, 0] * 4
    assert [len(record.rounds) for record in records] == [2] * 8


def test_workers_and_order_change_no_byte_whatever_else_raises(tmp_path):
    runs, log = runs_of(), Log()
    sweep(runs, tmp_path / "one", workers=1)
    first = stored(tmp_path / "one")
    assert len(first) == 4

    bad = [replace(BASE, attack=Raises(), seed=seed) for seed in (0, 1)]
    with pytest.raises(InputError) as caught:
        sweep([*bad, *runs[::-1]], tmp_path / "two", workers=2, report=log)
    assert "ZeroDivisionError: over\nhere (and 1 more run); the other runs are stored" in str(caught.value)
    assert stored(tmp_path / "two") == first
    assert log[0] == Progress(0, 6, 0, 12)
    assert log[-1] == Progress(6, 6, 8, 12)
    for before, after in pairwise(log):
        assert before.done <= after.done
        assert before.rounds_done <= after.rounds_done <= 8


def test_progress_counts_each_round(tmp_path):
    log = Log()
    sweep(runs_of("none", "mean,median"), tmp_path, report=log)
    assert [(progress.done, progress.rounds_done) for progress in log] == [
        *[(0, 0), (0, 1), (0, 2), (1, 2)],
        *[(1, 3), (1, 4), (2, 4)],
    ]
    assert {(progress.runs, progress.rounds) for progress in log} == {(2, 4)}


def test_a_second_call_plays_nothing(tmp_path, monkeypatch):
    runs = runs_of()
    first, before = sweep(runs, tmp_path), stored(tmp_path)
    monkeypatch.setattr(play, "simulate", None)
    log = Log()
    assert sweep(runs, tmp_path, report=log, workers=2) == first
    assert log == [Progress(0, 0, 0, 0)]
    assert stored(tmp_path) == before


def test_a_larger_grid_plays_what_is_missing(tmp_path):
    sweep(runs_of("lie", "median"), tmp_path)
    log = Log()
    assert len(sweep(runs_of(), tmp_path, report=log)) == 4
    assert log[-1] == Progress(3, 3, 6, 6)


def test_a_changed_setting_is_not_taken_from_the_store(tmp_path):
    log = Log()
    sweep(runs_of("none", "mean"), tmp_path)
    sweep(runs_of("none", "mean", sgd=replace(BASE.sgd, lr=0.2)), tmp_path, report=log)
    assert log.rounds == 2
    assert len(stored(tmp_path)) == 2


def test_a_damaged_record_is_played_again(tmp_path, capsys):
    runs = runs_of()
    sweep(runs, tmp_path)
    before = stored(tmp_path)
    (tmp_path / "runs" / runs[2].digest / "record.json").write_text("{")
    log = Log()
    sweep(runs, tmp_path, report=log)
    assert log.rounds == 2
    assert stored(tmp_path) == before
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_equal_runs_are_played_once(tmp_path):
    log = Log()
    run = replace(BASE, attack=LIE(z=1.0))
    ways = [run, run, replace(run, sampled=6), replace(run, byzantine=0.1), replace(run, engine="batched")]
    records = sweep(ways, tmp_path, report=log)
    assert log.rounds == 2
    assert len(records) == 5
    assert len(stored(tmp_path)) == 1


def test_each_run_has_its_record_even_where_numbers_are_equal(tmp_path):
    runs = [replace(BASE, attack=LIE(z=z)) for z in (1, 1.0)]
    assert [record.digest for record in sweep(runs, tmp_path)] == [run.digest for run in runs]


def test_two_folders_with_the_same_files_are_one_data_set(tmp_path):
    runs = [
        replace(BASE, source=FashionMNIST(folder=write_fashion(tmp_path / name)), clients=2, partition=IID())
        for name in ("a", "b")
    ]
    log = Log()
    sweep(runs, tmp_path / "out", report=log)
    assert log.rounds == 2


def test_no_runs_at_all(tmp_path):
    assert sweep([], tmp_path, workers=2) == []


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, None])
def test_workers_is_a_positive_whole_number(tmp_path, workers):
    with pytest.raises(InputError, match="workers"):
        sweep([], tmp_path, workers=workers)


def test_an_unwritable_folder_is_an_error_before_any_round(tmp_path, monkeypatch):
    monkeypatch.setattr(play, "simulate", None)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        sweep(runs_of(), tmp_path / "file" / "out")


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("bug", "raises against median, seed 0: ZeroDivisionError: over\nhere; the other runs are stored"),
        ("memory", "raises(what=memory) against median, seed 0: MemoryError: over\nhere; the other"),
        ("disk", "raises(what=disk) against median, seed 0: over\nhere; the other"),
        ("shape", "raises(what=shape) against median, seed 0: the attack raises(what=shape) gave rows of shape"),
    ],
)
def test_a_run_that_raises_leaves_the_others_stored(tmp_path, what, says):
    bad = replace(BASE, attack=Raises(what=what), aggregator=aggregators.make("median"))
    good = runs_of("none", "mean,median")
    with pytest.raises(InputError) as caught:
        sweep([good[0], bad, good[1]], tmp_path)
    assert str(caught.value).startswith(says)
    assert isinstance(caught.value.__cause__, Exception)
    assert set(stored(tmp_path)) == {run.digest for run in good}


def test_a_sweep_outlives_a_worker_that_is_killed(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KILLED", str(tmp_path / "killed"))
    runs, log = [replace(BASE, attack=KillsOnce()), *runs_of("none,lie", "mean,median")], Log()
    records = sweep(runs, tmp_path / "disturbed", workers=2, report=log)
    assert [record.digest for record in records] == [run.digest for run in runs]
    assert capsys.readouterr().err.count("a worker was lost (SIGKILL: out of memory?)") == 1
    assert log[-1] == Progress(5, 5, 10, 10)
    assert max(progress.rounds_done for progress in log) == 10
    sweep(runs, tmp_path / "whole")
    assert stored(tmp_path / "disturbed") == stored(tmp_path / "whole")


def test_runs_that_kill_each_worker_are_the_only_ones_that_fail(tmp_path):
    bad = [replace(BASE, attack=Raises(what="kill"), seed=seed) for seed in range(2)]
    good, log = runs_of("none", "mean,median,cclip"), Log()
    with pytest.raises(
        Unplayed, match=r"its worker was lost \(SIGKILL: out of memory\?\), as before, though nothing else"
    ) as caught:
        sweep([*bad, *good], tmp_path, workers=2, report=log)
    assert sorted(run.seed for run, _ in caught.value.failures) == [0, 1]
    assert (log[-1].done, log[-1].runs) == (5, 5)
    assert set(stored(tmp_path)) == {run.digest for run in good}


def test_failures_come_in_the_order_of_the_runs_whichever_ended_first(tmp_path, monkeypatch):
    runs = runs_of("none", "mean,median,cclip")
    errors = {runs[0].digest: ZeroDivisionError("first"), runs[2].digest: MemoryError("last")}

    def backwards(left, *_):
        yield from ((run, errors.get(run.digest, Played.BEFORE)) for run in left[::-1])

    monkeypatch.setattr(bench, "play_all", backwards)
    with pytest.raises(
        Unplayed, match=r"none against mean, seed 0: ZeroDivisionError: first \(and 1 more run\)"
    ) as caught:
        sweep(runs, tmp_path)
    assert [run.digest for run, _ in caught.value.failures] == list(errors)


def test_the_last_run_of_a_sweep_does_not_end_this_process_either(tmp_path):
    good, bad = runs_of("none", "mean"), replace(BASE, attack=Raises(what="kill"))
    records = sweep(good, tmp_path)
    with pytest.raises(Unplayed, match="its worker was lost"):
        sweep([*good, bad], tmp_path, workers=2)
    assert sweep(good, tmp_path) == records


def test_a_run_that_calls_exit_in_a_worker_fails_alone(tmp_path):
    good = runs_of("none", "mean,median")
    with pytest.raises(Unplayed, match=r"it ends the process that plays it \(SystemExit: 0\)"):
        sweep([good[0], replace(BASE, attack=Raises(what="exit")), good[1]], tmp_path, workers=2)
    assert set(stored(tmp_path)) == {run.digest for run in good}


def test_exit_is_exit_here_and_leaves_a_checkpoint(tmp_path):
    """As a script's own handler of SIGTERM may call it, whatever runs then."""

    def stop(progress):
        if progress.rounds_done == 3:
            sys.exit(143)

    runs = runs_of("none", "mean,median")
    with pytest.raises(SystemExit, match="143"):
        sweep(runs, tmp_path, report=stop)
    assert set(stored(tmp_path)) == {runs[0].digest}
    assert [path.parent.name for path in tmp_path.rglob("checkpoint.safetensors")] == [runs[1].digest]


def test_workers_that_cannot_start_end_the_sweep_at_once(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text("import gradskew as gs\ngs.sweep([gs.Run(seed=s) for s in range(99)], 'out', workers=2)\n")
    ended = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    line = "gradskew.core.errors.InputError: a worker was lost (exit status 1) before any run had begun"
    assert line in ended.stderr.splitlines()
    assert "if __name__ == '__main__':" in ended.stderr


def test_what_cannot_go_to_a_worker_or_come_back_fails_alone(tmp_path, monkeypatch):
    """A class that pickle does not find, one that a worker does not, an error that does not unpickle."""

    class Local(NoAttack):
        key = "local"

    elsewhere = type("Elsewhere", (NoAttack,), {"key": "elsewhere", "__module__": "gradskew.attacks"})
    monkeypatch.setattr("gradskew.attacks.Elsewhere", elsewhere, raising=False)
    bad = [replace(BASE, attack=attack) for attack in (Local(), elsewhere(), RaisesAwkward())]
    good = runs_of("none", "mean,median")
    with pytest.raises(Unplayed) as caught:
        sweep([*bad, *good], tmp_path, workers=2)
    found = {run.attack.key: error for run, error in caught.value.failures}
    assert re.fullmatch(r"it cannot be sent to a worker \(.*Local.*\); workers = 1 plays it here", str(found["local"]))
    assert re.fullmatch(r"a worker cannot load it \(AttributeError: .*'Elsewhere'.*\): .*", str(found["elsewhere"]))
    assert str(found["awkward"]) == "test_bench.Awkward: 1 and 2"
    assert "in __call__" in found["awkward"].__notes__[0]
    assert set(stored(tmp_path)) == {run.digest for run in good}


def test_an_error_in_a_worker_keeps_its_traceback(tmp_path):
    runs = [replace(BASE, attack=Raises(), seed=seed) for seed in range(2)]
    with pytest.raises(Unplayed) as caught:
        sweep(runs, tmp_path, workers=2)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    (note,) = caught.value.__cause__.__notes__
    assert "in __call__" in note


def test_ctrl_c_keeps_what_is_finished(tmp_path):
    runs = runs_of()

    def stop(progress):
        if progress.rounds_done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(runs, tmp_path, report=stop)
    assert set(stored(tmp_path)) == {run.digest for run in runs[:2]}
    log = Log()
    sweep(runs, tmp_path, report=log)
    assert log[-1] == Progress(2, 2, 4, 4)


def test_the_calling_process_keeps_its_other_children_and_its_signals(tmp_path):
    child = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
    child.start()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())

    def stop(progress):
        if progress.runs:
            assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == blocked
            if progress.rounds_done:
                raise KeyboardInterrupt

    try:
        with pytest.raises(KeyboardInterrupt):
            sweep(runs_of(rounds=300), tmp_path, workers=2, report=stop)
        assert child.is_alive()
        until(lambda: multiprocessing.active_children() == [child])
    finally:
        child.kill()
        child.join()


def test_a_run_that_failed_half_way_leaves_nothing(tmp_path):
    with pytest.raises(InputError):
        sweep([replace(BASE, attack=Raises())], tmp_path)
    assert stored(tmp_path) == {}
    assert list(Store(tmp_path).all()) == []


@pytest.mark.parametrize(("workers", "expected"), [(1, 3 * 4.0), (2, 2 * 4.0), (8, 4.0)])
def test_an_estimate_is_of_warm_rounds_and_of_the_busiest_worker(
    workers: int, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three runs of four rounds; the first round takes 9 s, a later one 1 s, but for one of 0.1 s."""
    clock = [0.0]

    class Slow:
        def __init__(self, run: Run):
            pass

        def round(self, number: int) -> None:
            clock[0] += [9.0, 1.0, 0.1, 1.0, 1.0][number]

    monkeypatch.setattr(bench, "Federation", Slow)
    monkeypatch.setattr(bench.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(bench, "MEASURED_SECONDS", 99.0)
    run = replace(BASE, rounds=4)
    assert bench.estimated_seconds([run, replace(run, seed=1), replace(run, seed=2)], workers) == pytest.approx(
        expected
    )
