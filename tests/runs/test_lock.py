"""Who executes a run: the lock on one host, and what two who execute the same run leave."""

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from command import records
from tiny_runs import BASE

from gradskew import Store, simulate, sweep
from gradskew.runs import execution, lock, store
from gradskew.runs.execution import Status, execute
from gradskew.runs.lock import locked
from gradskew.runs.store import SECOND

DIGEST = "a" * 64
GRID = (
    "bench --clients 6 --byzantine 1 --rounds 6 --epochs 1 --model linear --attacks mimic,lie --aggregators cclip"
    " --workers 1"
)
LOGGED = """
import os
from gradskew.runs import execution
inner = execution.simulate
def simulate(run, **given):
    with open(os.environ["BEGUN"], "a") as log:
        log.write(run.digest + chr(10))
    return inner(run, **given)
execution.simulate = simulate
from gradskew.cli import main
main()
"""


def test_two_commands_share_a_store_and_execute_no_run_twice(tmp_path: Path) -> None:
    line = [sys.executable, "-c", LOGGED, *GRID.split(), "--out", str(tmp_path / "out")]
    environment = {**os.environ, "BEGUN": str(tmp_path / "begun")}
    both = [subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    begun = (tmp_path / "begun").read_text().split()
    assert sorted(begun) == sorted(records(tmp_path / "out"))
    assert len(begun) == 2


HELD = """
import sys, time
from pathlib import Path
from gradskew.runs.lock import locked
with locked(Path(sys.argv[1]), "a" * 64) as ours:
    print(ours, flush=True)
    time.sleep(600)
"""


@pytest.mark.processes
def test_a_run_is_locked_by_one_process_until_it_ends(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", HELD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "True\n"
        with locked(tmp_path, DIGEST) as ours:
            assert not ours
        with locked(tmp_path, "b" * 64) as ours:
            assert ours
        other.kill()
        with locked(tmp_path, DIGEST, wait=True) as ours:
            assert ours
    finally:
        other.kill()
        other.communicate()


@pytest.mark.parametrize("wait", [False, True])
def test_a_file_system_without_locks_keeps_nobody_out(wait, tmp_path, monkeypatch) -> None:
    def lockf(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(lock.fcntl, "lockf", lockf)
    with locked(tmp_path, DIGEST, wait=wait) as first, locked(tmp_path, DIGEST, wait=wait) as second:
        assert first
        assert second


def test_two_hosts_that_execute_the_same_run_leave_the_first_record(tmp_path, monkeypatch, capsys) -> None:
    """They see no lock of each other; the second begins and ends while the first is in its second round."""
    monkeypatch.setattr(lock.fcntl, "lockf", lambda *_: None)
    monkeypatch.setattr(execution, "INTERVAL", 0.0)  # both write checkpoints, into the same file
    store, path, before = Store(tmp_path), tmp_path / "runs" / BASE.digest, []

    def other(metrics) -> None:
        if metrics["round"] == 1:
            assert execute(BASE, Store(tmp_path), on_round=lambda metrics: None) is Status.DONE
            before.append((path / "record.json").stat().st_ino)

    store.prepare()
    assert execute(BASE, store, on_round=other) is Status.DONE
    assert [(path / "record.json").stat().st_ino] == before
    assert store.load(BASE.digest).params_sha256 == simulate(BASE).params_sha256
    assert capsys.readouterr().err == ""
    assert {file.name for file in path.iterdir()} <= {"record.json", "timing.json", "pictures.json"}


def test_of_two_different_results_the_first_stays_and_a_line_says_so(tmp_path: Path, capsys) -> None:
    """Not what should happen: but hosts with other processors may share a folder."""
    store, result = Store(tmp_path), simulate(BASE)
    made, first = store.save(result, 1.0), store.load(BASE.digest)
    assert made.to_json() == first.to_json()
    assert store.save(result, 2.0) == first
    assert capsys.readouterr().err == ""
    assert store.timing(BASE.digest)["seconds"] == 1.0
    other = replace(result, params=result.params + 1)
    assert store.save(other, 3.0) == first
    assert store.load(BASE.digest) == first
    err = capsys.readouterr().err
    assert "different results" in err
    assert err.count("\n") == 1
    assert other.params_sha256 in (store.runs / BASE.digest / SECOND).read_text()
    store.tidy(BASE.digest)
    assert (store.runs / BASE.digest / SECOND).exists()


def test_whoever_stores_second_is_not_disturbed_by_the_tidying_of_the_first(tmp_path, monkeypatch) -> None:
    """Between two files of the second."""
    result, first, inner = simulate(BASE), Store(tmp_path), store.write
    first.prepare()

    def write(path, content, **given):
        if path.name == "timing.json" and not first.timing(BASE.digest):
            monkeypatch.setattr(store, "write", inner)
            first.save(result, 1.0)
            raise FileNotFoundError(2, "No such file or directory", str(path))  # the first has tidied up
        return inner(path, content, **given)

    monkeypatch.setattr(store, "write", write)
    second = Store(tmp_path).save(result, 2.0)
    assert second == first.load(BASE.digest)
    assert first.timing(BASE.digest)["seconds"] == 1.0


@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
def test_what_is_no_file_of_locks_is_one_error(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "runs" / lock.LOCK
    path.parent.mkdir()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match="lock"), locked(tmp_path / "runs", DIGEST):
        pass
    assert not (tmp_path / "outside").exists()


def test_sweeps_in_threads_execute_no_run_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, inner = [], execution.simulate

    def count(run, **given):
        begun.append(run.digest)
        return inner(run, **given)

    monkeypatch.setattr(execution, "simulate", count)
    runs = [replace(BASE, seed=seed) for seed in range(3)]
    threads = [threading.Thread(target=sweep, args=(runs, tmp_path)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(begun) == sorted(run.digest for run in runs)
