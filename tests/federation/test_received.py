"""The rows that a rule gets in a round, played again: those that the rule itself had seen, and nothing else changes."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from tiny_runs import BASE

from gradskew import attacks
from gradskew.aggregators import Median
from gradskew.federation.simulation import received, simulate


@dataclass(frozen=True, kw_only=True)
class Noting(Median):
    """The median, which keeps a copy of the rows of each call."""

    key: ClassVar[str] = "noting"
    calls: ClassVar[list[torch.Tensor]] = []

    def outcome(self, rows, f, generator):
        self.calls.append(rows.updates.clone())
        return super().outcome(rows, f, generator)


RUN = replace(BASE, attack=attacks.make("strike"), aggregator=Noting(), byzantine=2)


@pytest.mark.parametrize("number", [0, 2, 4])
@pytest.mark.parametrize("run", [RUN, replace(RUN, sampled=5)], ids=["all", "sampled"])
def test_the_rows_are_those_that_the_rule_got(run, number) -> None:
    Noting.calls.clear()
    whole = simulate(run)
    seen = list(Noting.calls)
    assert len(seen) == run.rounds == 5
    rounds: list[int] = []
    result, rows = received(run, number, on_round=lambda metrics: rounds.append(metrics["round"]))
    assert torch.equal(rows, seen[number])
    assert rows.dtype == torch.float32
    assert result.rounds == whole.rounds[: number + 1]
    assert rounds == list(range(number + 1))
    assert (result.params_sha256 == whole.params_sha256) == (number == 4)


def test_rows_that_are_not_finite_are_not_among_them() -> None:
    """Images 15 to 19 overflow float32, so that the last two of five clients have no row."""
    run = replace(RUN, source=replace(RUN.source, overflow=15), partition=replace(RUN.partition, sizes=(4, 4, 4, 4, 4)))
    Noting.calls.clear()
    result, rows = received(replace(run, clients=5), 0)
    assert result.rounds[0]["rejected"] == 2
    assert torch.equal(rows, Noting.calls[-1])
    assert len(rows) == 3
