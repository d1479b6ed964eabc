"""Time local training as a multiple of one plain PyTorch loop over the same batches in the same run.

    python benchmarks/training.py [--device cpu] [--precision bf16] [--threads 1] [--repeats 5] [--models mlp,cnn]

Prints a Markdown table: client-epochs per second, GFLOP/s and their share of a matrix product's on as many threads, and
the time as a multiple of the plain loop's. That loop trains one module with `torch.optim.SGD` and `clip_grad_norm_` on
as many batches of the same size, which lie ready in float32: no clients, no order, no bytes. Repeats alternate.
"""

from __future__ import annotations

import argparse
import copy
import platform
import statistics
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_
from torch.utils.flop_counter import FlopCounterMode

from gradskew import models
from gradskew.core.numerics import float32_products
from gradskew.data import Dataset, Split
from gradskew.federation.clients import ENGINES, Shard, Training
from gradskew.federation.optimizer import SGD
from gradskew.models import initial
from timing import Work, alternate


@dataclass(frozen=True)
class Case:
    """A network and its federation: so many clients, with so many full batches each."""

    model: str
    shape: tuple[int, ...]
    classes: int
    batch: int
    clients: int
    batches: int


CASES = [
    Case("mlp(hidden=32)", (8, 8), 10, batch=16, clients=50, batches=4),
    Case("mlp(hidden=100)", (28, 28), 10, batch=32, clients=20, batches=8),
    Case("cnn", (3, 32, 32), 10, batch=32, clients=4, batches=8),
    Case("alexnet", (3, 32, 32), 10, batch=128, clients=2, batches=4),
    Case("resnet18(norm=group,width=16)", (3, 64, 64), 12, batch=32, clients=2, batches=2),
    Case("femnist_cnn", (28, 28), 62, batch=128, clients=4, batches=2),
]
SIZE = 2048  # of the square matrices whose product is the yardstick


class Bench:
    """One case on one device, in one precision."""

    def __init__(self, case: Case, device: str, precision: str):
        self.case, self.sgd = case, SGD(batch=case.batch)
        self.model = models.make(case.model)
        generator = torch.Generator().manual_seed(0)
        size = case.batches * case.batch
        images = torch.randint(256, (case.clients * size, *case.shape), generator=generator).to(torch.uint8)
        labels = torch.randint(case.classes, (len(images),), generator=generator)
        split = Split(images, labels)
        self.dataset = Dataset(split, split, case.classes, scale=torch.tensor(1 / 128)).to(device)
        parts = torch.arange(len(images)).split(size)
        self.shards = [Shard(client, part, labels[part]) for client, part in enumerate(parts)]
        self.flat = initial(self.model, case.shape, case.classes, 0, device=device)
        self.training = Training(self.flat, self.dataset, self.sgd, seed=0, precision=precision)
        self.params = self.flat.read_params()
        self.updates = self.params.new_empty(case.clients, self.flat.d)
        self.inputs = self.dataset.inputs(self.dataset.train.inputs)
        self.net = copy.deepcopy(self.flat.module)
        self.start = copy.deepcopy(self.net.state_dict())

    def train(self, engine: str) -> None:
        self.flat.bind(self.params)
        ENGINES[engine](self.training, self.params, self.shards, 0, self.updates)
        synchronise(self.params)

    def plain(self) -> None:
        """One module, one optimiser, the same number of batches."""
        net, sgd = self.net.train(), self.sgd
        net.load_state_dict(self.start)
        optimiser = torch.optim.SGD(net.parameters(), sgd.lr, sgd.momentum, weight_decay=sgd.weight_decay)
        labels = self.dataset.train.labels
        for inputs, wanted in zip(self.inputs.split(sgd.batch), labels.split(sgd.batch), strict=True):
            optimiser.zero_grad()
            with self.training.casting():
                scores = net(inputs)
            cross_entropy(scores.float(), wanted).backward()
            clip_grad_norm_(net.parameters(), sgd.clip)
            optimiser.step()
        synchronise(self.params)

    def flops(self) -> int:
        """Floating-point operations of all batches, forward and backward."""
        with FlopCounterMode(display=False) as counter:
            self.flat.module.train()(self.inputs[: self.case.batch]).sum().backward()
        return counter.get_total_flops() * self.case.batches * self.case.clients


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32", choices=("float32", "tf32", "bf16"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--models", help="only the models whose name starts with one of these, comma-separated")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    wanted = tuple((arguments.models or "").split(","))
    where = torch.cuda.get_device_name(arguments.device) if "cuda" in arguments.device else platform.machine()
    print(f"{where}, torch {torch.__version__}, {arguments.precision}, {arguments.threads} thread(s);")
    print(f"median and range of {arguments.repeats} alternating repeats\n")
    print("| model | images, batch | engine | client-epochs / s | GFLOP/s | of a product | x plain loop (range) |")
    print("|---|---|---|---|---|---|---|")
    for case in CASES:
        if case.model.startswith(wanted):
            with float32_products(arguments.device, tf32=arguments.precision == "tf32"):
                rows(Bench(case, arguments.device, arguments.precision), arguments.repeats)


def rows(bench: Bench, repeats: int) -> None:
    case = bench.case
    engines = [name for name in ENGINES if name == "loop" or bench.model.batched]
    square = torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(0)).to(bench.params.device)
    trainings: list[Work] = [lambda name=name: bench.train(name) for name in engines]
    product, plain, *ours = alternate([lambda: synchronise(square @ square), bench.plain, *trainings], repeats)
    flops, peak = bench.flops() / 1e9, 2 * SIZE**3 / statistics.median(product) / 1e9
    for engine, seconds in zip(engines, ours, strict=True):
        ratios = [b / a for a, b in zip(plain, seconds, strict=True)]
        took = statistics.median(seconds)
        shape = " x ".join(map(str, case.shape))
        cells = [case.model, f"{shape}, {case.batch}", engine, f"{case.clients / took:.1f}", f"{flops / took:.0f}"]
        cells += [f"{100 * flops / took / peak:.0f} %"]
        cells += [f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"]
        print(f"| {' | '.join(cells)} |", flush=True)


def synchronise(tensor: Tensor) -> None:
    if tensor.is_cuda:
        torch.cuda.synchronize(tensor.device)


if __name__ == "__main__":
    main()
