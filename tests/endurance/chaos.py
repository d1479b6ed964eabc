"""Sweeps that are killed again and again: no finished run is lost or computed again, and the records are the same.

`python tests/endurance/chaos.py --kills 200` prints what happened; the tests take a few kills of the same.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

GRID = (
    "bench --clients 10 --byzantine 2 --rounds 60 --model linear --attacks none,mimic,lie,strike"
    " --aggregators mean,cclip,nnm+rfa,bucketing+median"
)
WORKER = "SIGKILL to a worker"  # which its bench outlives
EARLY, START = 0.2, 4.0  # the share of kills that do not wait for a sign of work, and the seconds in which they come
LONGEST = 1.0  # seconds that a sweep is left alone after its first sign of work, at the most
PATIENCE = 120.0  # seconds for a sweep to show a sign of work

# A bench with checkpoints all the time, that logs each run which it begins, and whether that was stored already; and
# elsewhere each round, and each run that it has stored.
BENCH = """
import os
from gradskew import Store
from gradskew.cli import main
from gradskew.runs import execution
inner, save, execution.INTERVAL, execution.COST_FACTOR = execution.simulate, Store.save, 0.05, 0
def simulate(run, **given):
    stored = os.path.exists(os.path.join(os.environ["RUNS"], run.digest, "record.json"))
    with open(os.environ["LOG"], "a") as log:
        log.write(f"{run.digest} {stored} {given['start'] is not None}" + chr(10))
    report = given.pop("on_round")
    def on_round(metrics):
        with open(os.environ["LOG"] + ".rounds", "a") as log:
            log.write("." + chr(10))
        report(metrics)
    return inner(run, on_round=on_round, **given)
def store(self, result, seconds):
    record = save(self, result, seconds)
    with open(os.environ["LOG"] + ".stored", "a") as log:
        log.write(result.run.digest + chr(10))
    return record
execution.simulate, Store.save = simulate, store
if __name__ == "__main__":
    main()
"""

Bench = subprocess.Popen[str]


@dataclass
class Toll:
    """What a chaos did, and what it found wrong."""

    kills: Counter[str] = field(default_factory=Counter)
    grids: int = 0
    runs: int = 0
    begun: int = 0
    resumed: int = 0
    lost: int = 0
    again: int = 0
    differing: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        return self.lost + self.again + self.differing + len(self.errors)

    def show(self, *first: str | int) -> int:
        """Print the row of a table that begins so, and on stderr what was wrong; how much that is."""
        cells = [*first, self.grids, self.runs, self.begun, self.resumed, self.lost, self.again, self.differing]
        print(f"| {' | '.join(map(str, [*cells, len(self.errors)]))} |", flush=True)
        for error in self.errors:
            print(error, file=sys.stderr)
        return self.wrong


class Grid:
    """One grid in a folder of its own, with the processes that run it. out: where its store is."""

    def __init__(self, folder: Path, grid: str, workers: Sequence[int], out: Path | None = None):
        self.folder, self.grid, self.workers, self.out = folder, grid, workers, out or folder / "out"
        folder.mkdir()
        (folder / "bench.py").write_text(BENCH)

    @property
    def records(self) -> dict[str, bytes]:
        return {path.parent.name: path.read_bytes() for path in self.out.glob("runs/*/record.json")}

    @property
    def log(self) -> list[list[str]]:
        """Each run that was begun: its digest, whether it was stored, whether there was a checkpoint."""
        return [line.split() for line in lines(self.folder / "log")]

    @property
    def rounds(self) -> int:
        """How many rounds were done."""
        return len(lines(self.folder / "log.rounds"))

    @property
    def stored(self) -> list[str]:
        """The digest of each run that was stored, written down when that was done."""
        return lines(self.folder / "log.stored")

    def start(self) -> list[Bench]:
        """One bench for each number of workers, all on the same store."""
        return [self.bench(count) for count in self.workers]

    def bench(self, workers: int) -> Bench:
        """Start one; it is not waited for."""
        place = {"RUNS": str(self.out / "runs"), "LOG": str(self.folder / "log")}
        line = [sys.executable, str(self.folder / "bench.py"), *self.grid.split(), "--out", str(self.out)]
        return subprocess.Popen(
            [*line, "--workers", str(workers)],
            env={**os.environ, **place},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


def alive(bench: Bench) -> bool:
    return bench.poll() is None


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def strike(bench: Bench, rng: random.Random, early: bool = False) -> str:
    """Stop a bench, or one of its workers, in one of the ways in which they are stopped; returns which.

    early: while it starts. Python itself would say where Ctrl-C found it then.
    """
    how = rng.choice(["SIGKILL to all", "SIGKILL to one"] + ["SIGKILL to all", "SIGINT", "SIGTERM"] * (not early))
    if how == "SIGKILL to all":
        os.killpg(bench.pid, signal.SIGKILL)
    elif how == "SIGKILL to one":
        victim = rng.choice([bench.pid, *children(bench.pid)])
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:  # a worker that had ended
            return strike(bench, rng, early)
        return "SIGKILL to the bench" if victim == bench.pid else WORKER
    else:
        bench.send_signal(signal.SIGINT if how == "SIGINT" else signal.SIGTERM)
    return how


def children(pid: int) -> Iterator[int]:
    """The workers of a bench; Python's own helper, which would only print that it misses its notes, is none."""
    for path in Path("/proc").glob(f"{pid}/task/*/children"):
        for child in path.read_text().split():
            with suppress(OSError):  # it has ended
                if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    yield int(child)


