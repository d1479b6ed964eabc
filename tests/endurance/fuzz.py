"""The fuzzer: hostile input for all that reads what another wrote. `make fuzz` plays it long, test_fuzz.py briefly.

A case follows from its target, its seed and its number alone: `python tests/endurance/fuzz.py --target names --case 7`.
It is accepted, or refused as the entry point says: by InputError, or ValueError where a store reads. Anything else is a
finding: another exception, a warning, more time than the limit, or what the target's own checks refuse: a value that
was accepted and is wrong.
"""

import argparse
import faulthandler
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import fuzz_inputs
import fuzz_own_data
import fuzz_results
import fuzz_rows
import fuzz_stores
import numpy as np

from gradskew.core.errors import InputError
from gradskew.core.numerics import fixed_threads
from gradskew.core.randomness import numpy_generator

LIMIT = 60.0  # seconds for a case of a few hundredths: the machine may be busy
STUCK = 300.0  # seconds after which a case that no signal reaches ends the program
MEMORY = 6 << 30  # bytes of address space beyond what is mapped at the start: an allocation above is a finding


@dataclass(frozen=True)
class Target:
    """What is fuzzed, how many cases of it make the long and the brief run, and the error by which it may refuse."""

    case: Callable[[np.random.Generator, Path], None]
    cases: int
    brief: int
    refusal: type[ValueError] = InputError
    ready: Callable[[], object] = int  # what is made once and takes long, before the first case


TARGETS = {
    "names": Target(fuzz_inputs.names, 40_000, 800),
    "lists": Target(fuzz_inputs.lists, 20_000, 400),
    "config": Target(fuzz_inputs.config, 6_000, 80),
    "loaders": Target(fuzz_inputs.loaders, 8_000, 140),
    "own": Target(fuzz_own_data.own, 8_000, 200),
    "matrices": Target(fuzz_inputs.matrices, 8_000, 200),
    "records": Target(fuzz_results.records, 20_000, 400, ValueError, fuzz_results.ready),
    "beside": Target(fuzz_results.pictures, 5_000, 100, ready=fuzz_results.ready),
    "folders": Target(fuzz_results.folders, 1_000, 30, ready=fuzz_results.ready),
    "stores": Target(fuzz_stores.stores, 5_000, 80, ready=fuzz_stores.ready),
    "snapshots": Target(fuzz_results.snapshots, 5_000, 80, ValueError, fuzz_results.ready),
    "rules": Target(fuzz_rows.rules, 10_000, 300),
    "attacks": Target(fuzz_rows.forgers, 6_000, 200),
    "lens": Target(fuzz_rows.lens, 4_000, 100),
}


@dataclass
class Tally:
    """What became of a target's cases; findings by number, slowest: seconds and number."""

    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0
    slowest: tuple[float, int] = (0.0, 0)
    findings: dict[int, BaseException] = field(default_factory=dict)


class Hang(BaseException):
    """A case took more than its limit."""


@contextmanager
def limited():
    """Ends a case that takes too long: by an exception, or, where no signal is heard, with the program."""

    def ring(*_):
        raise Hang(f"more than {LIMIT:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    faulthandler.dump_traceback_later(STUCK, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def play(name: str, seed: int, numbers: range, folder: Path, say: Callable[[str], None] = lambda line: None) -> Tally:
    """Play cases of a target, in a folder of its own."""
    tally, home = Tally(), folder / name
    home.mkdir(parents=True, exist_ok=True)
    TARGETS[name].ready()
    for number in numbers:
        say(f"{name} {seed} {number}")
        rng, started = numpy_generator(seed, f"fuzz {name}", number), time.perf_counter()
        try:
            with limited(), warnings.catch_warnings():
                warnings.simplefilter("error")
                TARGETS[name].case(rng, home)
            tally.accepted += 1
        except TARGETS[name].refusal:
            tally.refused += 1
        except (Exception, Hang) as error:
            tally.findings[number] = error
        took = time.perf_counter() - started
        tally.seconds += took
        tally.slowest = max(tally.slowest, (took, number))
    return tally


def main() -> int:
    """The command line: all targets, or one, or one case with its traceback."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--target", choices=TARGETS, help="only this one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="only this one, with its traceback")
    parser.add_argument("--cases", type=int, help="so many of each target, instead of its own number")
    given = parser.parse_args()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    targets = [given.target] if given.target else list(TARGETS)
    failed = 0
    with tempfile.TemporaryDirectory() as folder, open(Path(folder) / "case", "w+") as last, fixed_threads(1):
        if given.case is not None:
            tally = play(targets[0], given.seed, range(given.case, given.case + 1), Path(folder))
            for error in tally.findings.values():
                traceback.print_exception(error)
            print("a finding" if tally.findings else "accepted" if tally.accepted else "refused")
            return bool(tally.findings)

        def say(line: str) -> None:
            os.pwrite(last.fileno(), line.ljust(40).encode(), 0)

        print(
            f"{'target':<10}{'cases':>8}{'accepted':>10}{'refused':>9}{'findings':>10}{'seconds':>9}  slowest case",
            flush=True,
        )
        total = 0
        for name in targets:
            tally = play(name, given.seed, range(given.cases or TARGETS[name].cases), Path(folder), say)
            cases, (took, number) = tally.accepted + tally.refused + len(tally.findings), tally.slowest
            counts = f"{cases:>8}{tally.accepted:>10}{tally.refused:>9}{len(tally.findings):>10}{tally.seconds:>9.1f}"
            print(f"{name:<10}{counts}  {number} ({took:.2f} s)", flush=True)
            for number, error in list(tally.findings.items())[:20]:
                print(f"  --target {name} --seed {given.seed} --case {number}: {error!r:.200}", flush=True)
            total, failed = total + cases, failed + len(tally.findings)
        print(f"{total} cases, {failed} findings")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
