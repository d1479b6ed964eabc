"""Who plays a run: locks on one host, leases between hosts, and what two who play the same one leave."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from command import records
from gradskew.runs.lease import FILE, Lease, host, owned
from outside import until
from tiny_runs import BASE

from gradskew import Store, simulate, sweep
from gradskew.runs import lease as leases
from gradskew.runs import play, store
from gradskew.runs.store import SECOND

DIGEST = "a" * 64
GRID = "bench --clients 6 --byzantine 1 --rounds 40 --epochs 1 --model linear --attacks mimic,lie --aggregators cclip"

# Processes that see no lock of each other, as on two hosts, and log what they play. argv: the host's name.
# The one named `stops` does so in its 20th round, until it is told to go on.
APART = """
import os, signal, sys
from gradskew import leases, work
if sys.argv[1] != "here":
    leases._lock = lambda file, byte, wait: None
    leases.host = lambda name=sys.argv[1]: name
    leases.LEASE, leases.BEAT, leases.POLL = map(float, os.environ["TIMES"].split())
inner, rounds = work.simulate, 0
def simulate(run, on_round, **given):
    def count():
        global rounds
        rounds += 1
        if (sys.argv[1], rounds) == ("stops", 20):
            os.kill(os.getpid(), signal.SIGSTOP)
        on_round()
    with open(os.environ["PLAYED"], "a") as log:
        log.write(run.digest + chr(10))
    return inner(run, on_round=count, **given)
work.simulate = simulate
from gradskew.cli import main
main(sys.argv[2:])
"""


def bench(folder: Path, name: str, *given: str, times: str = "60 1 0.1") -> subprocess.Popen:
    line = [sys.executable, "-c", APART, name, *GRID.split(), "--workers", "1", "--out", str(folder / "out"), *given]
    environment = {**os.environ, "PLAYED": str(folder / "played"), "TIMES": times}
    return subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("hosts", [("here",) * 2, ("here",) * 3, ("one", "two"), ("one", "two", "two")])
def test_processes_share_a_store_and_play_no_run_twice(hosts: tuple[str, ...], tmp_path: Path) -> None:
    for process in [bench(tmp_path, name, "--seeds", "4") for name in hosts]:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    played = (tmp_path / "played").read_text().split()
    assert sorted(played) == sorted(records(tmp_path / "out"))
    assert len(played) == 8
    assert not list((tmp_path / "out").rglob("*lease*"))


def test_an_owner_that_falls_silent_loses_the_run_and_the_first_record_stays(tmp_path: Path) -> None:
    silent = bench(tmp_path, "stops", times="0.5 0.1 0.1")
    try:
        os.waitid(os.P_PID, silent.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        other = bench(tmp_path, "other", times="0.5 0.1 0.1")
        _, err = other.communicate(timeout=300)
        assert other.returncode == 0, err
        before = {path: (path.stat().st_ino, path.read_bytes()) for path in (tmp_path / "out").rglob("record.json")}
        assert len(before) == 2
        silent.send_signal(signal.SIGCONT)
        _, err = silent.communicate(timeout=300)
        assert silent.returncode == 0, err
        assert "different results" not in err
        assert {path: (path.stat().st_ino, path.read_bytes()) for path in before} == before
        assert len((tmp_path / "played").read_text().split()) == 3
    finally:
        silent.kill()
        silent.communicate()


def test_a_run_is_owned_by_one_process_until_it_ends(tmp_path: Path) -> None:
    held = """
import sys, time
from gradskew.store import Store
with Store(sys.argv[1]).owned("a" * 64) as lease:
    print(lease is not None, flush=True)
    time.sleep(600)
