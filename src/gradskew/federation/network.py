"""The network of a run before the first round."""

from __future__ import annotations

import torch
from torch import Tensor

from ..aggregators import Aggregator
from ..core.errors import InputError, check, warn
from ..core.importing import with_place
from ..core.names import nested
from ..core.randomness import torch_seed
from ..data import Dataset
from ..models import Flat, check_stacks, initial
from .clients import resolve
from .evaluation import scores_of
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


def check_outputs(run: Run, flat: Flat, dataset: Dataset) -> None:
    """Raise InputError if the network fails on training inputs; print a line if its scores are a softmax already.

    That is, not negative and with the sum 1: the loss takes their softmax.
    """
    try:
        scores = scores_of(flat, dataset, torch.arange(min(8, len(dataset.train)))).double()
    except Exception as error:  # whatever a user's network raises
        raise InputError(f"the model {run.model.name} fails on training inputs: {with_place(error)}") from error
    if LOSSES[run.loss].by_class and (scores >= 0).all() and (scores.sum(1) - 1).abs().max() < 1e-4:
        warn(f"gradskew: {run.model.name} returns probabilities, and the loss takes their softmax again: return scores")


def draw_params(run: Run, dataset: Dataset) -> Tensor:
    """Return the initial parameters (d,) of a run under another seed, which follows from its own."""
    seed = torch_seed(run.seed, "other model")
    return _initial(run, dataset, seed).read_params()


def _initial(run: Run, dataset: Dataset, seed: int) -> Flat:
    aggregated = run.buffers == "aggregated"
    return initial(run.model, dataset.shape, run.outputs, seed, aggregated, run.device, scores=run.scores)
