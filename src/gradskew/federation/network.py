"""The network of a run before the first round."""

from __future__ import annotations

from torch import Tensor

from ..aggregators import Aggregator
from ..core.errors import check
from ..core.names import nested
from ..core.randomness import torch_seed
from ..data import Dataset
from ..models import Flat, check_stacks, initial
from .clients import resolve
from .held_out import for_evaluation
from .loss import LOSSES
from .run import Run


def make_network(run: Run, dataset: Dataset) -> Flat:
    """Build the network of a run, drawn from its seed; InputError if it cannot be trained by the engine of the run."""
    LOSSES[run.loss].check_data(for_evaluation(run, dataset))
    run.model.check_data(dataset)
    flat = _initial(run, dataset, torch_seed(run.seed, "model"))
    run.model.check_network(flat.module, dataset)
    uneven = (
        f"{run.local.name} needs even numbers of steps, and the batch norm of {run.model.name} skips single samples"
    )
    check(not (run.local.remembers and flat.has_batch_norm), uneven)
    for rule in nested(run.aggregator):
        if isinstance(rule, Aggregator):
            rule.check_setting(n=run.num_sampled, buffers=run.buffers == "aggregated" and flat.b > 0)
    if resolve(run.engine, run.model, run.device) == "batched":
        check_stacks(flat, run.model.name, dataset.shape, run.scores)
    return flat


def draw_params(run: Run, dataset: Dataset) -> Tensor:
    """Return the initial parameters (d,) of a run under another seed, which follows from its own."""
    seed = torch_seed(run.seed, "other model")
    return _initial(run, dataset, seed).read_params()


def _initial(run: Run, dataset: Dataset, seed: int) -> Flat:
    aggregated = run.buffers == "aggregated"
    return initial(run.model, dataset.shape, run.outputs, seed, aggregated, run.device, scores=run.scores)