"""
    store = Store(tmp_path)
    other = subprocess.Popen([sys.executable, "-c", held, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "True\n"
        with store.owned(DIGEST) as lease:
            assert lease is None
        with store.owned("b" * 64) as lease:
            assert lease is not None
        other.kill()
        with store.owned(DIGEST, wait=True) as lease:
            assert lease.held
    finally:
        other.kill()
        other.communicate()


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lease:
    """The lease of another host, taken just now."""
    with monkeypatch.context() as patch:
        patch.setattr(leases, "host", lambda: "elsewhere")
        lease = Lease(tmp_path / DIGEST, locked=True)
        assert lease.take()
    return lease


def age(lease: Lease, seconds: float) -> None:
    now = time.time()
    os.utime(lease.path, (now - seconds, now - seconds))


def test_another_hosts_lease_holds_until_its_owner_is_silent_for_too_long(tmp_path: Path, elsewhere: Lease) -> None:
    for seconds in (0, leases.LEASE - 20):
        age(elsewhere, seconds)
        with owned(tmp_path, DIGEST) as lease:
            assert lease is None
    assert elsewhere.held
    age(elsewhere, leases.LEASE + 20)
    with owned(tmp_path, DIGEST) as lease:
        assert lease.held
        assert not elsewhere.held
        elsewhere.drop()  # it is not its own any more
        assert lease.held
    assert not elsewhere.path.exists()


def test_a_lease_of_this_host_is_nobodys_if_the_lock_is_free(tmp_path: Path) -> None:
    """A process that was killed leaves its lease, but no lock. Without locks, only silence tells."""
    assert Lease(tmp_path / DIGEST, locked=True).take()
    assert not Lease(tmp_path / DIGEST, locked=False).take()
    assert Lease(tmp_path / DIGEST, locked=True).take()


def test_whoever_waits_gets_the_run_when_it_is_given_back(
    tmp_path: Path, elsewhere: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "POLL", 0.01)
    timer = threading.Timer(0.1, elsewhere.drop)
    timer.start()
    with owned(tmp_path, DIGEST, wait=True) as lease:
        assert lease.held
        assert not elsewhere.held


def test_an_owner_gives_signs_of_life_as_long_as_the_lease_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "BEAT", 0.01)
    with owned(tmp_path, DIGEST) as lease:
        age(lease, 1000)
        until(lambda: time.time() - lease.path.stat().st_mtime < 500)
        lease.path.write_text("somebody else\n")
        until(lambda: not any("beat" in thread.name for thread in threading.enumerate()))
        age(lease, 1000)
        time.sleep(0.1)
        assert time.time() - lease.path.stat().st_mtime > 500
    assert lease.path.read_text() == "somebody else\n"


@pytest.mark.parametrize("content", [b"", b"\0" * 9, b"x" * 10_000, f"{host()}".encode()])
def test_a_damaged_lease_holds_until_it_is_old(content: bytes, tmp_path: Path) -> None:
    lease = Lease(tmp_path / DIGEST, locked=True)
    lease.folder.mkdir()
    lease.path.write_bytes(content)
    assert not lease.take()
    age(lease, leases.LEASE + 1)
    assert lease.take()


def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    first, second = Lease(tmp_path / DIGEST, locked=False), Lease(tmp_path / DIGEST, locked=False)
    assert (first.take(), second.take()) == (True, False)
    first.drop()
    assert second.take()
    second.drop()
    (record,) = sweep([BASE], tmp_path)
    assert record == Store(tmp_path).load(BASE.digest)


def test_a_file_system_without_locks_has_leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lockf(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(leases.fcntl, "lockf", lockf)
    with owned(tmp_path, DIGEST) as first, owned(tmp_path, DIGEST) as second:
        assert first is not None
        assert second is None
    with owned(tmp_path, DIGEST) as third:
        assert third is not None


def test_nothing_of_a_lease_is_left(tmp_path: Path) -> None:
    with owned(tmp_path, DIGEST):
        assert [path.name for path in (tmp_path / DIGEST).iterdir()] == ["lease"]
    assert not list((tmp_path / DIGEST).iterdir())


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
    said = capsys.readouterr().err
    assert "different results" in said
    assert said.count("\n") == 1
    assert other.params_sha256 in (store.runs / BASE.digest / SECOND).read_text()
    store.tidy(BASE.digest)
    assert (store.runs / BASE.digest / SECOND).exists()


def test_whoever_tidies_up_does_not_disturb_those_who_wait(tmp_path: Path, elsewhere: Lease) -> None:
    """A run is finished while others ask for it again and again."""
    store, over = Store(tmp_path.parent / "other"), threading.Event()
    store.runs = tmp_path

    def tidy() -> None:
        while not over.is_set():
            store.tidy(DIGEST)

    thread = threading.Thread(target=tidy)
    thread.start()
    try:
        taken = [Lease(tmp_path / DIGEST, locked=False).take() for _ in range(500)]
    finally:
        over.set()
        thread.join()
    assert not any(taken)
    assert elsewhere.held


def test_the_lease_of_a_run_that_is_stored_goes_when_its_owner_is_gone(tmp_path: Path, elsewhere: Lease) -> None:
    """As after a power cut between the record and the end of the lease."""
    store = Store(tmp_path.parent / "other")
    store.runs = tmp_path
    store.tidy(DIGEST)
    assert elsewhere.held
    age(elsewhere, leases.LEASE + 20)
    store.tidy(DIGEST)
    assert not elsewhere.path.exists()


def test_a_host_whose_clock_is_ahead_takes_no_lease_away(tmp_path, elsewhere: Lease, monkeypatch) -> None:
    folder, clock = Store(tmp_path.parent / "other"), time.time
    folder.runs = tmp_path
    monkeypatch.setattr(time, "time", lambda: clock() + 300)
    folder.tidy(DIGEST)
    assert elsewhere.held
    assert [path.name for path in (tmp_path / DIGEST).iterdir()] == [FILE]


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


def test_a_temporary_file_that_is_tidied_up_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = Lease(tmp_path / DIGEST, locked=True)
    write = Path.write_text

    def lose(path: Path, text: str) -> None:
        write(path, text)
        path.unlink()

    monkeypatch.setattr(Path, "write_text", lose)
    assert not lease.take()


def test_a_moments_error_does_not_end_the_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT", 0.01)
    errors = iter([OSError(116, "Stale file handle"), OSError(5, "Input/output error")])
    renew = Lease._renew

    def flaky(self):
        if (error := next(errors, None)) is not None:
            raise error
        return renew(self)

    with owned(tmp_path, DIGEST) as lease:
        monkeypatch.setattr(Lease, "_renew", flaky)
        age(lease, 1000)
        until(lambda: time.time() - lease.path.stat().st_mtime < 500)
    assert not lease.path.exists()


def test_a_sign_of_life_is_written_and_never_into_anothers_lease(
    tmp_path: Path, elsewhere: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A time that is set may be that of the host's clock; one that is written is the file server's."""
    mine = Lease(tmp_path / DIGEST, locked=False)
    age(elsewhere, 1000)
    with monkeypatch.context() as patch:
        patch.setattr(os, "utime", None)
        assert elsewhere._renew()
    assert time.time() - elsewhere.path.stat().st_mtime < 500
    assert not mine.take()
    age(elsewhere, 1000)
    assert mine.take()
    assert not elsewhere._renew()
    assert mine.held
    mine.path.write_bytes(b"\xff\xfe")
    assert not mine._renew()
    mine.path.unlink()
    assert not mine._renew()
    assert not mine.path.exists()


