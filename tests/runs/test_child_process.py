"""Processes that work for this one: Ctrl-C, signals and how they end."""

import collections
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from outside import until, with_the_tests

from gradskew.runs import child_process
from gradskew.runs.child_process import Child


def tell_mask(pipe):
    pipe.send(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def end(pipe, how):
    if how < 0:
        os.kill(os.getpid(), -how)
    os._exit(how)


def wait(pipe):
    pipe.recv()


def masks() -> list[bool]:
    """Whether Ctrl-C is blocked in a few children, and here after that."""
    started = [Child(tell_mask) for _ in range(3)]
    told = [child.pipe.recv() for child in started]
    for child in started:
        child.end()
    return [*told, signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())]


@pytest.mark.processes
def test_ctrl_c_reaches_no_child_not_even_the_first():
    code = "if __name__ == '__main__':\n    from test_child_process import masks\n    print(masks())"
    place = with_the_tests()
    done = subprocess.run([sys.executable, "-c", code], env=place, capture_output=True, text=True, timeout=300)
    assert done.stdout == "[True, True, True, False]\n", done.stderr


@pytest.mark.processes
def test_nor_one_that_another_thread_starts():
    told = []
    thread = threading.Thread(target=lambda: told.extend(masks()))
    thread.start()
    thread.join()
    assert told == [True, True, True, False]


@pytest.mark.processes
@pytest.mark.parametrize(
    ("code", "name"),
    [(0, "exit status 0"), (3, "exit status 3"), (-9, "SIGKILL"), (-11, "SIGSEGV"), (-40, "signal 40")],
)
def test_how_one_ended_is_told(code, name):
    child = Child(end, code)
    assert child.ending() == name
    child.end()


@pytest.mark.processes
def test_one_that_talks_no_more_but_lives_has_not_ended(monkeypatch):
    monkeypatch.setattr(child_process, "JOIN", 0.1)
    child = Child(wait)
    assert child.ending() == "it talks no more"
    child.end()


def compute_for_ever(pipe):
    """In compiled code, where no other thread of Python has its turn."""
    pipe.send(os.getpid())
    collections.deque(itertools.repeat(0), maxlen=0)


def lead() -> None:
    print(Child(compute_for_ever).pipe.recv(), flush=True)
    signal.pause()


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it ends when it comes back from compiled code")
def test_one_ends_with_its_parent_wherever_it_computes():
    code = "if __name__ == '__main__':\n    from test_child_process import lead\n    lead()"
    place = with_the_tests()
    with subprocess.Popen([sys.executable, "-c", code], env=place, stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        parent.kill()
    until(lambda: not lives(child))


def lives(pid: int) -> bool:
    """Whether there is such a process; one that has ended may wait for somebody to ask."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_until_one_has_started_and_leaves_none(number, monkeypatch):
    context = multiprocessing.get_context("spawn")
    before, start = multiprocessing.active_children(), context.Process.start

    def interrupted(process):
        signal.raise_signal(number)
        start(process)

    monkeypatch.setattr(context.Process, "start", interrupted)
    handlers = {each: signal.signal(each, signal.default_int_handler) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        with pytest.raises(KeyboardInterrupt):
            Child(wait)
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)
    assert multiprocessing.active_children() == before


def test_one_that_cannot_start_leaves_nothing(monkeypatch):
    def refused(process):
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(multiprocessing.get_context("spawn").Process, "start", refused)
    with pytest.raises(BlockingIOError):
        Child(wait)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.processes
def test_the_end_of_one_is_the_end():
    child = Child(wait)
    assert child.process.is_alive()
    child.end()
    assert child.process not in multiprocessing.active_children()
    assert child.pipe.closed
