"""What a search of an attack costs that calls the rule many times in each round."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..core.errors import InputError
from ..models import num_parameters
from .run import Run

SLOW = 1.0  # seconds of a round from which on a search is worth a sentence


@dataclass(frozen=True)
class Search:
    """The search of a run. calls: of the rule in a round. seconds: of one call on random rows of the run's size."""

    run: Run
    calls: int
    seconds: float

    @property
    def sentence(self) -> str:
        """What the search costs, and how to make it shorter."""
        attack, rule = self.run.attack.name, self.run.aggregator.name
        cost = self.calls * self.seconds
        minutes = cost * self.run.rounds / 60
        return (
            f"{attack} calls {rule} about {self.calls} times a round: about {cost:.0f} s a round and {minutes:.0f} min "
            "a run; its option limit makes fewer tries, such as limit=50."
        )


def slowest(runs: Sequence[Run]) -> Search | None:
    """Return the search of these runs that takes longest, if it takes more than a second a round; None for none."""
    found = {(run.attack.name, run.aggregator.name): run for run in runs if run.attack.calls(run.aggregator)}
    searches = [_measured(run) for run in found.values()]
    longest = max(searches, key=lambda search: search.calls * search.seconds, default=None)
    return longest if longest is not None and longest.calls * longest.seconds > SLOW else None


def _measured(run: Run) -> Search:
    """Return the search of a run, with a call of its rule timed; 0 s where the rule fails on random rows."""
    data, n = run.source.load(), run.num_sampled
    d = num_parameters(run.model, data.shape, data.num_classes)
    rows = torch.randn(n, d, generator=torch.Generator().manual_seed(0))
    calls, seconds = run.attack.calls(run.aggregator), 0.0
    for _ in range(2):  # the first call may compile or import
        start = time.perf_counter()
        try:
            run.aggregator(rows, min(run.num_byzantine, run.aggregator.max_f(n)))
        except InputError:
            return Search(run, calls, 0.0)
        seconds = time.perf_counter() - start
    return Search(run, calls, seconds)
