"""How much memory a run will take: said before it starts, refused where the machine has less.

The large parts follow from the spec; what libraries take is measured when this module is imported.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from ..core import machine
from ..core.errors import check
from ..core.randomness import drawing
from ..core.rows import WIDE
from ..data import Split
from ..models import Model, num_parameters
from ..skew.embedding import MOST
from .clients import resolve
from .computing import less_memory
from .run import Run

FLOAT, DOUBLE, MB = 4, 8, 1 << 20  # bytes
VECTORS = 8  # as long as a row: the model, its copies in snapshots, the honest mean, the aggregate
WARM = 50 * MB  # what torch takes when it first computes, beside what it computes on
COMPILER, SCIKIT = 120 * MB, 90 * MB  # numba with our kernels, and scikit-learn, once they are needed
IMPORTED = machine.resident()
TRIED = 1 << 30  # bytes of the largest network that is built to see what it takes
SQUARES, PICTURED = 8, 16  # float64 matrices (n, n) at once, for distances and for a picture


@dataclass(frozen=True)
class Memory:
    """Bytes that one process takes at its peak. Training, attack, rule and test take turns: the largest counts."""

    libraries: int
    data: int
    rows: int
    network: int
    training: int
    attack: int
    rule: int
    test: int

    @property
    def parts(self) -> dict[str, int]:
        """The parts that add up, the largest first."""
        turns = {"training": self.training, "attack": self.attack, "rule and lens": self.rule, "test": self.test}
        longest = max(turns, key=lambda name: turns[name])
        lasting = {"rows of updates": self.rows, "data": self.data, "libraries": self.libraries}
        every = {**lasting, "copies of the model": self.network, longest: turns[longest]}
        return dict(sorted(every.items(), key=lambda part: -part[1]))

    @property
    def total(self) -> int:
        return sum(self.parts.values())


def estimate(run: Run) -> Memory:
    """What a process that plays the run takes."""
    data = run.source.load()
    n, f = run.num_sampled, run.num_byzantine
    row = FLOAT * num_parameters(run.model, data.shape, data.num_classes)
    kernels = row * n >= FLOAT * WIDE and not _on_gpu(run)
    pictured = bool(run.pictured) and n <= MOST
    square = DOUBLE * n * n
    rule = run.aggregator.extra_rows(n, f) * row + square * (SQUARES + PICTURED * pictured)
    return Memory(
        libraries=IMPORTED + WARM + _imported("numba", kernels) * COMPILER + _imported("sklearn", pictured) * SCIKIT,
        data=_size(data.train) + _size(data.test) + DOUBLE * (len(data.train) + 2 * run.clients),
        rows=n * row,
        network=VECTORS * row,
        training=_training(run, row),
        attack=int(run.attack.extra_rows(f) * row),
        rule=int(rule + 2 * row * run.lens),
        test=_of_images(run, min(data.at_once, len(data.test))).test,
    )


def _imported(library: str, needed: bool) -> bool:
    """Whether a library that is imported where it is needed will be there, or is."""
    return needed or library in sys.modules


def _training(run: Run, row: int) -> int:
    """Parameters, gradients and momenta of the clients that train at once, and what autograd keeps of their batches."""
    data = run.source.load()
    batch = min(run.sgd.batch, len(data.train))
    half = run.precision == "bf16"
    kept = _of_images(run, batch).kept
    if resolve(run.engine, run.model, run.device) == "loop":
        return (3 + half) * row + kept
    return run.together * ((4 + half) * row + kept)


@dataclass(frozen=True)
class _Images:
    """Bytes that a batch of images takes in a network: `kept` for the backward pass with its own, `test` without."""

    kept: int
    test: int


def _of_images(run: Run, count: int) -> _Images:
    data = run.source.load()
    images = 2 * FLOAT * count * data.train.images[0].numel()
    kept, working = _activations(run.model, data.shape, data.num_classes)
    if run.precision == "bf16":
        kept /= 2
    return _Images(images + int(count * (kept + working)), images + int(count * working))


@lru_cache(maxsize=64)
def _activations(model: Model, shape: tuple[int, ...], num_classes: int) -> tuple[float, float]:
    """Bytes that autograd keeps of an image, and that a layer works on at most, as two images tell; else 0.

    A layer works on its input and output, and a convolution on its own copies of them, while the input of each module
    around it (a residual block) waits.
    """
    saved: dict[int, Tensor] = {}
    waiting: list[int] = []
    working = 0

    def pack(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    def enter(module: nn.Module, given: tuple[object, ...]) -> None:
        waiting.append(sum(tensor.nbytes for tensor in given if isinstance(tensor, Tensor)))

    def leave(module: nn.Module, given: object, output: object) -> None:
        nonlocal working
        entered, left = waiting.pop(), output.nbytes if isinstance(output, Tensor) else 0
        working = max(working, sum(waiting) + 2 * (entered + left))

    if FLOAT * num_parameters(model, shape, num_classes) > min(TRIED, there("cpu").total // 4):
        return 0, 0  # too large to be tried out
    with suppress(Exception), warnings.catch_warnings(), drawing(0), torch.enable_grad():
        warnings.simplefilter("ignore")
        network = model.build(shape, num_classes)
        own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
        for module in network.modules():
            module.register_forward_pre_hook(enter)
            module.register_forward_hook(leave)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            network(torch.zeros(2, *shape))
        return sum(t.untyped_storage().nbytes() for key, t in saved.items() if key not in own) / 2, working / 2
    return 0, 0


def there(device: str) -> machine.Memory:
    """The memory that this process may use: a GPU's, or the machine's; without end where the system does not tell."""
    if torch.device(device).type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return machine.Memory(int(total), int(free))
    return machine.memory() or machine.Memory(sys.maxsize, sys.maxsize)


def check_fits(runs: Sequence[Run], workers: int = 1) -> None:
    """Refuse runs that need more memory than the machine has, each of so many workers playing one."""
    for run, memory in _largest(runs):
        needed, most = _together(run, memory, workers), there(run.device).total
        options = less_memory(run) + (f", workers = {workers // 2} halves all" if workers > 1 else "")
        where = f"the {run.device} device has" if _on_gpu(run) else "there are"
        said = f"out of memory on {run.device} before it starts: {describe(memory, workers)}; {where} {_gb(most)}"
        check(needed <= most, f"{said}: {options}")


def foretell(runs: Sequence[Run], workers: int | None = 1) -> str:
    """One sentence on what the runs need, and on what is free now; runs must not be empty.

    workers: None means that each is played on a machine of its own choice, of which nothing is known here.
    """
    ((run, memory),) = _largest(runs)
    if workers is None:
        return f"A{describe(memory)[1:]} for each run."
    said, left = f"A{describe(memory, workers)[1:]}", there(run.device).free
    if _together(run, memory, workers) > left:
        return f"{said}; only {_gb(left)} are free now: it may be killed, or swap. Less: {less_memory(run)}."
    return f"{said}; {_gb(left)} are free." if memory.total >= 1e9 else f"{said}."


def describe(memory: Memory, workers: int = 1) -> str:
    """About how much, and the largest parts of it where it is much."""
    said = f"about {_gb(memory.total)} of memory" + (f" for each of {workers} workers" if workers > 1 else "")
    if memory.total < 1e9:
        return said
    large = [f"{_gb(size)} {name}" for name, size in memory.parts.items() if size >= 0.05 * memory.total]
    return f"{said} ({', '.join(large[:3])})"


def _largest(runs: Sequence[Run]) -> list[tuple[Run, Memory]]:
    """The run that takes most, if there is one."""
    estimates = [(run, estimate(run)) for run in runs]
    return [max(estimates, key=lambda pair: pair[1].total)] if estimates else []


def _together(run: Run, memory: Memory, workers: int) -> int:
    """What counts against the limit: workers share the data, which are mapped; a GPU holds all but the libraries."""
    return memory.total - memory.libraries if _on_gpu(run) else memory.data + workers * (memory.total - memory.data)


def _on_gpu(run: Run) -> bool:
    return torch.device(run.device).type == "cuda"


def _size(split: Split) -> int:
    tensors = [split.images, split.labels, *([] if split.writers is None else [split.writers])]
    return sum(tensor.nbytes for tensor in tensors)


def _gb(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"
