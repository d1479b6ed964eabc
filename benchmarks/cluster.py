"""What a sweep on Ray costs beside its rounds: start-up, each cell, the driver's memory, the store.

`ray start --head --num-cpus 2`, then `python benchmarks/cluster.py`; docs/scaling.md has the figures, and what they
make of 10,000 cells on 100 GPUs.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gradskew import Cluster, Record, Run, Store, aggregators, attacks, grid, simulate, sweep
from gradskew.data import Digits, to_arrays
from gradskew.federation.optimizer import SGD
from gradskew.models import Linear
from gradskew.runs import ray as cluster
from gradskew.runs.execution import Checkpointer
from timing import alternate, spread

CELLS, REPEATS, MANY = 400, 5, 10_000
CPUS = 2


def main() -> None:
    print("| what | figure |\n|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        of_a_cell(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        of_a_store(Path(folder))
    of_the_driver()
    against_processes()


def of_a_cell(folder: Path) -> None:
    """Bytes in the store of one finished run, and of its checkpoint."""
    runs = {
        "60 rounds, 50 clients": Run(attack=attacks.make("strike"), aggregator=aggregators.make("nnm+multikrum")),
        "200 rounds, 50 clients": Run(rounds=200, attack=attacks.make("lie"), aggregator=aggregators.make("cclip")),
        "60 rounds, no lens": Run(lens=False),
    }
    for name, run in runs.items():
        store = Store(folder)
        sweep([run], folder)
        sizes = {path.name: path.stat().st_size for path in (store.runs / run.digest).iterdir()}
        print(f"| bytes of a run: {name} | {', '.join(f'{key} {size:,}' for key, size in sorted(sizes.items()))} |")
    small = Run(rounds=1)
    checkpointer = Checkpointer(Store(folder), small.digest)
    simulate(small, on_snapshot=checkpointer)
    checkpointer.write()
    size = (Store(folder).runs / small.digest / "checkpoint.safetensors").stat().st_size
    print(
        f"| bytes of a checkpoint, MLP 32 after 1 round (4 d = {4 * checkpointer.last.params.numel():,}) | {size:,} |"
    )


def of_a_store(folder: Path) -> None:
    """A store of many records: seconds to read it, as at the start of a sweep, and the memory of its records."""
    record = Record.of(simulate(Run(attack=attacks.make("strike"), aggregator=aggregators.make("multikrum"))))
    store, digests = Store(folder), []
    for seed in range(MANY):
        other = replace(record, spec={**record.spec, "seed": seed})
        digests.append(other.digest)
        (store.runs / other.digest).mkdir(parents=True)
        (store.runs / other.digest / "record.json").write_text(other.to_json())
    start, before = time.perf_counter(), resident()
    records = [store.load(digest) for digest in digests]
    print(f"| read {MANY:,} records of 60 rounds | {time.perf_counter() - start:.1f} s |")
    print(f"| memory of {MANY:,} records | {(resident() - before) / MANY / 1024:.0f} KB each |")
    del records
    start = time.perf_counter()
    for digest in digests:
        store.load("0" * 16 + digest[16:])
    print(f"| look for {MANY:,} records that are not there | {time.perf_counter() - start:.2f} s |")


def of_the_driver() -> None:
    """Memory and time of the driver for each task in the queue; time to join the cluster and to start a worker."""
    start = time.perf_counter()
    with Cluster().connected() as ray:
        print(f"| time to join the cluster | {time.perf_counter() - start:.1f} s |")
        task = ray.remote(max_retries=cluster.RETRIES)(cluster.execute_as_task)
        run = replace(cells(range(1))[0])
        assert run.digest
        parts = ray.put(to_arrays(Digits().load()))
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            token = Path(folder) / "runs" / ".token"
            token.parent.mkdir()
            token.touch()
            ray.get(task.remote(run, parts, str(token), False))
            first = time.perf_counter() - start
            start = time.perf_counter()
            ray.get(task.remote(run, parts, str(token), False))
        print(
            f"| first task of a worker, with its imports | {first:.1f} s; the next, of a stored run, "
            f"{1000 * (time.perf_counter() - start):.0f} ms |"
        )
        many = [replace(run, seed=seed) for seed in range(MANY)]
        start = time.perf_counter()
        assert len({each.digest for each in many}) == MANY
        print(f"| the digest of a run | {1000 * (time.perf_counter() - start) / MANY:.2f} ms |")
        before, start = resident(), time.perf_counter()
        queue = [task.remote(each, parts, "/nowhere/.x", False) for each in many]
        taken = time.perf_counter() - start
        print(
            f"| the driver for each of {MANY:,} tasks in its queue | {(resident() - before) / MANY / 1024:.0f} KB, "
            f"{1000 * taken / MANY:.2f} ms |"
        )
        start = time.perf_counter()
        ray.wait(queue, num_returns=MANY, timeout=0)
        print(f"| one look at {MANY:,} tasks | {1000 * (time.perf_counter() - start):.0f} ms |")
        for reference in reversed(queue):
            ray.cancel(reference)


def cells(seeds: range, rounds: int = 2) -> list[Run]:
    base = Run(model=Linear(), clients=6, byzantine=1, rounds=rounds, sgd=SGD(epochs=1, batch=64))
    return grid(base, attacks=[attacks.make("none")], aggregators=[aggregators.make("mean")], seeds=seeds)


def against_processes() -> None:
    """The same short cells by Ray and by processes of our own: seconds of the whole sweep, alternating."""

    def timed(workers: int | Cluster, count: int) -> Callable[[], None]:
        def once() -> None:
            with tempfile.TemporaryDirectory() as folder:
                sweep(cells(range(count)), folder, workers=workers)

        return once

    names = ["processes, 2 cells", f"processes, {CELLS} cells", "Ray, 2 cells", f"Ray, {CELLS} cells"]
    works = [timed(workers, count) for workers in (CPUS, Cluster()) for count in (2, CELLS)]
    with Cluster().connected():  # its workers stay, where processes start anew for each sweep
        seconds = alternate(works, REPEATS)
    for name, each in zip(names, seconds, strict=True):
        print(f"| a sweep by {CPUS} {name} | {spread(each, 1)} s |")
    for name, few, many in (("processes", *seconds[:2]), ("Ray", *seconds[2:])):
        each = [1000 * CPUS * (b - a) / (CELLS - 2) for a, b in zip(few, many, strict=True)]
        print(f"| a further cell, {name} | {spread(each, 1)} ms of a worker |")


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


if __name__ == "__main__":
    main()
