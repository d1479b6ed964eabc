"""What a search of an attack costs that calls the rule many times in each round."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

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
LEAST = 4  # fewest tries that are proposed
SLOW = 1.0  # seconds of a round from which on a search is worth a sentence


@dataclass(frozen=True)
class SearchCost:
    """The search of a run. calls: of the rule in a round. seconds: of one call on random rows of the run's size.

    of_all: seconds of all runs with such searches, if it is one of several; the runs of a cell count as its first.
    """

    run: Run
    calls: int
    seconds: float
    of_all: float | None = None

    @property
    def a_round(self) -> float:
        """Seconds of a round."""
        return self.calls * self.seconds

    @property
    def a_run(self) -> float:
        """Seconds of a run."""
        return self.a_round * self.run.rounds

    @property
    def sentence(self) -> str:
        """What the search costs, and how to make it shorter."""
        attack, rule = self.run.attack.name, self.run.aggregator.name
        option = self.run.attack.limited_by
        few = FEWER if self.calls > 2 * FEWER else self.calls // 2
        told = (
            f"{attack} calls {rule} about {self.calls} times a round: about {self.a_round:.0f} s a round and "
            f"{_minutes(self.a_run)} a run"
        )
        if self.of_all is not None:
            told += f", {_minutes(self.of_all)} of all runs with such searches"
        if few < LEAST:
            return f"{told}."
        also = " (worst takes it, too)" if option == "limit" else ""
        return f"{told}; its option {option}{also} makes fewer tries, such as {option}={few}."


def slowest(runs: Sequence[Run]) -> SearchCost | None:
    """Return the search of these runs that takes longest, if it takes more than a second a round; None for none."""
    found: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        if run.attack.calls(run.aggregator):
            found.setdefault((run.attack.name, run.aggregator.name), []).append(run)
    searches, of_all = [], 0.0
    for alike in found.values():
        with computing(alike[0]):
            searches.append(_measured(alike[0]))
        of_all += searches[-1].a_run * len(alike)
    longest = max(searches, key=lambda search: search.a_round, default=None)
    if longest is None or longest.a_round <= SLOW:
        return None
    return replace(longest, of_all=of_all) if sum(map(len, found.values())) > 1 else longest


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"


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
        except Exception:  # whatever a user's rule raises: its run says so
            break
        seconds, draws = time.perf_counter() - start, not torch.equal(before, rng.get_state())
    return SearchCost(run, run.attack.calls(rule, draws=draws), seconds)


def _votes(run: Run) -> Votes:
    """Return what answers a rule that asks for the clients' losses, as long as in the run."""
    data = run.source.load().to(run.device)
    parts, _ = deal(run, data)
    return Votes(make_network(run, data), data, parts, LOSSES[run.loss], 0)
