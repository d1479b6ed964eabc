"""Start other processes and wait for them."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

LONGEST = 300.0  # seconds; a busy machine may need more than a few


def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds, for LONGEST seconds at most."""
    deadline = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.05)


def with_the_tests() -> dict[str, str]:
    """Return an environment in which a process can import the support modules."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [Path(__file__).parent, *sys.path]))}
