"""Workers: what they say, how they are lost, and what is left of them."""

import multiprocessing
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest

from gradskew import InputError, processes, sweep
from gradskew.attacks import Attack, NoAttack
from gradskew.bench import Unplayed
from test_bench import BASE, runs_of, stored


@dataclass(frozen=True, kw_only=True)
class Prints(NoAttack):
    key: ClassVar[str] = "prints"

    def __call__(self, honest, own, *, n=None, generator=None, context=None):
        print("a word of the user's")
        return own


@dataclass(frozen=True, kw_only=True)
class Forks(Attack):
    """Leaves a child of its own that waits, its number in $FORKED, and is killed."""

    key: ClassVar[str] = "forks"

    def __call__(self, honest, own, *, n=None, generator=None, context=None):
        parent = os.getpid()
        if os.fork() == 0:
            signal.alarm(60)
            with open(os.environ["FORKED"], "a") as file:
                file.write(f"{os.getpid()}\n")
            os.kill(parent, signal.SIGKILL)
        signal.pause()


class Foreign(Exception):
    """Can be read in a worker, and not where the sweep runs."""

    def __reduce__(self):
        return read_in_a_worker, ()


def read_in_a_worker():
    if multiprocessing.parent_process() is None:
        raise OSError("not here")
    return Foreign()


@dataclass(frozen=True, kw_only=True)
class RaisesForeign(Attack):
    key: ClassVar[str] = "raises_foreign"

    def __call__(self, honest, own, *, n=None, generator=None, context=None):
        raise Foreign


@dataclass(frozen=True, kw_only=True)
class NeedsAFile(NoAttack):
    """Cannot be read in a worker."""

    key: ClassVar[str] = "needs_a_file"

    def __setstate__(self, state):
        raise FileNotFoundError("weights.npy")


def failures(runs, out):
    with pytest.raises(Unplayed) as caught:
        sweep(runs, out, workers=2)
    return {run.attack.key: str(error) for run, error in caught.value.failures}


def test_what_only_one_side_can_read_fails_alone(tmp_path):
    good = runs_of("none", "mean,median")
    bad = [replace(BASE, attack=attack) for attack in (NeedsAFile(), RaisesForeign())]
    found = failures([*bad, *good], tmp_path)
    assert found["needs_a_file"].startswith("a worker cannot load it (FileNotFoundError: weights.npy)")
    assert found["raises_foreign"] == "what a worker says cannot be read (OSError: not here)"
    assert set(stored(tmp_path)) == {run.digest for run in good}


def test_a_child_of_a_killed_worker_does_not_hold_the_sweep_up(tmp_path, monkeypatch):
    monkeypatch.setenv("FORKED", str(tmp_path / "forked"))
    found = failures([replace(BASE, attack=Forks()), *runs_of("none", "mean")], tmp_path)
    children = [int(line) for line in (tmp_path / "forked").read_text().split()]
    for child in children:
        os.kill(child, signal.SIGKILL)  # they were there to the end
    assert len(children) == 2
    assert found["forks"].startswith("its worker was lost (SIGKILL: out of memory?), as before")


def test_an_idle_worker_that_is_killed_costs_nothing(tmp_path, monkeypatch, capsys):
    """The run that it is given next is played by another."""
    runs = runs_of("none,lie,mimic", "mean,median")
    inner, victims = processes._Crew.free, []

    def free(crew):
        worker = inner(crew)
        if worker.heard and not victims:
            victims.append(worker)
            worker.process.kill()
            worker.process.join()
        return worker

    monkeypatch.setattr(processes._Crew, "free", free)
    assert [record.digest for record in sweep(runs, tmp_path, workers=2)] == [run.digest for run in runs]
    assert victims
    assert capsys.readouterr().err.count("a worker was lost (SIGKILL") == 1


def test_what_a_rule_prints_is_not_lost(tmp_path):
    script = tmp_path / "prints.py"
    script.write_text(
        "import gradskew as gs\n"
        "from test_processes import BASE, Prints, replace\n"
        "if __name__ == '__main__':\n"
        "    gs.sweep([replace(BASE, attack=Prints(), seed=seed) for seed in (0, 1)], 'out', workers=2)\n"
    )
    place = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [Path(__file__).parent, *sys.path]))}
    place.pop("PYTHONUNBUFFERED", None)
    run = [sys.executable, str(script)]
    done = subprocess.run(run, env=place, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("a word of the user's") == 2 * BASE.rounds


def test_a_worker_that_cannot_be_started_is_one_line(tmp_path, monkeypatch):
    def refused(process):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(multiprocessing.get_context("spawn").Process, "start", refused)
    with pytest.raises(InputError, match=r"cannot start a worker \(BlockingIOError: .*\): fewer workers need less"):
        sweep(runs_of(), tmp_path, workers=2)


def test_no_process_is_left(tmp_path):
    before = multiprocessing.active_children()
    sweep(runs_of("none", "mean,median"), tmp_path, workers=2)
    assert multiprocessing.active_children() == before
