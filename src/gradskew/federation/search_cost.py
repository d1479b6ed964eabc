"""What a search of an attack costs that calls the rule many times in each round."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..core.errors import InputError
from ..core.round import Layer, Round
from ..models import num_parameters
from .computing import computing
from .held_out import deal
from .loss import LOSSES
from .network import make_network
from .run import Run
from .votes import Votes

SPANNED = 10  # vectors of the span of a search besides the rows, about
FEWER = 50  # tries that are proposed
SLOW = 1.0  # seconds of a round from which on a search is worth a sentence


@dataclass(frozen=True)
class SearchCost:
    """The search of a run. calls: of the rule in a round. seconds: of one call on random rows of the run's size."""

    run: Run
    calls: int
    seconds: float

    @property
    def sentence(self) -> str:
        """What the search costs, and how to make it shorter."""
        attack, rule = self.run.attack.name, self.run.aggregator.name
        option = self.run.attack.limited_by
        few = FEWER if self.calls > 2 * FEWER else self.calls // 2
        cost = self.calls * self.seconds
        minutes = cost * self.run.rounds / 60
        return (
            f"{attack} calls {rule} about {self.calls} times a round: about {cost:.0f} s a round and {minutes:.0f} min "
            f"a run; its option {option} makes fewer tries, such as {option}={max(few, 4)}."
        )


def slowest(runs: Sequence[Run]) -> SearchCost | None:
    """Return the search of these runs that takes longest, if it takes more than a second a round; None for none."""
    found = {(run.attack.name, run.aggregator.name): run for run in runs if run.attack.calls(run.aggregator)}
    searches = []
    for run in found.values():
        with computing(run):
            searches.append(_measured(run))
    longest = max(searches, key=lambda search: search.calls * search.seconds, default=None)
    return longest if longest is not None and longest.calls * longest.seconds > SLOW else None


def _measured(run: Run) -> SearchCost:
    """Return the search of a run, with a call of its rule timed; 0 s where the rule fails on random rows."""
    data, n, rule = run.source.load(), run.num_sampled, run.aggregator
    d = num_parameters(run.model, data.shape, run.outputs)
    columns = min(d, n + SPANNED) if rule.isometric else d  # isometric rules are called on coordinates in the span
    rows = torch.randn(n, columns, generator=torch.Generator().manual_seed(0)).to(run.device)
    layers = {"weight": Layer(slice(0, columns), (1, columns))}
    examples = torch.ones(n, dtype=torch.int64)
    round = Round(
        clients=range(n),
        examples=examples,
        params=rows[0],
        layers=layers,
        reference=rows[1 % n],
        losses=_votes(run) if "losses" in rule.needs else None,
    )
    seconds, draws = 0.0, False
    for _ in range(2):  # the first call may compile or import
        rng = torch.Generator().manual_seed(0)
        before, start = rng.get_state(), time.perf_counter()
        try:
            rule(rows, min(run.num_byzantine, rule.max_f(n)), generator=rng, round=round).cpu()  # a GPU is waited for
        except InputError:
            break
        seconds, draws = time.perf_counter() - start, not torch.equal(before, rng.get_state())
    return SearchCost(run, run.attack.calls(rule, draws=draws), seconds)


def _votes(run: Run) -> Votes:
    """Return what answers a rule that asks for the clients' losses, as long as in the run."""
    data = run.source.load().to(run.device)
    parts, _ = deal(run, data)
    return Votes(make_network(run, data), data, parts, LOSSES[run.loss], 0)
