"""Time a round of each variant of local training as a multiple of FedAvg's, in processor seconds.

    python benchmarks/variants.py [--repeats 15] [--rounds 4] [--models mlp,cnn]

Prints a Markdown table: the median and the range of the ratio over repeats, which alternate. Rounds are of a whole
federation under the plain mean: training, what clients remember, attack, rule and test, without the lens.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass, replace

import torch

from gradskew import IID, SGD, Run, models
from gradskew.federation.computing import computing
from gradskew.federation.rounds import Federation
from timing import alternate

VARIANTS = {
    "fedavg again": {},
    "fedprox(mu=0.01)": {"local": "fedprox(mu=0.01)"},
    "worker momentum 0.9": {"worker_momentum": 0.9},
    "fedadam": {"server": "fedadam"},
    "4 steps": {"sgd": "steps"},
    "scaffold, 4 steps": {"sgd": "steps", "local": "scaffold"},
}


@dataclass(frozen=True)
class Case:
    """A network and its federation on the digits: so many clients, in batches of 16."""

    model: str
    clients: int
    engine: str


CASES = [
    Case("mlp(hidden=32)", 50, "batched"),
    Case("mlp(hidden=32)", 50, "loop"),
    Case("mlp(hidden=2000)", 50, "batched"),
    Case("cnn", 20, "loop"),
]


class Rounds:
    """A federation whose rounds are played on and on."""

    def __init__(self, case: Case, changes: dict[str, object], rounds: int):
        plain = SGD(epochs=2, batch=16, lr=0.05)  # as the recipe of the digits
        run = Run(model=models.make(case.model), clients=case.clients, engine=case.engine, partition=IID(), lens=False)
        if changes.get("sgd") == "steps":
            changes = {**changes, "sgd": replace(plain, epochs=1, local_steps=4, momentum=0.0)}
        self.run = replace(run, **{"sgd": plain, "evaluate_every": 1000, "rounds": 10**6, **changes})
        self.federation, self.rounds, self.number = Federation(self.run), rounds, 0

    def __call__(self) -> None:
        with computing(self.run):
            for _ in range(self.rounds):
                self.federation.round(self.number)
                self.number += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--models", help="only the models whose name starts with one of these, comma-separated")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    wanted = tuple((arguments.models or "").split(","))
    print("| model, clients, engine | variant | x fedavg (range) |")
    print("|---|---|---|")
    for case in CASES:
        if case.model.startswith(wanted):
            works = [Rounds(case, changes, arguments.rounds) for changes in ({}, *VARIANTS.values())]
            plain, *others = alternate(works, arguments.repeats, clock=time.process_time)
            for name, seconds in zip(VARIANTS, others, strict=True):
                ratios = [b / a for a, b in zip(plain, seconds, strict=True)]
                span = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
                print(f"| {case.model}, {case.clients}, {case.engine} | {name} | {span} |", flush=True)


if __name__ == "__main__":
    main()
