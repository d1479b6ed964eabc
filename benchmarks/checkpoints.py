"""What checkpoints cost: a run with snapshots each round and a checkpoint each half minute, against one without.

`python benchmarks/checkpoints.py`
"""

from __future__ import annotations

import tempfile
import time
from statistics import median

from gradskew import Run, aggregators, attacks, simulate
from gradskew.records import Store
from gradskew.work import Keeper
from timing import alternate

REPEATS = 7


def main() -> None:
    print("| run | with snapshots / without: median (range) | one checkpoint |\n|---|---|---|")
    for sent, rule in (("none", "mean"), ("strike", "multikrum"), ("mimic", "cclip")):
        run = Run(attack=attacks.make(sent), aggregator=aggregators.make(rule))
        with tempfile.TemporaryDirectory() as folder:
            store = Store(folder)
            keeper = Keeper(store, run.digest)

            def kept(run: Run = run, keeper: Keeper = keeper) -> None:
                simulate(run, keep=keeper)

            def plain(run: Run = run) -> None:
                simulate(run)

            ours, theirs = alternate([kept, plain], REPEATS)
            ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
            started = time.perf_counter()
            keeper.write()
            one = time.perf_counter() - started
        spread = f"{median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        print(f"| digits, {sent}, {rule} | {spread} | {1000 * one:.0f} ms |")


if __name__ == "__main__":
    main()