def chaos(folder: Path, kills: int, seed: int = 0, workers: Sequence[int] = (2,), grid: str = GRID) -> Toll:
    """Kill sweeps over `grid` until there were so many kills, each grid to its end; compare with an undisturbed one.

    workers: for each bench that shares the store, its number of workers.
    """
    rng, toll = random.Random(seed), Toll()
    whole = Grid(folder / "whole", grid, [1])
    finish(whole, toll)
    while toll.kills.total() < kills and not toll.errors:
        toll.grids += 1
        one = Grid(folder / str(toll.grids), grid, workers)
        running: dict[int, Bench] = {}  # by its place in `workers`
        while len(one.records) < len(whole.records) and toll.kills.total() < kills and not toll.errors:
            before, played = one.records, one.rounds
            running |= {place: one.bench(count) for place, count in enumerate(workers) if place not in running}
            early = rng.random() < EARLY
            if not early:
                wait_for_work(one, played, running.values())
            time.sleep(rng.uniform(0, START if early else LONGEST))
            hows = {place: strike(bench, rng, early) for place, bench in running.items() if alive(bench)}
            toll.kills.update(hows.values())
            for place in [place for place in running if hows.get(place) != WORKER]:  # else it goes on
                toll.errors += complaints(running.pop(place).communicate(timeout=PATIENCE)[1])
            toll.lost += sum(one.records.get(digest) != record for digest, record in before.items())
        for bench in running.values():
            toll.errors += complaints(bench.communicate(timeout=10 * PATIENCE)[1])
        settle(one, whole, toll)
    return toll


def wait_for_work(one: Grid, played: int, benches: Collection[Bench]) -> None:
    """Until there is a round beyond those that were done, or no bench lives."""
    deadline = time.monotonic() + PATIENCE
    while one.rounds == played and any(map(alive, benches)) and time.monotonic() < deadline:
        time.sleep(0.01)


KEPT = ("record.json", "timing.json", "pictures.json")


def settle(one: Grid, whole: Grid, toll: Toll) -> None:
    """Bring a grid that was disturbed to its end, count, and compare with the undisturbed one."""
    finish(one, toll)
    toll.runs += len(whole.records)
    toll.begun += len(one.log)
    toll.resumed += sum(resumed == "True" for _, _, resumed in one.log)
    toll.again += sum(stored == "True" for _, stored, _ in one.log)
    toll.differing += sum(one.records.get(digest) != record for digest, record in whole.records.items())
    toll.differing += len(one.records) - len(whole.records)
    names = [path.name for path in one.out.glob("runs/*/*") if path.name not in KEPT]
    toll.errors += [f"left over: {name}" for name in names]


def finish(grid: Grid, toll: Toll) -> None:
    """Bring the grid to its end, undisturbed."""
    for bench in grid.start():
        _, err = bench.communicate(timeout=10 * PATIENCE)
        toll.errors += complaints(err)
        toll.errors += [] if bench.returncode == 0 else [f"exit {bench.returncode}: {err[-300:]}"]


def complaints(err: str) -> list[str]:
    """Lines that no kill may cause: tracebacks, and files that were half written."""
    return [err[-2000:]] if "Traceback" in err or "damaged" in err or "different results" in err else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background of a script it would be ignored
    wrong = 0
    print("| benches x workers | kills | grids | runs | begun | resumed | lost | computed again | differing | errors |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for workers in ((1,), (2,), (1, 1), (2, 1)):
        with tempfile.TemporaryDirectory() as folder:
            toll = chaos(Path(folder), given.kills // 4, given.seed, workers)
        how = ", ".join(f"{count} {name}" for name, count in sorted(toll.kills.items()))
        wrong += toll.show(" + ".join(map(str, workers)), f"{toll.kills.total()} ({how})")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
