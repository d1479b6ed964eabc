"""Sweeps: order, what is computed and what is not, the same bytes with any number of workers, and failures."""

import gc
import sys
import traceback
import weakref
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest
from idx_files import write_fashion
from places import without_places
from tiny_sweeps import BASE, Log, Raises, runs_of, stored

from gradskew import IID, FashionMNIST, Run, Store, aggregators, sweep
from gradskew.aggregators import Mean
from gradskew.attacks import LIE, Attack, NoAttack
from gradskew.core.errors import InputError, clear_frames
from gradskew.runs import execution, sweeps
from gradskew.runs.execution import Status
from gradskew.runs.sweeps import FailedRuns, Progress

HELD = []  # references to what `Holds` had


@dataclass(frozen=True, kw_only=True)
class Holds(Attack):
    key: ClassVar[str] = "holds"

    def forge(self, view):
        HELD.append(weakref.ref(view.honest))
        raise ZeroDivisionError


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


@pytest.mark.processes
def test_workers_and_order_change_no_byte_whatever_else_raises(tmp_path):
    runs, log = runs_of(), Log()
    sweep(runs, tmp_path / "one", workers=1)
    first = stored(tmp_path / "one")
    assert len(first) == 4

    bad = [replace(BASE, attack=Raises(), seed=seed) for seed in (0, 1)]
    with pytest.raises(InputError) as caught:
        sweep([*bad, *runs[::-1]], tmp_path / "two", workers=2, on_progress=log)
    said = without_places(str(caught.value))
    assert "ZeroDivisionError: over here (and 1 more run); the other runs are stored" in said
    assert stored(tmp_path / "two") == first
    assert log[0] == Progress(0, 6, 0, 12)
    assert log[-1] == Progress(6, 6, 8, 12)
    for before, after in pairwise(log):
        assert before.done <= after.done
        assert before.rounds_done <= after.rounds_done <= 8


def test_progress_counts_each_round(tmp_path):
    log = Log()
    sweep(runs_of("none", "mean,median"), tmp_path, on_progress=log)
    assert [(progress.done, progress.rounds_done) for progress in log] == [
        *[(0, 0), (0, 1), (0, 2), (1, 2)],
        *[(1, 3), (1, 4), (2, 4)],
    ]
    assert {(progress.runs, progress.rounds) for progress in log} == {(2, 4)}


def test_a_second_call_computes_nothing(tmp_path, monkeypatch):
    runs = runs_of()
    first, before = sweep(runs, tmp_path), stored(tmp_path)
    monkeypatch.setattr(execution, "simulate", None)
    log = Log()
    assert sweep(runs, tmp_path, on_progress=log, workers=2) == first
    assert log == [Progress(0, 0, 0, 0)]
    assert stored(tmp_path) == before


def test_a_larger_grid_computes_what_is_missing(tmp_path):
    sweep(runs_of("lie", "median"), tmp_path)
    log = Log()
    assert len(sweep(runs_of(), tmp_path, on_progress=log)) == 4
    assert log[-1] == Progress(3, 3, 6, 6)


def test_a_changed_setting_is_not_taken_from_the_store(tmp_path):
    log = Log()
    sweep(runs_of("none", "mean"), tmp_path)
    sweep(runs_of("none", "mean", sgd=replace(BASE.sgd, lr=0.2)), tmp_path, on_progress=log)
    assert log.rounds == 2
    assert len(stored(tmp_path)) == 2


def test_a_damaged_record_is_computed_again(tmp_path, capsys):
    runs = runs_of()
    sweep(runs, tmp_path)
    before = stored(tmp_path)
    (tmp_path / "runs" / runs[2].digest / "record.json").write_text("{")
    log = Log()
    sweep(runs, tmp_path, on_progress=log)
    assert log.rounds == 2
    assert stored(tmp_path) == before
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_equal_runs_are_computed_once(tmp_path):
    log = Log()
    run = replace(BASE, attack=LIE(z=1.0))
    ways = [run, run, replace(run, sampled=6), replace(run, byzantine=0.1), replace(run, engine="batched")]
    records = sweep(ways, tmp_path, on_progress=log)
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
    sweep(runs, tmp_path / "out", on_progress=log)
    assert log.rounds == 2


