"""Workers: how they are lost, what cannot go to them or come back, and what is left of them."""

import importlib.util
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
from outside import until, with_the_tests
from tiny_sweeps import BASE, Log, Raises, runs_of, stored

from gradskew import InputError, aggregators, sweep
from gradskew.attacks import Attack, Forgery, NoAttack
from gradskew.runs import processes
from gradskew.runs.sweeps import FailedRuns, Progress


def folder() -> Path:
    """Where the attacks of this module leave notes for each other."""
    return Path(os.environ["NOTES"])


@dataclass(frozen=True, kw_only=True)
class KillsOnce(Attack):
    """Kills its process once, when a run with `Beside` is in its third round; else sends its own rows."""

    key: ClassVar[str] = "kills_once"

    def forge(self, view):
        if not (folder() / "killed").exists():
            until((folder() / "beside").exists)
            (folder() / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return Forgery(view.own.updates)


@dataclass(frozen=True, kw_only=True)
class Beside(Attack):
    """Notes each call; the third one lasts until its process ends."""

    key: ClassVar[str] = "beside"

    def forge(self, view):
        with (folder() / "calls").open("a") as file:
            file.write("call\n")
        if len((folder() / "calls").read_text().split()) == 3:
            (folder() / "beside").touch()
            time.sleep(600)
        return Forgery(view.own.updates)


@dataclass(frozen=True, kw_only=True)
class Forks(Attack):
    """Leaves a child of its own that waits, its number in the notes, and is killed."""

    key: ClassVar[str] = "forks"

    def forge(self, view):
        parent = os.getpid()
        if os.fork() == 0:
            signal.alarm(60)
            with (folder() / "forked").open("a") as file:
                file.write(f"{os.getpid()}\n")
            os.kill(parent, signal.SIGKILL)
        signal.pause()


class Awkward(Exception):
    """Can be pickled, but not unpickled."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


class Foreign(Exception):
    """Can be unpickled in a worker, and not where the sweep runs."""

    def __reduce__(self):
        return read_in_a_worker, ()


def read_in_a_worker():
    if multiprocessing.parent_process() is None:
        raise OSError("not here")
    return Foreign()


@dataclass(frozen=True, kw_only=True)
class RaisesError(Attack):
    key: ClassVar[str] = "raises_error"
    error: str

    def forge(self, view):
        raise Awkward(1, 2) if self.error == "awkward" else Foreign


@dataclass(frozen=True, kw_only=True)
class NeedsAFile(NoAttack):
    """Cannot be unpickled in a worker."""

    key: ClassVar[str] = "needs_a_file"

    def __setstate__(self, state):
        raise FileNotFoundError("weights.npy")


@pytest.fixture(autouse=True)
def notes(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTES", str(tmp_path))


def failures(runs, out):
    with pytest.raises(FailedRuns) as caught:
        sweep(runs, out, workers=2)
    return {run.attack.name: error for run, error in caught.value.failures}


def test_a_sweep_outlives_a_worker_that_is_killed(tmp_path, capsys):
    """The run beside it goes on from its checkpoint: of its ten rounds only the interrupted one is begun twice."""
    before = multiprocessing.active_children()
    runs = [replace(BASE, attack=KillsOnce()), replace(BASE, attack=Beside(), rounds=10), *runs_of("none", "mean")]
    log = Log()
    records = sweep(runs, tmp_path / "disturbed", workers=2, on_progress=log)
    assert [record.digest for record in records] == [run.digest for run in runs]
    err = capsys.readouterr().err
    assert "a worker was lost (SIGKILL: out of memory?): what was in progress goes on last, 1 at a time" in err
    assert err.count("a worker was lost") == 1
    assert (tmp_path / "calls").read_text().split() == ["call"] * 11
    assert log[-1] == Progress(3, 3, 14, 14)
    assert max(progress.rounds_done for progress in log) == 14
    assert multiprocessing.active_children() == before
    sweep(runs, tmp_path / "whole")
    assert stored(tmp_path / "disturbed") == stored(tmp_path / "whole")


def test_ctrl_c_ends_the_workers_and_leaves_other_children_and_signals_alone(tmp_path):
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
            sweep(runs_of("none,lie", "mean", rounds=3000), tmp_path, workers=2, on_progress=stop)
        assert child.is_alive()
        assert multiprocessing.active_children() == [child]
        assert list(tmp_path.rglob("checkpoint.safetensors"))
    finally:
        child.kill()
        child.join()


@pytest.mark.processes
def test_runs_that_kill_each_worker_are_the_only_ones_that_fail(tmp_path):
    bad = [replace(BASE, attack=Raises(what="kill"), seed=seed) for seed in range(2)]
    good, log = runs_of("none", "mean,median,cclip"), Log()
    lost = r"its worker was lost \(SIGKILL: out of memory\?\), as before, though nothing else ran"
    with pytest.raises(FailedRuns, match=lost) as caught:
        sweep([*bad, *good], tmp_path, workers=3, on_progress=log)
    assert sorted(run.seed for run, _ in caught.value.failures) == [0, 1]
    assert (log[-1].done, log[-1].runs) == (5, 5)
    assert set(stored(tmp_path)) == {run.digest for run in good}


@pytest.mark.processes
def test_a_child_of_a_killed_worker_does_not_hold_the_sweep_up(tmp_path):
    found = failures([replace(BASE, attack=Forks()), *runs_of("none", "mean")], tmp_path)
    children = [int(line) for line in (tmp_path / "forked").read_text().split()]
    for child in children:
        os.kill(child, signal.SIGKILL)  # they were there to the end
    assert len(children) == 2
    assert str(found["forks"]).startswith("its worker was lost (SIGKILL: out of memory?), as before")


@pytest.mark.processes
def test_the_last_run_of_a_sweep_does_not_end_this_process_either(tmp_path):
    good, bad = runs_of("none", "mean"), replace(BASE, attack=Raises(what="kill"))
    records = sweep(good, tmp_path)
    with pytest.raises(FailedRuns, match="its worker was lost"):
        sweep([*good, bad], tmp_path, workers=2)
    assert sweep(good, tmp_path) == records


@pytest.mark.processes
def test_what_cannot_go_to_a_worker_or_come_back_fails_alone_and_breaks_no_pool(tmp_path, monkeypatch, capsys):
    """What pickle does not find here; what a worker does not find or read; errors that do not come back; exit."""

    class Local(NoAttack):
        key = "local"

    elsewhere = type("Elsewhere", (NoAttack,), {"key": "elsewhere", "__module__": "gradskew.attacks"})
    monkeypatch.setattr("gradskew.attacks.Elsewhere", elsewhere, raising=False)
    errors = [RaisesError(error=error) for error in ("awkward", "foreign")]
    attacks = [Local(), elsewhere(), NeedsAFile(), *errors, Raises(what="exit"), Raises()]
    good = runs_of("none", "mean,median")
    found = failures([*(replace(BASE, attack=attack) for attack in attacks), *good], tmp_path)
    assert set(found) == {attack.name for attack in attacks}
    texts = {name: str(error) for name, error in found.items()}
    assert re.fullmatch(r"it cannot be sent to a worker \(.*Local.*\); workers = 1 runs it here", texts["local"])
    assert re.fullmatch(r"a worker cannot load it \(AttributeError: .*'Elsewhere'.*\): .*", texts["elsewhere"])
    assert texts["needs_a_file"].startswith("a worker cannot load it (FileNotFoundError: weights.npy)")
    assert texts["raises_error(error=awkward)"] == "test_processes.Awkward: 1 and 2"
    assert texts["raises_error(error=foreign)"] == "the result of a worker cannot be read (OSError: not here)"
    assert texts["raises(what=exit)"] == "it ends the process that runs it (SystemExit: 0)"
    assert isinstance(found["raises"], ZeroDivisionError)
    for name in ("raises", "raises_error(error=awkward)"):
        assert "in forge" in found[name].__notes__[0]
    assert "lost" not in capsys.readouterr().err
    assert set(stored(tmp_path)) == {run.digest for run in good}


@pytest.mark.processes
def test_workers_that_cannot_start_end_the_sweep_at_once(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text("import gradskew as gs\ngs.sweep([gs.Run(seed=s) for s in range(99)], 'out', workers=2)\n")
    ended = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    line = "gradskew.core.errors.InputError: a worker was lost (exit status 1) before any run had begun"
    assert line in ended.stderr.splitlines()
    assert "if __name__ == '__main__':" in ended.stderr


def test_a_worker_that_cannot_be_started_is_one_line(tmp_path, monkeypatch):
    def refused(process):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(multiprocessing.get_context("spawn").Process, "start", refused)
    with pytest.raises(InputError, match=r"cannot start a worker \(BlockingIOError: .*\): fewer workers need less"):
        sweep(runs_of(), tmp_path, workers=2)


@pytest.mark.processes
def test_where_no_worker_lives_to_begin_a_run_the_sweep_ends(tmp_path, monkeypatch):
    start = processes._Worker.start

    def killed(worker):
        start(worker)
        worker.kill()

    monkeypatch.setattr(processes._Worker, "start", killed)
    with pytest.raises(InputError, match=r"a worker was lost \(SIGKILL: out of memory\?\) before any run had begun"):
        sweep(runs_of("none,lie,mimic", "mean,median"), tmp_path, workers=2)


@pytest.mark.processes
def test_a_worker_that_is_lost_while_another_starts_is_told_from_one_that_cannot_start(tmp_path, monkeypatch):
    start, started = processes._Worker.start, []

    def lost_meanwhile(worker):
        if started:
            started[0].join()
            raise OSError("handle is closed")  # the executor's end of a pipe
        start(worker)
        worker.kill()
        started.append(worker)

    monkeypatch.setattr(processes._Worker, "start", lost_meanwhile)
    with pytest.raises(InputError, match=r"a worker was lost \(SIGKILL: out of memory\?\) before any run had begun"):
        sweep(runs_of("none,lie,mimic", "mean,median"), tmp_path, workers=2)


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


@pytest.mark.processes
def test_code_that_was_edited_meanwhile_is_not_taken_for_what_it_was(tmp_path, monkeypatch):
    """A new worker would read the new file, and store its runs under the digests of the old."""
    (tmp_path / "edited_rule.py").write_text(EDITED)
    monkeypatch.syspath_prepend(tmp_path)
    edited = replace(BASE, aggregator=aggregators.make("edited_rule:rule"))
    good = runs_of("none", "mean")
    with pytest.raises(FailedRuns, match=r"the file of edited_rule:rule has changed since the start: start again"):
        sweep([edited, *good], tmp_path / "out", workers=2)
    assert set(stored(tmp_path / "out")) == {run.digest for run in good}


SCRIPT = """
from dataclasses import dataclass, replace
from typing import ClassVar
import gradskew as gs
from gradskew.attacks import Forgery, NoAttack
from tiny_sweeps import BASE
@dataclass(frozen=True, kw_only=True)
class Mine(NoAttack):
    key: ClassVar[str] = "mine"
    def forge(self, view):
        print("a word of the user's")
        return Forgery(view.own.updates)
if __name__ == "__main__":
    gs.sweep([replace(BASE, attack=Mine(), seed=seed) for seed in (0, 1)], "out", workers=2)
"""


@pytest.mark.processes
def test_a_class_in_a_script_goes_to_workers_and_what_it_prints_is_not_lost(tmp_path):
    """To them it is that of the module `__mp_main__`."""
    (tmp_path / "script.py").write_text(SCRIPT)
    place = with_the_tests()
    place.pop("PYTHONUNBUFFERED", None)
    run = [sys.executable, "script.py"]
    done = subprocess.run(run, env=place, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert len(stored(tmp_path / "out")) == 2
    assert done.stdout.count("a word of the user's") == 2 * BASE.rounds


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
