"""Sweeps on Ray: the same bytes as here, whatever is killed; a real cluster of two nodes on this machine."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest
from outside import until, with_the_tests
from test_processes import SCRIPT
from tiny import Tiny
from tiny_sweeps import BASE, Log, Raises, runs_of, stored

import gradskew
from gradskew import Cluster, InputError, Store, grid, sweep
from gradskew.aggregators import Mean
from gradskew.attacks import Attack, Forgery
from gradskew.runs import cluster
from gradskew.runs import ray as tasks
from gradskew.runs.store import CHECKPOINT

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray")]  # one cluster for all of them
SMALL = 80 << 20  # bytes of a node's object store
HALF_WAY = 5  # rounds of ten


@dataclass(frozen=True, kw_only=True)
class Logged(Attack):
    """Sends its own rows after a while; notes in $LOGGED, line by line, on which node it was called.

    kills: it ends its process once, or always, by the signal `number`. While there is a `hold()`, the fifth call on a
    node does not end.
    """

    key: ClassVar[str] = "logged"
    seconds: float = 0.1
    kills: str = ""
    number: int = signal.SIGKILL.value

    def forge(self, view):
        log = Path(os.environ["LOGGED"])
        node = ray.get_runtime_context().get_node_id() if ray.is_initialized() else "here"
        with log.open("a") as file:
            file.write(f"{node}\n")
        if self.kills == "always" or (self.kills == "once" and logged().total() == 1):
            os.kill(os.getpid(), self.number)
        time.sleep(self.seconds)
        while logged()[node] == HALF_WAY and hold().exists():
            time.sleep(0.05)
        return Forgery(view.own.updates)


@dataclass(frozen=True, kw_only=True)
class Here(Tiny):
    """Can be read where $LOGGED is not set by the nodes."""

    key: ClassVar[str] = "here"

    def read(self):
        assert "ON_A_NODE" not in os.environ, "read on a node"
        return super().read()


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    """What the nodes and the drivers of this module have in their environment."""
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # short: paths of sockets have at most 107 characters
    paths = [
        str(Path(gradskew.__file__).parent.parent),
        str(Path(__file__).parent),
        str(Path(__file__).parents[1] / "support"),
        os.environ.get("PYTHONPATH", ""),
    ]
    own = {
        "RAY_TMPDIR": folder,
        "TMPDIR": folder,
        "LOGGED": f"{folder}/log",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        for name, value in own.items():
            patch.setenv(name, value)
        yield own
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def nodes(environment) -> Iterator[object]:
    """Ray's own cluster of two node processes."""
    from ray.cluster_utils import Cluster as Nodes

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ON_A_NODE", "1")
        made = Nodes()
        try:
            add(made, include_dashboard=False)
            add(made)
            patch.delenv("ON_A_NODE")
            yield made
        finally:
            made.shutdown()


def add(nodes, **options):
    return nodes.add_node(num_cpus=1, object_store_memory=SMALL, node_ip_address="127.0.0.1", **options)


@pytest.fixture(scope="module")
def connection(nodes) -> Iterator[Cluster]:
    """One for most tests, since each has workers of its own to start."""
    with Cluster(nodes.address).connected():
        yield Cluster(nodes.address)


@pytest.fixture
def there(connection) -> Iterator[Cluster]:
    log().unlink(missing_ok=True)
    release = partial(hold().unlink, missing_ok=True)
    timer = threading.Timer(600, release)  # for a test that would wait for ever
    timer.start()
    yield connection
    timer.cancel()
    release()


def log() -> Path:
    return Path(os.environ["LOGGED"])


def logged() -> Counter[str]:
    """How often it was called on which node."""
    return Counter(log().read_text().split() if log().exists() else [])


def hold() -> Path:
    """A file: as long as it is there, each node stays in the middle of its first run."""
    return log().with_name("hold")


def half_way(nodes: int) -> bool:
    return list(logged().values()) == [HALF_WAY] * nodes


def slow(seeds: int = 4, **changes):
    base = replace(BASE, rounds=10)
    return grid(base, attacks=[Logged(**changes)], aggregators=[Mean()], seeds=range(seeds))


