from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.errors import check, check_choice, check_number
from ..core.round import Round
from ..core.rows import Given, Rows
from ..core.state import is_row
from .base import Attack, Context, Forgery, View
from .bitflip import BitFlip
from .candidates import Scene
from .extreme import extreme_row
from .further import (
    search_ascent,
    search_balanced,
    search_evolution,
    search_fixed,
    search_framing,
    search_own_parts,
)
from .ipm import IPM
from .lie import LIE
from .minmax import MinMax
from .minsum import MinSum
from .queries import Queries, calls, forged_and_told, vectors_of
from .search import Search, search_decoys, search_groups, search_lines
from .strike import STRIKE
from .trials import Trials, largest

AIMS = ("undo", "stop", "loss")
SMALLEST = 1e-300  # length that a vector is divided by
FAST, FULL = 330, 590  # tries of a round, about, without those of the evolution
BEYOND = 1e-3  # how far beyond the honest entries, as a share of their range, the rows of a closed form lie
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
        check(self.effort == "full" or self.tries == Adaptive.tries, "tries are those of effort=full")
        object.__setattr__(self, "aim", "+".join(sorted(parts)))  # loss+stop and stop+loss are one attack
        if self.limit is not None:
            check_number("limit", self.limit, at_least=1, whole=True)

    def calls(self, rule: Any, *, draws: bool = False) -> int:
        if rule.monotone or rule.batched:
            return 0
        tries = FAST if self.effort == "fast" else FULL + self.tries
        return calls(tries if self.limit is None else min(tries, self.limit), draws=draws)

    @property
    def needs_images(self) -> bool:  # type: ignore[override]
        return "loss" in self.aim.split("+")

    def forge(self, view: View) -> Forgery:
        context = view.context
        assert context is not None
        mean = view.honest.mean(torch.float64)
        u = self.direction(mean, context)
        optimum = self._closed_form(view, u)
        if optimum is None:
            return self._search(view, u)
        row, value = optimum
        notes = {"tries": 1, "won": "closed form", "moved": float((mean - value.double()) @ u)}
        return Forgery(row.expand(view.f, -1), notes)

    def _closed_form(self, view: View, u: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return the optimum for a monotone rule, a row (d,), and its aggregate (d,).

        None for another rule, and if the optimum exceeds the cap. A monotone rule that moves on as that row moves out,
        as the mean does, has no optimum.
        """
        assert view.context is not None
        if not view.context.rule.monotone:
            return None
        trials = Trials(view)
        row = extreme_row(view.honest, u, BEYOND)
        farther = (2 * row.double() - trials.mean).to(row.dtype)
        distance = float(torch.linalg.vector_norm(row.double() - trials.mean))
        bound = math.inf if self.cap is None else self.cap * trials.radius
        if not farther.isfinite().all() or distance > bound or distance == 0:
            return None
        near, far = (trials.outcome(each).value.clone() for each in (row, farther))
        return (row, near) if torch.equal(near, far) else None

    def _search(self, view: View, u: Tensor) -> Forgery:
        """Return the best forged rows of a search."""
        honest, f, context = view.honest, view.f, view.context
        assert context is not None
        tried, told = forged_and_told(view)
        seed = int(torch.randint(2**31, (), generator=view.generator))
        fixed = self._fixed(view) if self.effort == "full" and context.round % EVERY == 0 else {}
        extras = [*vectors_of(context.rule), *(row for rows in fixed.values() for row in rows)]
        scene = Scene(honest, u, tried + honest.n, tried, extras, self._error(context), seed)
        queries = Queries(scene.span, context.rule, told, view.generator, tried)
        radius = largest(honest.updates.dtype) / 4  # so that every entry of a row is finite
        radius = radius if self.cap is None else min(radius, self.cap * scene.radius)
        search = Search(scene, queries, lambda answer: -answer.along(scene.u), view.generator, radius, self.limit)
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
        if score == -math.inf:
            forged, name, score = scene.mean.expand(tried, -1), f"nothing: {queries.why or 'no try was finite'}", 0.0
        elif not queries.steady(forged, search.objective):
            name += ", by a rule that answers one try in two ways"
        rows = scene.span.materialise(forged[[i * tried // f for i in range(f)]])
        notes = {"tries": len(search.scores), "won": name, "moved": score}
        return Forgery(rows, notes | ({"failed": queries.failed} if queries.failed else {}))

    def _fixed(self, view: View) -> dict[str, Tensor]:
        """Return the rows of the fixed attacks by name: one for attacks that send equal rows, else (f, d)."""
        by_name = {}
        for attack in (BitFlip(), LIE(), IPM(), MinMax(), MinSum(), STRIKE()):
            rows = attack.explain(view.honest, view.own, n=view.n).rows
            by_name[attack.name] = rows[:1] if rows.stride(0) == 0 else rows
        return by_name

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
                ahead = context.params - (context.rate * mean[: len(context.params)]).to(context.params)
                vector = _padded(context.gradient(ahead, self.data).to(mean), mean)
            vector = vector if vector.any() else mean
            total += vector / torch.linalg.vector_norm(vector).clamp(min=SMALLEST)
        return total

    def _error(self, context: Context) -> Tensor | None:
        """Return what the last step had beside the mean of the rows, w^{t-1} - w^t - mean: (d,).

        None in the first round, and if the attack did not see the last one.
        """
        before, number = self._state.get("before"), self._state.get("number")
        if before is None or context.previous is None or number != context.round - 1:
            return None
        before = before.to(context.params.device)
        step = context.previous.to(context.params).double() - context.params.double()
        error: Tensor = _padded(step / context.rate, before) - before
        return error

    def observe(self, honest: Given, *, clients: Sequence[int] | None = None, round: Round | None = None) -> None:
        if "now" in self._state:
            self._state.update(before=self._state["now"], number=self._state["seen"])
        self._state.update(now=Rows.of(honest).mean(torch.float64), seen=-1 if round is None else round.number)

    def is_valid_state(self, state: Mapping[str, Any], d: int) -> bool:
        rows = [state[name] for name in ("now", "before") if name in state]
        numbers = [state[name] for name in ("seen", "number") if name in state]
        good = all(is_row(row, d) for row in rows) and all(type(number) is int for number in numbers)
        return good and (not state or state.keys() in ({"now", "seen"}, {"now", "seen", "before", "number"}))


def _padded(vector: Tensor, row: Tensor) -> Tensor:
    """Return a vector of parameters with zeros for the buffers that a row (d,) has after them."""
    return torch.cat([vector, row.new_zeros(len(row) - len(vector))])