def test_no_runs_at_all(tmp_path):
    assert sweep([], tmp_path, workers=2) == []


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, None])
def test_workers_is_a_positive_whole_number(tmp_path, workers):
    with pytest.raises(InputError, match="workers"):
        sweep([], tmp_path, workers=workers)


def test_an_unwritable_folder_is_an_error_before_any_round(tmp_path, monkeypatch):
    monkeypatch.setattr(execution, "simulate", None)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        sweep(runs_of(), tmp_path / "file" / "out")


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("bug", "raises against median, seed 0: ZeroDivisionError: over here; the other runs are stored"),
        ("memory", "raises(what=memory) against median, seed 0: MemoryError: over here; the other"),
        ("disk", "raises(what=disk) against median, seed 0: over\nhere; the other"),
        ("shape", "raises(what=shape) against median, seed 0: the attack raises(what=shape) gave rows of shape"),
    ],
)
def test_a_run_that_raises_leaves_the_others_stored(tmp_path, what, says):
    bad = replace(BASE, attack=Raises(what=what), aggregator=aggregators.make("median"))
    good = runs_of("none", "mean,median")
    with pytest.raises(InputError) as caught:
        sweep([good[0], bad, good[1]], tmp_path)
    assert without_places(str(caught.value)).startswith(says)
    assert isinstance(caught.value.__cause__, Exception)
    assert set(stored(tmp_path)) == {run.digest for run in good}
    with pytest.raises(InputError) as caught:
        sweep([bad], tmp_path)
    assert "other" not in str(caught.value)


def test_failures_come_in_the_order_of_the_runs_whichever_ended_first(tmp_path, monkeypatch):
    runs = runs_of("none", "mean,median,cclip")
    errors = {runs[0].digest: ZeroDivisionError("first"), runs[2].digest: MemoryError("last")}

    def backwards(left, *_):
        yield from ((run, errors.get(run.digest, Status.STORED)) for run in left[::-1])

    monkeypatch.setattr(sweeps, "_execute_all", backwards)
    with pytest.raises(
        FailedRuns, match=r"none against mean, seed 0: ZeroDivisionError: first \(and 1 more run\)"
    ) as caught:
        sweep(runs, tmp_path)
    assert [run.digest for run, _ in caught.value.failures] == list(errors)


def test_exit_is_exit_here_and_leaves_a_checkpoint(tmp_path):
    """As a script's own handler of SIGTERM may call it, whatever runs then."""

    def stop(progress):
        if progress.rounds_done == 3:
            sys.exit(143)

    runs = runs_of("none", "mean,median")
    with pytest.raises(SystemExit, match="143"):
        sweep(runs, tmp_path, on_progress=stop)
    assert set(stored(tmp_path)) == {runs[0].digest}
    assert [path.parent.name for path in tmp_path.rglob("checkpoint.safetensors")] == [runs[1].digest]


def test_ctrl_c_keeps_what_is_finished(tmp_path):
    runs = runs_of()

    def stop(progress):
        if progress.rounds_done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(runs, tmp_path, on_progress=stop)
    assert set(stored(tmp_path)) == {run.digest for run in runs[:2]}
    log = Log()
    sweep(runs, tmp_path, on_progress=log)
    assert log[-1] == Progress(2, 2, 4, 4)


def test_a_run_that_failed_keeps_no_memory(tmp_path):
    """Its error is kept to the end of the sweep, without the rows that the functions held."""
    with pytest.raises(FailedRuns) as caught:
        sweep([replace(BASE, attack=Holds())], tmp_path)
    gc.collect()
    assert [each() for each in HELD] == [None]
    ((_, error),) = caught.value.failures
    assert "in forge" in "".join(traceback.format_exception(error))


def test_an_error_that_is_its_own_cause_is_cleared_too():
    def fail():
        try:
            raise ZeroDivisionError
        except ZeroDivisionError as error:
            raise error from error

    with pytest.raises(ZeroDivisionError) as caught:
        fail()
    assert caught.value.__cause__ is caught.value
    clear_frames(caught.value)


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

    monkeypatch.setattr(sweeps, "Federation", Slow)
    monkeypatch.setattr(sweeps.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(sweeps, "MEASURED_SECONDS", 99.0)
    run = replace(BASE, rounds=4)
    assert sweeps.estimated_seconds([run, replace(run, seed=1), replace(run, seed=2)], workers) == pytest.approx(
        expected
    )
