"""Other processes, as the tests start them and wait for them."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

LONGEST = 300.0  # seconds for what takes a few: the machine may be busy


def until(condition: Callable[[], object]) -> None:
    """Wait for it."""
    deadline = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.05)


def with_the_tests() -> dict[str, str]:
    """The environment of a process that can import what the tests can."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [Path(__file__).parent, *sys.path]))}
