"""Workers: what they say, how they are lost, and what is left of them."""

import importlib.util
import multiprocessing
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
from outside import with_the_tests
from tiny_sweeps import BASE, runs_of, stored

from gradskew import InputError, aggregators, sweep
from gradskew.attacks import Attack, NoAttack
from gradskew.runs import processes
from gradskew.runs.sweeps import Unplayed


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


def killed_at_the_start(monkeypatch, most):
    """Kill so many workers as soon as they are started; returns those."""
    inner, victims = processes._Worker.__init__, []

    def start(worker, store):
        inner(worker, store)
        if len(victims) < most:
            victims.append(worker)
            worker.process.kill()

    monkeypatch.setattr(processes._Worker, "__init__", start)
    return victims


def test_a_worker_that_is_killed_while_it_starts_costs_its_start(tmp_path, monkeypatch, capsys):
    runs, victims = runs_of("none,lie", "mean,median"), killed_at_the_start(monkeypatch, most=2)
    assert [record.digest for record in sweep(runs, tmp_path, workers=2)] == [run.digest for run in runs]
    assert len(victims) == 2
    assert capsys.readouterr().err.count("a worker was lost (SIGKILL") == 2


def test_where_no_worker_lives_to_begin_a_run_the_sweep_ends(tmp_path, monkeypatch):
    victims = killed_at_the_start(monkeypatch, most=99)
    with pytest.raises(InputError, match=r"a worker was lost \(SIGKILL: out of memory\?\) before any run had begun"):
        sweep(runs_of("none,lie,mimic", "mean,median"), tmp_path, workers=2)
    assert len(victims) <= 4


EDITED = """
import os, signal
from pathlib import Path
FACTOR = 1.0
def rule(rows):
    file = Path(__file__)
    if FACTOR == 1:
        file.write_text(file.read_text().replace("FACTOR = 1.0", "FACTOR = 0.125"))
        os.kill(os.getpid(), signal.SIGKILL)
    return FACTOR * rows.mean(0)
"""


def test_code_that_was_edited_meanwhile_is_not_taken_for_what_it_was(tmp_path, monkeypatch):
    """A new worker would read the new file, and store its runs under the digests of the old."""
    (tmp_path / "edited_rule.py").write_text(EDITED)
    monkeypatch.syspath_prepend(tmp_path)
    edited = replace(BASE, aggregator=aggregators.make("edited_rule:rule"))
    good = runs_of("none", "mean")
    with pytest.raises(Unplayed, match=r"the file of edited_rule:rule has changed since this began: start it again"):
        sweep([edited, *good], tmp_path / "out", workers=2)
    assert set(stored(tmp_path / "out")) == {run.digest for run in good}


SCRIPT = """
import sys
from dataclasses import dataclass
from typing import ClassVar
import gradskew as gs
from gradskew.attacks import NoAttack
from dataclasses import replace
from tiny_sweeps import BASE
@dataclass(frozen=True, kw_only=True)
class Mine(NoAttack):
    key: ClassVar[str] = "mine"
if __name__ == "__main__":
    workers = gs.Cluster(cpus=1) if sys.argv[1] == "ray" else int(sys.argv[1])
    gs.sweep([replace(BASE, attack=Mine(), seed=seed) for seed in (0, 1)], sys.argv[1], workers=workers)
"""


@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("workers", ["2", "ray"])
def test_a_class_in_a_script_goes_to_workers(workers, tmp_path):
    """To one of ours it is that of the module `__mp_main__`; Ray sends it whole."""
    if workers == "ray":
        pytest.importorskip("ray")
    (tmp_path / "script.py").write_text(SCRIPT)
    place = with_the_tests()
    run = [sys.executable, "script.py", workers]
    done = subprocess.run(run, env=place, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert len(stored(tmp_path / workers)) == 2


def test_code_that_is_executed_again_is_read_again(tmp_path):
    """As a notebook does with a script, without the import system's knowledge."""
    file, digests = tmp_path / "again.py", set()
    for number in (1, 2):
        file.write_text(
            f"from gradskew.attacks import NoAttack\nclass Again(NoAttack):\n    key = 'again'\n# {number}\n"
        )
        spec = importlib.util.spec_from_file_location("again", file)
        module = importlib.util.module_from_spec(spec)
        sys.modules["again"] = module
        spec.loader.exec_module(module)
        module.__spec__ = None
        run = replace(BASE, attack=module.Again())
        digests |= {run.digest, replace(run).digest}
        del sys.modules["again"]
    assert len(digests) == 2


def test_code_counts_as_it_was_loaded(tmp_path, monkeypatch):
    """Until it is loaded again: an edited file changes nothing of what this process has read."""
    file = tmp_path / "loaded_rule.py"
    file.write_text("def rule(rows):\n    return rows.mean(0)\n")
    monkeypatch.syspath_prepend(tmp_path)

    def run():
        return replace(BASE, aggregator=aggregators.make("loaded_rule:rule"))

    first = run()
    assert run().digest == first.digest
    file.write_text("def rule(rows):\n    return 2 * rows.mean(0)\n")
    assert run().digest == first.digest
    first.check_code()
    importlib.reload(sys.modules["loaded_rule"])
    assert run().digest != first.digest
    with pytest.raises(InputError, match="has changed"):
        first.check_code()


def test_what_a_rule_prints_is_not_lost(tmp_path):
    script = tmp_path / "prints.py"
    script.write_text(
        "import gradskew as gs\n"
        "from test_processes import BASE, Prints, replace\n"
        "if __name__ == '__main__':\n"
        "    gs.sweep([replace(BASE, attack=Prints(), seed=seed) for seed in (0, 1)], 'out', workers=2)\n"
    )
    place = with_the_tests()
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
