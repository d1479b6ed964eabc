"""Estimate the memory that a run takes, and raise before it starts if the machine has less.

The estimate covers libraries, data, rows and local training. It leaves out the activations of a batch, which are few
for dense networks, and the largest part for deep convolutional networks with large batches.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch

from ..core import machine
from ..core.errors import check
from ..core.rows import WIDE
from ..data import Split
from ..models import num_parameters
from ..models.stacking import trains_as_chain
from .clients import resolve
from .local import Plain
from .run import Run

FLOAT, DOUBLE, MB = 4, 8, 1 << 20  # bytes
VECTORS = 8  # vectors (d,): the model, its copies in snapshots, the honest mean, the aggregate
PROBED = 13  # vectors (d,): a client's gradient, and float64 ones of the mean and the directions
SQUARES = 8  # float64 matrices (n, n) at a time, of distances and inner products
FIRST_USE = 50 * MB  # that torch allocates at its first computation
COMPILER = 120 * MB  # of numba with the compiled kernels, once imported


@dataclass(frozen=True)
class Memory:
    """The peak memory of one process in bytes, without activations."""

    libraries: int
    data: int
    validation: int
    rows: int
    distances: int
    training: int
    rule: int
    attack: int
    state: int

    @property
    def parts(self) -> dict[str, int]:
        """The bytes of each part by name, the largest first."""
        names = {"rows": "rows of updates", "distances": "distances between them", "rule": "for the rule"}
        names["validation"] = "of validation data"
        names |= {"attack": "for the attack", "state": "for what clients remember"}
        parts = {names.get(key, key): size for key, size in vars(self).items()}
        return dict(sorted(parts.items(), key=lambda part: -part[1]))

    @property
    def total(self) -> int:
        return sum(self.parts.values())


def estimate(run: Run) -> Memory:
    """Return the estimated peak memory of a process that executes the run, in bytes."""
    data, n = run.source.load(), run.num_sampled
    row = FLOAT * num_parameters(run.model, data.shape, run.outputs)
    inputs = FLOAT * min(run.sgd.batch, len(data.train)) * data.entries
    # Parameters, gradients and momenta; autograd's gradients (batched, not written out); parameters cast to bf16.
    batched = resolve(run.engine, run.model, run.device) == "batched"
    by_autograd = batched and not trains_as_chain(run.model, data.shape, run.outputs)
    vectors = 3 + by_autograd + (run.precision == "bf16") + run.local.remembers
    # Twice what all clients that have taken part remember, as a checkpoint is made in memory; once what the last round
    # replaced, which a snapshot still has; and the offsets of SCAFFOLD's steps in a round.
    taken, trained = min(run.clients, n * run.rounds), n + run.trains_reference
    remembered = 2 * taken + trained * (1 + run.local.remembers) if run.remembers else 0
    tries_columns = run.attack.tries_rule and run.aggregator.batched == "columns"  # many of them at once
    return Memory(
        libraries=_libraries(numba=tries_columns or (row * n >= FLOAT * WIDE and not _on_gpu(run))),
        data=_size(data.train) + _size(data.test) + DOUBLE * (len(data.train) + 2 * run.clients),
        validation=round(run.validation * _size(data.train)),
        rows=(n + run.trains_reference + n * run.attack.tries_rule) * row,
        distances=SQUARES * DOUBLE * n * n,
        rule=round(run.aggregator.extra_rows(n, run.clients) * row),
        attack=run.attack.extra_rows(min(run.num_byzantine, n)) * row,
        state=remembered * row,
        training=(VECTORS + PROBED * run.probe + run.server.vectors) * row
        + (run.num_together if batched else 1) * (vectors * row + 2 * inputs),
    )


def _libraries(*, numba: bool) -> int:
    """Return the bytes of this process before its first run, plus those of numba if a run imports it."""
    resident, imported = _baseline()
    compiles = "numba" not in imported and (numba or "numba" in sys.modules)
    return resident + FIRST_USE + COMPILER * compiles


@cache
def _baseline() -> tuple[int, frozenset[str]]:
    """Return the resident bytes and the imported modules of this process at the first call."""
    return machine.resident(), frozenset(sys.modules)


def capacity(device: str) -> machine.Memory:
    """Return the memory of the GPU, or that which this process may use of the machine; unlimited if unknown."""
    if torch.device(device).type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return machine.Memory(int(total), int(free))
    return machine.memory() or machine.Memory(sys.maxsize, sys.maxsize)


def check_fits(runs: Sequence[Run], workers: int = 1) -> None:
    """Raise InputError if `workers` processes with the largest run each need more memory than the machine has."""
    if not runs:
        return
    run, memory = _largest(runs)
    most, options = capacity(run.device).total, less_memory(run)
    options += f", workers = {workers // 2} halves all" if workers > 1 else ""
    has = f"the {run.device} device has" if _on_gpu(run) else "there are"
    message = f"out of memory on {run.device} before it starts: {describe(memory, workers)}; {has} {_gb(most)}"
    check(_total_bytes(run, memory, workers) <= most, f"{message}: {options}")


def summary(runs: Sequence[Run], workers: int | None = 1) -> str:
    """Return a sentence on the memory that the largest run needs and on what is free; runs must not be empty.

    workers: None means a Ray cluster, whose memory is not known here.
    """
    run, memory = _largest(runs)
    if workers is None:
        return f"A{describe(memory)[1:]} for each run."
    text, free = f"A{describe(memory, workers)[1:]}", capacity(run.device).free
    if _total_bytes(run, memory, workers) > free:
        return f"{text}; only {_gb(free)} are free now: it may be killed, or swap. Less: {less_memory(run)}."
    return f"{text}; {_gb(free)} are free." if memory.total >= 1e9 else f"{text}."


def describe(memory: Memory, workers: int = 1) -> str:
    """Return the amount as text, and from 1 GB on the up to three largest parts."""
    text = f"about {_gb(memory.total)} of memory" + (f" for each of {workers} workers" if workers > 1 else "")
    if memory.total < 1e9:
        return text
    large = [f"{_gb(size)} {name}" for name, size in memory.parts.items() if size >= 0.05 * memory.total]
    return f"{text} ({', '.join(large[:3])})"


def less_memory(run: Run) -> str:
    """Return the options that reduce the memory of a run, each with a value, as text."""
    hints = []
    if resolve(run.engine, run.model, run.device) == "batched":
        hints.append("engine = loop trains one client at a time")
    if run.sgd.batch > 1:
        hints.append(f"batch = {run.sgd.batch // 2} halves the activations")
    if run.remembers:
        least = run.num_byzantine + 1 if run.sampled is None else run.num_sampled
        if run.clients > least:
            hints.append(f"clients = {max(run.clients // 2, least)} remember less")
        nothing = f"local = {Plain.key}" if run.local.remembers else "worker_momentum = 0"
        hints.append(f"{nothing} remembers nothing")
    if run.num_sampled > 1:
        hints.append(f"sampled = {run.num_sampled // 2} halves the rows of updates")
    return ", ".join(hints) or "take a smaller model or data set"


def _largest(runs: Sequence[Run]) -> tuple[Run, Memory]:
    """Return the run with the largest estimate, and the estimate."""
    return max(((run, estimate(run)) for run in runs), key=lambda pair: pair[1].total)


def _total_bytes(run: Run, memory: Memory, workers: int) -> int:
    """Return the bytes of all workers, which share the mapped data; on a GPU, those of one without the libraries."""
    return memory.total - memory.libraries if _on_gpu(run) else memory.data + workers * (memory.total - memory.data)


def _on_gpu(run: Run) -> bool:
    return torch.device(run.device).type == "cuda"


def _size(split: Split) -> int:
    return sum(tensor.nbytes for tensor in split.tensors.values())


def _gb(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"
