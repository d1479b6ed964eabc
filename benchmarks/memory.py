"""Estimated memory against the measured peak, and what a great many clients cost. `python benchmarks/memory.py`.

Each case is played by a process of its own. `--data` is a folder of CIFAR-10, decoded once before; seconds are those of
the processor, of one thread.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch

from gradskew import CIFAR10, CNN, IID, MLP, SGD, AlexNet, Dirichlet, ResNet18, Run, aggregators, attacks, simulate
from gradskew.core import machine
from gradskew.data import Dataset, Source, Split
from gradskew.data.partition import ByWriter
from gradskew.federation.computing import computing
from gradskew.federation.memory import estimate
from gradskew.federation.rounds import Federation


@dataclass(frozen=True, kw_only=True)
class Noise(Source):
    """Bytes drawn at random, and labels of ten classes; every image has one of so many writers."""

    key: ClassVar[str] = "noise"
    side: int = 28
    train: int = 20_000
    writers: int = 1

    def read(self) -> Dataset:
        rng = torch.Generator().manual_seed(0)
        images = torch.randint(256, (self.train + 500, self.side, self.side), generator=rng, dtype=torch.uint8)
        labels = torch.randint(10, (len(images),), generator=rng)
        writers = torch.arange(len(images)) % self.writers
        train, test = (
            Split(images[part], labels[part], writers[part]) for part in (slice(self.train), slice(self.train, None))
        )
        return Dataset(train, test, 10, scale=torch.tensor(1 / 255))


def cases(data: Path | None) -> dict[str, Run]:
    one = SGD(epochs=1, batch=32, lr=0.05)
    found = {"digits": Run(rounds=2), "digits, no lens": Run(rounds=2, lens=False)}
    small = Run(source=Noise(), partition=IID(), model=MLP(hidden=100), sgd=one, rounds=2)
    found["28 x 28, mlp(100), 50 clients"] = small
    if data is not None:
        cifar = Run(
            source=CIFAR10(folder=data, train_size=5000, test_size=2000), partition=Dirichlet(), sgd=one, rounds=2
        )
        found |= {
            "CIFAR-10, cnn, 50 clients": replace(cifar, model=CNN()),
            "CIFAR-10, alexnet, batch 128, 50 clients": replace(cifar, model=AlexNet(), sgd=replace(one, batch=128)),
            "CIFAR-10, alexnet, bf16, 50 clients": replace(cifar, model=AlexNet(), precision="bf16"),
            "CIFAR-10, resnet18, 10 clients": replace(
                cifar, model=ResNet18(stem="cifar", width=32), clients=10, partition=IID()
            ),
        }
    pairs = ("none/mean", "lie/median", "strike/multikrum", "mimic/nnm+rfa", "minmax/dnc", "bitflip/mean")
    for n in (200, 1000):
        wide = replace(small, model=MLP(hidden=1258), clients=n, rounds=2 if n == 200 else 1)  # d = 1,000,120
        for pair in pairs:
            attack, rule = pair.split("/")
            run = replace(wide, attack=attacks.make(attack), aggregator=aggregators.make(rule))
            found |= {f"d = 10^6, n = {n}, {pair}": run}
            found |= {f"d = 10^6, n = {n}, {pair}, no lens": replace(run, lens=False)}
    found["d = 10^6, n = 200, strike/mean, knows half"] = replace(
        wide, clients=200, knowledge=0.5, attack=attacks.make("strike")
    )
    found["d = 10^6, n = 200, bf16, none/mean"] = replace(wide, clients=200, precision="bf16")
    found["d = 10^6, n = 200, loop, none/mean"] = replace(wide, clients=200, engine="loop")
    return found


def play(run: Run) -> dict[str, float]:
    run.digest  # noqa: B018  (as the bench does: it reads the data)
    estimated = estimate(run)
    simulate(run)
    return {"estimated": estimated.total, "measured": machine.peak(), "rows": estimated.rows, "parts": estimated.parts}


def start(partition: str, clients: int) -> dict[str, float]:
    """A million images of 4 x 4 dealt to so many clients, of whom 50 train a round."""
    kinds: dict[str, Callable[[], Any]] = {
        "iid": IID,
        "dirichlet": lambda: Dirichlet(beta=5.0, min_samples=1),
        "writer": ByWriter,
    }
    source = Noise(side=4, train=1_000_000, writers=clients)
    run = Run(source=source, partition=kinds[partition](), clients=clients, sampled=50, rounds=1)
    imports = time.process_time()
    source.load()
    started = time.process_time()
    with computing(run):
        federation = Federation(run)
        ready = time.process_time() - started
        federation.round(0)
    parts = federation.parts
    size = parts.indices.nbytes + parts.edges.nbytes + parts.sizes.nbytes
    return {
        "imports": imports,
        "ready": ready,
        "round": time.process_time() - started - ready,
        "measured": machine.peak(),
        "index": size,
    }


def child(*given: str) -> dict[str, Any]:
    command = [sys.executable, __file__, *given]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", default="", help="cases with this in their name")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--start", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        print(json.dumps(play(cases(given.data)[given.case])))
        return
    if given.start:
        print(json.dumps(start(given.start[0], int(given.start[1]))))
        return
    data = ["--data", str(given.data)] if given.data else []
    print("| case | rows (MB) | estimate (MB) | measured peak (MB) | estimate / measured |\n|---|---|---|---|---|")
    for name in cases(given.data):
        if given.only in name:
            made = child("--case", name, *data)
            estimated, measured = made["estimated"], made["measured"]
            row = [
                name,
                *(f"{size / 1e6:,.0f}" for size in (made["rows"], estimated, measured)),
                f"{estimated / measured:.2f}",
            ]
            print(f"| {' | '.join(row)} |", flush=True)
            print(*(f"{k} {v / 1e6:.0f}" for k, v in made["parts"].items()), file=sys.stderr, flush=True)
    if not given.only or given.only == "start":
        print("\n| partition | clients | imports (s) | to the first round (s) | it (s) | index (MB) | peak (MB) |")
        print("|---|---|---|---|---|---|---|")
        for partition in ("iid", "dirichlet", "writer"):
            for clients in (1000, 100_000):
                made = child("--start", partition, str(clients))
                sizes = [f"{made[key] / 1e6:,.1f}" for key in ("index", "measured")]
                seconds = [f"{made[key]:.2f}" for key in ("imports", "ready", "round")]
                print(f"| {' | '.join([partition, f'{clients:,}', *seconds, *sizes])} |", flush=True)


if __name__ == "__main__":
    main()
