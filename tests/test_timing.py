"""Why a peer's call is not timed: benchmarks/timing.py tries it in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
SCRIPT = """
import json, os, signal, sys
from timing import refusal

def fail(): raise KeyError("key")
def fill(): raise MemoryError
def turn():
    while True: pass

works = [int, fail, fill, turn, lambda: sys.exit(3), lambda: os._exit(1)]
works += [lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: os.kill(os.getpid(), signal.SIGSEGV)]
print(json.dumps([refusal(work, 1) for work in works]))
"""


@pytest.mark.processes
def test_a_refusal_says_how_the_work_ended() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=BENCHMARKS, stdout=subprocess.PIPE, text=True, check=True)
    assert json.loads(done.stdout) == [None, "KeyError", "memory", "time", "exit 3", "exit 1", "SIGKILL", "SIGSEGV"]