def test_a_cluster_gives_the_same_bytes_as_this_process(nodes, tmp_path):
    runs = [*runs_of("none,strike,mimic", "mean,cclip"), replace(BASE, source=Here(shape=(1, 8, 8)), clients=3)]
    progress = Log()
    records = sweep(runs, tmp_path / "there", workers=Cluster("auto"), on_progress=progress)
    sweep(runs, tmp_path / "here")
    assert stored(tmp_path / "there") == stored(tmp_path / "here")
    assert len(stored(tmp_path / "here")) == 7
    assert [record.digest for record in records] == [run.digest for run in runs]
    assert (progress[0].done, progress[-1].done, progress.rounds) == (0, 7, 14)
    store = Store(tmp_path / "there")
    assert store.pictures(runs[1].digest) == Store(tmp_path / "here").pictures(runs[1].digest) != []
    assert store.timing(runs[0].digest)["seconds"] > 0
    assert sorted(path.name for path in store.runs.iterdir() if len(path.name) != 64) == ["lock"]


def test_a_worker_that_does_not_see_the_store_sends_the_files(there, tmp_path, monkeypatch):
    @contextmanager
    def nowhere(store):
        yield Path("/nowhere/runs/.token")

    monkeypatch.setattr(tasks, "_token", nowhere)
    runs = runs_of("none", "mean,median")
    sweep(runs, tmp_path / "there", workers=there)
    sweep(runs, tmp_path / "here")
    assert stored(tmp_path / "there") == stored(tmp_path / "here")
    names = {path.name for path in (tmp_path / "there").glob("runs/*/*")}
    assert names == {"record.json", "timing.json", "pictures.json"}
    own = Path(os.environ["TMPDIR"]) / f"gradskew-{os.getuid()}" / "runs"
    assert [path.name for path in own.iterdir()] == ["lock"]


def test_the_loss_of_a_node_changes_no_byte(there, nodes, tmp_path):
    hold().touch()
    runs, victim, killed = slow(), add(nodes), []

    def kill(progress):
        if not killed and half_way(nodes=3):
            os.kill(victim.all_processes["raylet"][0].process.pid, signal.SIGKILL)
            killed.append(victim)
            hold().unlink()

    try:
        sweep(runs, tmp_path / "there", workers=there, on_progress=kill)
    finally:
        nodes.remove_node(victim)
    assert killed
    sweep(runs, tmp_path / "here")
    assert stored(tmp_path / "there") == stored(tmp_path / "here")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_loss_of_a_worker_changes_no_byte(number, there, tmp_path):
    runs = slow(seeds=1, kills="once", seconds=0, number=number.value)
    sweep(runs, tmp_path / "there", workers=there)
    assert logged().total() == 1 + 10
    sweep(runs, tmp_path / "here")
    assert stored(tmp_path / "there") == stored(tmp_path / "here")


def test_a_run_that_ray_gives_up_is_one_error(there, tmp_path, monkeypatch):
    monkeypatch.setattr(tasks, "RETRIES", 1)
    good = runs_of("none", "mean")
    bad = [replace(BASE, attack=Logged(kills="always")), replace(BASE, attack=Raises())]
    with pytest.raises(InputError) as caught:
        sweep([*bad, *good], tmp_path, workers=there)
    assert "(and 1 more run); the other runs are stored" in str(caught.value)
    assert logged().total() == 2
    assert set(stored(tmp_path)) == {good[0].digest}
    one = r"^raises against mean, seed 0: ZeroDivisionError: over here \(tiny_sweeps\.py, line \d+\)$"
    with pytest.raises(InputError, match=one):
        sweep(bad[1:], tmp_path, workers=there)
    with pytest.raises(InputError, match=r"seed 0: Ray gave it up after 1 more attempts"):
        sweep(bad[:1], tmp_path, workers=there)


def test_the_loss_of_the_driver_stops_its_runs_and_the_same_command_goes_on(there, nodes, tmp_path):
    hold().touch()
    line = [sys.executable, "-c", f"import test_ray; test_ray.drive({nodes.address!r}, {str(tmp_path)!r})"]
    driver = subprocess.Popen(line, start_new_session=True)
    try:
        until(lambda: half_way(nodes=2))
    finally:
        driver.kill()
        driver.wait()
    until(lambda: all(free(Store(tmp_path), run.digest) for run in slow()))
    assert stored(tmp_path) == {}
    hold().unlink()
    sweep(slow(), tmp_path, workers=there)
    sweep(slow(), tmp_path / "here")
    assert stored(tmp_path) == stored(tmp_path / "here")


def free(store: Store, digest: str) -> bool:
    with store.locked(digest) as ours:
        return ours


def drive(address: str, out: str) -> None:
    sweep(slow(), out, workers=Cluster(address))


