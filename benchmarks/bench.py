"""Time the default bench, and our training against the plain PyTorch way in the same run.

    python benchmarks/bench.py [--data FOLDER]

Prints a Markdown table. Ratios are between alternating repeats in this process, on one thread.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from gradskew import MLP, Dirichlet, FashionMNIST, Run, simulate
from gradskew.federation.optimizer import SGD
from plain import plain_fedavg
from timing import spread

ROUNDS = 20  # of the plain federation, which is slow
REPEATS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with Fashion-MNIST's IDX files")
    arguments = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, Python {platform.python_version()}\n"
    )
    print("| what | figure |\n|---|---|")
    default_bench()
    run = Run()
    compare("digits, MLP 32", run)
    compare("digits, MLP 32, loop engine", replace(run, engine="loop"))
    fashion = Run(
        source=FashionMNIST(train_size=10_000, folder=arguments.data),
        partition=Dirichlet(),
        model=MLP(hidden=100),
        sgd=SGD(batch=32),
        rounds=40,
    )
    seconds = [timed(lambda: simulate(fashion)) for _ in range(3)]
    print(f"| Fashion-MNIST, 10,000 images, MLP 100, one cell of 40 rounds, 1 thread | {spread(seconds)} s |")


def default_bench() -> None:
    """The command as a user runs it, in fresh folders: seconds, and the memory of all its processes together."""
    seconds, memory = [], []
    for _ in range(3):
        out = tempfile.mkdtemp()
        command = [sys.executable, "-c", "from gradskew.cli import main; main()", "bench", "--out", out]
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        peak = [0.0]
        watcher = threading.Thread(target=watch, args=(process, peak))
        watcher.start()
        status = process.wait()
        seconds.append(time.perf_counter() - start)
        watcher.join()
        memory.append(peak[0])
        assert status == 0, f"gradskew bench ended with status {status}"
        shutil.rmtree(out)
    rounds = 72 * Run().rounds
    print(f"| default bench (9 attacks x 8 rules x 60 rounds), all cores | {spread(seconds)} s |")
    print(f"| rounds per second, start-up included | {rounds / statistics.median(seconds):.0f} |")
    print(f"| peak memory of all processes (proportional set size) | {max(memory):.0f} MB |")


def watch(process: subprocess.Popen[bytes], peak: list[float]) -> None:
    """Keep the largest sum of the proportional set sizes of a process and its children, in MB."""
    while process.poll() is None:
        pids = [process.pid]
        for pid in pids:  # the list grows while it is read: children of children
            try:
                pids += [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
            except OSError:
                continue
        peak[0] = max(peak[0], sum(map(resident, pids)))
        time.sleep(0.2)


def resident(pid: int) -> float:
    """Proportional set size in MB: shared pages are divided among those who share them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def compare(name: str, run: Run) -> None:
    """Rounds of the unattacked federation, ours against the plain way, alternating."""
    run = replace(run, rounds=ROUNDS)
    torch.set_num_threads(1)
    simulate(replace(run, rounds=1))
    plain_fedavg(run, 1)
    pairs = [(timed(lambda: simulate(run)), timed(lambda: plain_fedavg(run, ROUNDS))) for _ in range(REPEATS)]
    ours, plain = zip(*pairs, strict=True)
    ratio = [b / a for a, b in pairs]
    print(f"| {name}: {ROUNDS} rounds, ours | {spread(ours)} s |")
    print(f"| {name}: {ROUNDS} rounds, plain PyTorch | {spread(plain)} s |")
    print(f"| {name}: times as fast, pair by pair | {spread(ratio)} |")


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
