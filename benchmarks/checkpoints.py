"""What checkpoints and the store cost: a run with snapshots each round and a checkpoint each half minute, against one
without; and what a finished run's dealings with the store take.

`python benchmarks/checkpoints.py`
"""

from __future__ import annotations

import tempfile
import time
from statistics import median

from gradskew import MLP, AlexNet, Run, aggregators, attacks, simulate
from gradskew.federation.simulation import Result
from gradskew.federation.snapshot import Snapshot
from gradskew.models import Model, initial
from gradskew.runs.execution import INTERVAL, Checkpointer
from gradskew.runs.store import CHECKPOINT, Store
from timing import alternate, spread

REPEATS = 7
CELLS = (("none", "mean"), ("strike", "multikrum"), ("mimic", "cclip"))


def overhead(run: Run) -> str:
    """A row: the run with snapshots and checkpoints over the same without; a stored cell in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        checkpointer = Checkpointer(store, run.digest)
        ours, theirs = alternate([lambda: simulate(run, on_snapshot=checkpointer), lambda: simulate(run)], REPEATS)
        result = simulate(run)
        stored = [milliseconds(result) for _ in range(REPEATS + 1)]
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return f"| digits, {run.attack.name}, {run.aggregator.name} | {spread(ratios, 3)} | {spread(stored[1:], 1)} |"


def milliseconds(result: Result) -> float:
    """Return what a run does with a store beside its rounds, in ms: its lock, its record, its pictures, its timing."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        store, digest = Store(folder), result.run.digest
        started = time.perf_counter()
        with store.locked(digest):
            assert store.load(digest) is None
            assert store.load_checkpoint(digest) is None
            store.save(result, 1.0)
            store.tidy(digest)
        return 1000 * (time.perf_counter() - started)


def checkpoint(model: Model, shape: tuple[int, ...]) -> str:
    """A row: one checkpoint of a network of this size, after 200 rounds."""
    params = initial(model, shape, 10, 0).read_params()
    rounds = simulate(Run(rounds=10, attack=attacks.make("strike"), aggregator=aggregators.make("nnm+rfa"))).rounds * 20
    times = []
    with tempfile.TemporaryDirectory(dir=".") as folder:
        store = Store(folder)
        for _ in range(REPEATS):
            started = time.perf_counter()
            store.save_checkpoint("a" * 64, Snapshot(rounds, params.clone(), params.new_empty(0)))
            times.append(time.perf_counter() - started)
        size = (store.runs / ("a" * 64) / CHECKPOINT).stat().st_size
    cells = [f"{model.name}, d = {len(params):,}", f"{size / 1e6:.1f}", spread([1000 * t for t in times], 0)]
    return f"| {' | '.join(cells)} | {100 * median(times) / INTERVAL:.2f} |"


def main() -> None:
    print("| run | with checkpoints / without: median (range) | a cell's dealings with the store, ms |\n|---|---|---|")
    for sent, rule in CELLS:
        print(overhead(Run(attack=attacks.make(sent), aggregator=aggregators.make(rule))), flush=True)
    print("\n| network | checkpoint, MB | ms: median (range) | % of half a minute |\n|---|---|---|---|")
    for model, shape in ((MLP(hidden=32), (8, 8)), (AlexNet(), (3, 32, 32))):
        print(checkpoint(model, shape), flush=True)


if __name__ == "__main__":
    main()
