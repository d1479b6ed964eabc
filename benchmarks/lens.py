"""What the lens costs: its part of a round, on the digits and at the paper's AlexNet. `python benchmarks/lens.py`.

The lens and the rest of each round are timed in the same run, in processor seconds: the figure is lens / rest.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from gradskew import CIFAR10, SGD, AlexNet, Dirichlet, Run, aggregators, attacks
from gradskew.federation.computing import computing
from gradskew.federation.lens import RoundLens
from gradskew.federation.rounds import Federation

CELLS = [("none", "mean"), ("lie", "dnc"), ("lie", "median"), ("strike", "multikrum"), ("strike", "nnm+rfa")]


class TimedLens(RoundLens):
    """A lens that notes how long it takes, in processor seconds."""

    seconds = 0.0

    def look(self, *args: Any) -> dict[str, Any]:
        started = time.process_time()
        try:
            return super().look(*args)
        finally:
            self.seconds = time.process_time() - started


def costs(run: Run) -> tuple[float, float]:
    """lens / rest: in the median round, and over the run with its pictures; the first round warms up."""
    lens, rest = [], []
    with computing(run):
        federation = Federation(run)
        federation.lens = timed = TimedLens(run)
        for t in range(run.rounds):
            started = time.process_time()
            federation.round(t)
            whole = time.process_time() - started
            lens.append(timed.seconds)
            rest.append(whole - timed.seconds)
    return median(a / b for a, b in zip(lens[1:], rest[1:], strict=True)), sum(lens[1:]) / sum(rest[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of CIFAR-10, for AlexNet")
    data = parser.parse_args().data
    bases = {"digits, MLP 32, 60 rounds": Run()}
    if data is not None:
        source = CIFAR10(folder=data, train_size=10_000, test_size=1000)
        sgd = SGD(epochs=1, batch=64, lr=0.1)
        alexnet = {"source": source, "model": AlexNet(), "sgd": sgd, "partition": Dirichlet()}
        bases["CIFAR-10, 10,000 images, AlexNet (d = 2,472,266), 4 rounds"] = Run(rounds=4, **alexnet)
    print("| federation | attack, rule | a round | the run, with pictures |\n|---|---|---|---|")
    for name, base in bases.items():
        for attack, rule in CELLS:
            methods = {"attack": attacks.make(attack), "aggregator": aggregators.make(rule)}
            usual, whole = costs(replace(base, **methods))
            print(f"| {name} | {attack}, {rule} | {100 * usual:.1f} % | {100 * whole:.1f} % |", flush=True)


if __name__ == "__main__":
    main()
