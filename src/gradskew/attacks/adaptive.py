from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.errors import check, check_choice, check_number
from ..core.rows import Given, Rows
from .base import Attack, Context, Forgery, View
from .bitflip import BitFlip
from .candidates import Scene
from .extreme import extreme_row
from .ipm import IPM
from .lie import LIE
from .minmax import MinMax
from .minsum import MinSum
from .queries import Queries, vectors_of
from .searching import Search, search_decoys, search_groups, search_lines
from .strike import STRIKE
from .thorough import (
    search_ascent,
    search_balanced,
    search_evolution,
    search_fixed,
    search_framing,
    search_own_parts,
)

AIMS = ("undo", "stop", "loss")
SMALLEST = 1e-300  # length that a vector is divided by
FAST, FULL = 330, 590  # tries of a round, about, without those of the evolution
EVERY = 5  # rounds after which effort=full tries the rows of the fixed attacks again


@dataclass(frozen=True, kw_only=True)
class Adaptive(Attack):
    """Search each round for the forged rows that move the rule's aggregate farthest against a direction u.

    u is a sum of unit vectors: minimise <aggregate - mean, u> over the forged rows. aim: a sum of `undo`, u = w^0 - w^t
    (the mean while they are equal), `stop`, u = the mean of the honest rows, and `loss`, u = the gradient of the loss
    at w^t - mean.

    data: the images of the loss, `all` of the known honest clients' or the Byzantine clients' `own`. cap: the largest
    distance of a forged row from the honest mean, as a multiple of the farthest honest row's; None for no bound.
    """

    key: ClassVar[str] = "adaptive"
    title: ClassVar[str] = "adaptive"
    source: ClassVar[str] = "this project; after Croce and Hein, ICML 2020 (AutoAttack)"
    tries_rule: ClassVar[bool] = True
    aim: str = "loss+stop"
    data: str = "all"
    cap: float | None = 3.0
    effort: str = "fast"
    tries: int = 200
    limit: int | None = None

    def __post_init__(self) -> None:
        parts = self.aim.split("+") if isinstance(self.aim, str) else []
        good = bool(parts) and set(parts) <= {*AIMS} and len(set(parts)) == len(parts)
        check(good, f"aim must be a sum of {', '.join(AIMS)}, such as loss+stop, not {self.aim!r}")
        check_choice("data", self.data, ("all", "own"))
        if self.cap is not None:
            check_number("cap", self.cap, above=0)
        check_choice("effort", self.effort, ("fast", "full"))
        check_number("tries", self.tries, at_least=0, whole=True)
        if self.limit is not None:
            check_number("limit", self.limit, at_least=1, whole=True)

    def calls(self, rule: Any) -> int:
        if rule.monotone or rule.batched:
            return 0
        tries = FAST if self.effort == "fast" else FULL + self.tries
        return tries if self.limit is None else min(tries, self.limit)

    def forge(self, view: View) -> Forgery:
        context = view.context
        assert context is not None
        mean = view.honest.mean(torch.float64)
        u = self.direction(mean, context)
        tried, told = _share(view.honest.n, view.n, view.f, context.f)
        optimum = self._closed_form(view.honest, mean, u, context.rule, tried, told)
        if optimum is None:
            return self._search(view, u, tried, told)
        row, value = optimum
        notes = {"tries": 1, "won": "closed form", "moved": float((mean - value.double()) @ u)}
        return Forgery(row.expand(view.f, -1), notes)

    def _closed_form(
        self, honest: Rows, mean: Tensor, u: Tensor, rule: Any, tried: int, told: int
    ) -> tuple[Tensor, Tensor] | None:
        """Return the optimum for a monotone rule, a row (d,), and its aggregate (d,).

        None for another rule, and if the optimum exceeds the cap.
        A monotone rule that moves on as that row moves out, as the mean does, has no optimum.
        """
        if not getattr(rule, "monotone", False):
            return None
        row = extreme_row(honest, u)
        farther = (2 * row.double() - mean).to(row.dtype)
        distance = torch.linalg.vector_norm(row.double() - mean)
        bound = math.inf if self.cap is None else self.cap * honest.squared_distances_to(mean).max().sqrt()
        if not farther.isfinite().all() or distance > bound:
            return None
        near, far = (
            rule(torch.cat([each.expand(tried, -1), honest.copy(torch.arange(honest.n))]), told)
            for each in (row, farther)
        )
        return (row, near) if torch.equal(near, far) else None

    def _search(self, view: View, u: Tensor, tried: int, told: int) -> Forgery:
        """Return the best forged rows of a search. tried: how many rows a try forges. told: the f of the rule."""
        honest, f, context = view.honest, view.f, view.context
        assert context is not None
        seed = int(torch.randint(2**31, (), generator=view.generator))
        fixed = self._fixed(view) if self.effort == "full" and context.round % EVERY == 0 else {}
        extras = [*vectors_of(context.rule), *(row for rows in fixed.values() for row in rows)]
        scene = Scene(honest, u, tried + honest.n, tried, extras, self._error(context), seed)
        queries = Queries(scene.span, context.rule, told, view.generator, tried)
        radius = math.inf if self.cap is None else self.cap * scene.radius
        search = Search(scene, queries, lambda answer: -answer.along(scene.u), radius, self.limit)
        search_lines(search, tried)
        search_groups(search, tried)
        search_decoys(search, tried)
        search_fixed(search, tried, {name: len(rows) for name, rows in fixed.items()})
        if self.effort == "full":
            search_framing(search, tried)
            search_balanced(search, tried, view.generator)
            search_own_parts(search, tried, view.generator)
            search_ascent(search)
            search_evolution(search, self.tries, view.generator)
        forged, name, score = search.result()
        check(score > -math.inf, f"{self.name}: the rule failed on every try: {queries.why}")
        rows = scene.span.materialise(forged[[i * tried // f for i in range(f)]])
        notes = {"tries": len(search.scores), "won": name, "moved": score}
        return Forgery(rows, notes | ({"failed": queries.failed} if queries.failed else {}))

    def _fixed(self, view: View) -> dict[str, Tensor]:
        """Return the rows of the fixed attacks by name: one for attacks that send equal rows, else (f, d)."""
        found = {}
        for attack in (BitFlip(), LIE(), IPM(), MinMax(), MinSum(), STRIKE()):
            rows = attack.explain(view.honest, view.own, n=view.n).rows
            found[attack.name] = rows[:1] if rows.stride(0) == 0 else rows
        return found

    def direction(self, mean: Tensor, context: Context) -> Tensor:
        """Return u: (d,), float64."""
        total = torch.zeros_like(mean)
        for part in self.aim.split("+"):
            vector = mean
            if part == "undo" and context.initial is not None:
                vector = _padded(context.initial.to(mean) - context.params.to(mean), mean)
            if part == "loss":
                check(context.gradient is not None, f"{self.name} needs the gradient of the loss: use aim=stop or undo")
                assert context.gradient is not None
                ahead = context.params - mean[: len(context.params)].to(context.params)
                vector = _padded(context.gradient(ahead, self.data).to(mean), mean)
            vector = vector if vector.any() else mean
            total += vector / torch.linalg.vector_norm(vector).clamp(min=SMALLEST)
        return total

    def _error(self, context: Context) -> Tensor | None:
        """Return the rule's error in the last round, w^{t-1} - w^t - mean: (d,); None in the first."""
        before = self._state.get("before")
        if before is None or context.previous is None:
            return None
        error: Tensor = _padded(context.previous.double() - context.params.double(), before) - before
        return error

    def observe(self, honest: Given, *, clients: Sequence[int] | None = None) -> None:
        if "now" in self._state:
            self._state["before"] = self._state["now"]
        self._state["now"] = Rows.of(honest).mean(torch.float64)

    def is_valid_state(self, state: Mapping[str, Any], d: int) -> bool:
        good = all(isinstance(value, Tensor) and value.shape == (d,) for value in state.values())
        return state.keys() <= {"now", "before"} and good


def _padded(vector: Tensor, row: Tensor) -> Tensor:
    """Return a vector of parameters with zeros for the buffers that a row (d,) has after them."""
    return torch.cat([vector, row.new_zeros(len(row) - len(vector))])


def _share(known: int, n: int, f: int, told: int) -> tuple[int, int]:
    """Return how many forged rows are tried and what the rule is told, for `known` of the n - f honest rows."""
    if known >= n - f:
        return f, told
    tried = max(1, round(known * f / (n - f)))
    return tried, min(told, tried)
