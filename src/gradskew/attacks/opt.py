from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from ..core.columns import median, moments
from ..core.errors import check, check_choice, check_number
from ..core.rows import Rows
from .answers import Answer
from .base import Attack, Forgery, View
from .strength import Curve, Found, grid_search, line_search
from .trials import Trials

TRIES = {"grid": 120, "epfl": 16, "byzfl": 20}
SIGNS = {"plus": (1,), "minus": (-1,), "both": (1, -1)}


@dataclass(frozen=True, kw_only=True)
class Opt(Attack):
    """Send mean + tau p, with the strength tau that does most against the server's rule, found by trials of it.

    p: `std`, `ipm` (-mean), `unit` (-mean / |mean|), `sign` (-sign(mean)), `skew` (median - mean) or `ones`. objective,
    R the aggregate: `distance`, the largest |R - mean|; `progress`, the least <R, mean>; `selected`, the largest |tau|
    with the largest Byzantine weight, or `distance` for a rule without weights. sides: the signs of tau; None means
    `both` for std, skew and ones, else `plus`. cap: the row is at most cap times as far from the mean as the farthest
    honest one. search: `grid`, or the line searches of other code (`byzfl`, `epfl`). tries: None means 120, 20 and 16.

    >>> from gradskew import aggregators
    >>> from gradskew.attacks import Context
    >>> honest = torch.tensor([[0.0], [1.0], [2.0], [3.0], [10.0]])
    >>> context = Context(round=0, params=honest[0], rule=aggregators.make("median"), clients=range(5), f=2)
    >>> round(Opt().explain(honest, honest[:2], context=context).notes["objective"], 4)  # the median falls to 1
    2.2
    """

    key: ClassVar[str] = "opt"
    title: ClassVar[str] = "optimised strength"
    source: ClassVar[str] = "Shejwalkar and Houmansadr, NDSS 2021"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"byzfl": {"search": "byzfl"}}
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "optlie": {"p": "std"},
        "optipm": {"p": "ipm"},
        "agr": {"objective": "selected"},
        "optimal_a_little_is_enough": {"p": "std"},
        "optimal_inner_product_manipulation": {"p": "ipm"},
    }
    titles: ClassVar[Mapping[str, str]] = {"optipm": "optimised IPM", "agr": "AGR-tailored"}
    tries_rule: ClassVar[bool] = True
    limited_by: ClassVar[str] = "tries"
    p: str = "std"
    objective: str = "distance"
    sides: Literal["plus", "minus", "both"] | None = None
    cap: float = 1000.0
    search: str = "grid"
    tries: int | None = None

    def __post_init__(self) -> None:
        check_choice("p", self.p, ("std", "ipm", "unit", "sign", "skew", "ones"))
        check_choice("objective", self.objective, ("distance", "progress", "selected"))
        check_choice("search", self.search, tuple(TRIES))
        if self.sides is not None:
            check_choice("sides", self.sides, tuple(SIGNS))
        check_number("cap", self.cap, above=0, at_most=1e6)
        if self.tries is not None:
            check_number("tries", self.tries, at_least=4, at_most=1_000_000, whole=True)
        plain = self.search == "grid" or (self.sides in (None, "plus") and self.cap == Opt.cap)
        check(plain, f"sides and cap belong to search=grid: search={self.search} looks at the plus side, without a cap")

    def calls(self, rule: Any, *, draws: bool = False) -> int:
        return 0 if rule.batched == "span" else TRIES[self.search] if self.tries is None else self.tries

    def forge(self, view: View) -> Forgery:
        trials = Trials(view)
        direction = self._direction(view.honest, trials.mean)
        ask = trials.along(direction)
        goal, asked = self.objective, 0
        if goal == "selected":
            (share,) = ask([0.0], Answer.share)
            goal, asked = ("distance" if share == -math.inf else "selected"), 1
        wanted = {"distance": trials.distance, "progress": _backwards, "selected": Answer.share}[goal]

        def objective(strengths: Sequence[float]) -> list[float]:
            return ask(strengths, wanted)

        tries = (TRIES[self.search] if self.tries is None else self.tries) - asked
        found = self._search(objective, trials.radius, direction, tries, outward=goal == "selected")
        value = -found.value if goal == "progress" else found.value
        notes = {
            "tau": found.strength,
            "objective": value if math.isfinite(value) else None,
            "unbounded": found.unbounded,
            "tries": found.tries + asked,
        }
        notes |= {"failed_tries": trials.failed} if trials.failed else {}
        row = trials.row(direction, found.strength)
        return Forgery(row.expand(view.f, -1), notes)

    def _direction(self, honest: Rows, mean: Tensor) -> Tensor:
        """Return p: (d,) float64."""
        if self.p == "skew":
            return median(honest, dtype=torch.float64) - mean
        if self.p != "std":
            norm = torch.linalg.vector_norm(mean)
            return {
                "ipm": -mean,
                "unit": -mean / norm if norm > 0 else mean,
                "sign": -mean.sign(),
                "ones": torch.ones_like(mean),
            }[self.p]
        std = torch.empty_like(mean)
        for part, block in honest.blocks():
            std[part] = moments(block)[1]
        return std

    def _search(self, objective: Curve, radius: float, direction: Tensor, tries: int, *, outward: bool) -> Found:
        """Return the strength found. radius: distance from the mean to the farthest honest row."""
        length = float(torch.linalg.vector_norm(direction))
        if length == 0 or radius == 0:  # of equal rows the farthest is at the mean
            return Found(0.0, objective([0.0])[0], 1, False)
        if self.search == "grid":
            sides = self.sides or ("both" if self.p in ("std", "skew", "ones") else "plus")
            return grid_search(objective, radius / length, self.cap, SIGNS[sides], tries, outward=outward)
        start = 1.0 if self.p == "ipm" else 0.0  # they search epsilon, and the row -epsilon mean is tau = epsilon + 1
        step, returns = (1.0, True) if self.search == "epfl" else (10.0, False)
        found = line_search(lambda points: objective([point + start for point in points]), step, tries, returns=returns)
        return replace(found, strength=found.strength + start)


def _backwards(answer: Answer) -> Tensor:
    return -answer.progress()