def test_ctrl_c_leaves_checkpoints(there, tmp_path, monkeypatch):
    monkeypatch.setattr(tasks, "GRACE", 120.0)  # a busy machine takes its time

    hold().touch()

    def stop(progress):
        if half_way(nodes=2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(slow(), tmp_path, workers=there, on_progress=stop)
    assert len(list(tmp_path.rglob(CHECKPOINT))) == 2  # one a node: the others have not begun
    hold().unlink()
    sweep(slow(), tmp_path, workers=there)
    sweep(slow(), tmp_path / "here")
    assert stored(tmp_path) == stored(tmp_path / "here")


def test_what_a_worker_cannot_import_is_named(there, tmp_path, monkeypatch):
    (tmp_path / "hidden.py").write_text("from test_ray import Logged\nclass Mine(Logged):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    import hidden

    with pytest.raises(InputError, match=r"a worker cannot import .*No module named 'hidden'.*PYTHONPATH"):
        sweep([replace(BASE, attack=hidden.Mine())], tmp_path, workers=there)


def test_a_run_that_no_node_can_hold_is_an_error_at_once(there, tmp_path):
    wanted = r"no node of the Ray cluster can hold a run with threads = 2, and .* GB of memory: the largest has 1"
    with pytest.raises(InputError, match=wanted):
        sweep([*runs_of(), *runs_of(threads=2)], tmp_path, workers=there)
    assert stored(tmp_path) == {}


JOINED = """
import signal, sys
from gradskew import Cluster
signal.signal(signal.SIGTERM, signal.default_int_handler)
with Cluster(sys.argv[1]).connected() as ray:
    print(len(ray.nodes()))
    try:
        signal.raise_signal(signal.SIGTERM)
    except KeyboardInterrupt:
        print("stopped as by Ctrl-C")
"""


def test_a_command_that_has_joined_a_cluster_handles_sigterm_itself(nodes):
    """Ray's own handler would end it before checkpoints are written."""
    joined = [sys.executable, "-c", JOINED, nodes.address]
    result = subprocess.run(joined, capture_output=True, text=True, timeout=300)
    assert result.stdout.splitlines()[1:] == ["stopped as by Ctrl-C"], result.stderr
    assert result.stderr == ""


def test_a_class_in_a_script_goes_to_a_cluster_whole(there, nodes, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT.replace("WORKERS", f"gs.Cluster({nodes.address!r})"))
    run = [sys.executable, "script.py"]
    done = subprocess.run(run, env=with_the_tests(), cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert len(stored(tmp_path / "out")) == 2


@contextmanager
def closed_port() -> Iterator[str]:
    """An address at which nothing listens, and nothing will."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@contextmanager
def server(answer: bytes | None) -> Iterator[str]:
    """Something else that listens: says `answer`, or nothing at all."""

    def serve() -> None:
        other, _ = listening.accept()
        with other, suppress(ConnectionError):
            if answer is not None:
                other.sendall(answer)
            while other.recv(1 << 16):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


@pytest.fixture
def apart(monkeypatch):
    """As if this process had no connection."""
    monkeypatch.setattr(ray, "is_initialized", lambda: False)


def test_a_dead_cluster_is_an_error_at_once(apart, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "PROBE", 0.2)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    with pytest.raises(InputError, match="no Ray cluster runs here"):
        Cluster("auto").check()
    (tmp_path / "ray").mkdir()
    with closed_port() as dead:
        (tmp_path / "ray" / "ray_current_cluster").write_text(dead)
        with pytest.raises(InputError, match=f"no Ray cluster answers at {dead}: Connection refused"):
            sweep(runs_of(), tmp_path, workers=Cluster("auto"))
        monkeypatch.setenv("RAY_ADDRESS", dead.replace("127.0.0.1", "localhost"))
        with pytest.raises(InputError, match="no Ray cluster answers at localhost:"):
            Cluster("auto").check()
    with server(None) as silent, pytest.raises(InputError, match=f"no Ray cluster answers at {silent}: timed out"):
        Cluster(silent).check()
    with server(b"HTTP/1.1 400 Bad Request") as web, pytest.raises(InputError, match="is not a Ray cluster"):
        Cluster(web).check()


@pytest.mark.parametrize("address", ["here", "ray://here:10001", ":6379", "here:", "here:65536", "here:6379/x", ""])
def test_an_address_is_host_and_port(address, apart):
    with pytest.raises(InputError, match="host:port or auto"):
        Cluster(address).check()
