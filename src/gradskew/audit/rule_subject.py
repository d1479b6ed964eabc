"""The rule of an audit's checks and its federation: how a check calls it, once or with several draws."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from ..aggregators import Aggregator, UserRule
from ..aggregators.base import check_shape
from ..core.calling import bind_arguments
from .checks import BUDGET, Subject, attempt, gaussian, made_round

FEWEST, MOST = 4, 32  # draws of a check: a rule that gives one result in the fewest draws nothing


@dataclass(frozen=True)
class RuleSubject(Subject):
    """A rule and its federation. rows: (n, d). seed: of what the rule draws."""

    input: ClassVar[str] = "its rows"
    remembers: ClassVar[str] = "its result depends on earlier calls"
    method: Aggregator
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "f", min(self.f, self.method.max_f(self.n)))

    @property
    def rows(self) -> Tensor:
        return gaussian(self.n)

    def f_of(self, n: int) -> int:
        return min(max(1, round(n * self.f / self.n)), self.method.max_f(n))

    def call_in_place(self, rows: Tensor, f: int | None = None, method: Aggregator | None = None) -> Tensor:
        rule, f = method or self.fresh(), self.f if f is None else f
        if isinstance(rule, UserRule):
            aggregate: Tensor = rule.call(rows, {"f": f}, seed=self.seed)
        else:
            drawn = torch.Generator().manual_seed(self.seed)
            aggregate = rule(rows, f, generator=drawn, round=made_round(rows) if rule.needs else None)
        check_shape(f"{self.method.name} must return the aggregate (d,): it", aggregate, rows.shape[1])
        return aggregate

    def draws(self, rows: Tensor) -> list[Tensor | str]:
        """Return the result on some rows, or its error, for several seeds; for FEWEST if these are the same bits.

        Fewer if they take long: none begins after BUDGET seconds.
        """
        results: list[Tensor | str] = []
        started = time.perf_counter()
        while not results or (len(results) < MOST and time.perf_counter() - started < BUDGET):
            results.append(attempt(partial(replace(self, seed=len(results)), rows)))
            if len(results) == FEWEST and all(map(partial(_are_same, results[0]), results)):
                break
        return results

    @property
    def takes_f(self) -> bool:
        """Return whether the rule gets f."""
        if not isinstance(self.method, UserRule):
            return True
        args, named = bind_arguments(copy.deepcopy(self.method).target, None, {"f": self.f})
        return len(args) > 1 or "f" in named


def _are_same(first: Tensor | str, other: Tensor | str) -> bool:
    if isinstance(first, str) or isinstance(other, str):
        return isinstance(first, str) and first == other
    return bool(((first == other) | (first.isnan() & other.isnan())).all())