def test_a_lease_that_is_taken_in_between_is_not_stolen(
    tmp_path: Path, elsewhere: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B fails to put its own, the owner gives it back, C takes it: B sees that of C, which is alive."""
    mine, theirs = Lease(tmp_path / DIGEST, locked=False), Lease(tmp_path / DIGEST, locked=False)
    look = Lease._look

    def late(self):
        if self is mine and elsewhere.held:
            elsewhere.drop()
            found = look(self)
            assert theirs.take()
            return found
        return look(self)

    monkeypatch.setattr(Lease, "_look", late)
    assert not mine.take()
    assert theirs.held


@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
def test_what_is_no_lease_is_set_aside(kind: str, tmp_path: Path) -> None:
    lease = Lease(tmp_path / "runs" / DIGEST, locked=True)
    lease.folder.mkdir(parents=True)
    if kind == "folder":
        (lease.path / "x").mkdir(parents=True)
    elif kind == "pipe":
        os.mkfifo(lease.path)
    else:
        lease.path.symlink_to(tmp_path / "outside")
    assert lease.take()
    assert lease.held
    assert len(list(lease.folder.glob("lease.damaged.*"))) == 1
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
def test_what_is_no_file_of_locks_is_one_error(kind: str, tmp_path: Path) -> None:
    lock = tmp_path / "runs" / leases.LOCK
    lock.parent.mkdir()
    if kind == "folder":
        lock.mkdir()
    elif kind == "pipe":
        os.mkfifo(lock)
    else:
        lock.symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match="lock"), owned(tmp_path / "runs", DIGEST):
        pass
    assert not (tmp_path / "outside").exists()


def test_sweeps_in_threads_play_no_run_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played, inner = [], play.simulate

    def count(run, **given):
        played.append(run.digest)
        return inner(run, **given)

    monkeypatch.setattr(play, "simulate", count)
    runs = [replace(BASE, seed=seed) for seed in range(3)]
    threads = [threading.Thread(target=sweep, args=(runs, tmp_path)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(played) == sorted(run.digest for run in runs)
