from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.errors import check, check_choice, check_number
from ..core.given import largest_entry
from ..core.round import Round
from ..core.rows import Given, Rows
from ..core.state import is_row
from .base import Attack, Context, Forgery, View
from .candidates import Scene
from .extreme import extreme_row
from .further import (
    fixed_rows,
    search_ascent,
    search_balanced,
    search_evolution,
    search_fixed,
    search_framing,
    search_last,
    search_own_parts,
)
from .queries import Queries, calls
from .search import PARTS, Search, search_turned, share_limit
from .steps import padded
from .trials import Trials, turned
from .tried_rule import scaled_f, vectors_of

AIMS = ("undo", "stop", "loss")
SMALLEST = 1e-300  # length that a vector is divided by
FAST, FULL = 330, 590  # tries of a round, about, without those of the evolution
BEYOND = 1e-3  # how far beyond the honest entries, as a share of their range, the rows of a closed form lie
VECTORS = 24  # of a search, as float32 rows: twelve of float64
FIXED = 5  # fixed attacks that send equal rows, beside one that does not
TWO_WAYS = ", by a rule that answers one try in two ways"  # the end of the note `won`
EVERY = 5  # rounds after which effort=full tries the rows of the fixed attacks again


@dataclass(frozen=True, kw_only=True)
class Adaptive(Attack):
    """Search each round for the forged rows that move the rule's aggregate farthest against a direction u.

    u is a sum of unit vectors: minimise <aggregate - mean, u> over the forged rows. aim: a sum of `undo`, w^0 - w,
    `stop`, the mean of the honest rows, and `loss`, the gradient of the loss at w - mean. Where one of these vectors is
    zero or not finite, the mean takes its place.

    data: the inputs of the loss, `all` of the known honest clients' or the Byzantine clients' `own`. cap: the largest
    distance of a forged row from the honest mean, as a multiple of the farthest honest row's; None for no bound.

    effort: `fast`, lines of rows, groups of them and decoys; `full` adds the rows of fixed attacks, last round's,
    clones of honest rows, balanced decoys, parts of their own, gradient ascent and an evolution of `tries` tries.
    limit: the most tries in a round, shared among all parts; None for no limit.
    """

    key: ClassVar[str] = "adaptive"
    title: ClassVar[str] = "adaptive"
    source: ClassVar[str] = "this project; after Croce and Hein, ICML 2020 (AutoAttack)"
    tries_rule: ClassVar[bool] = True
    limited_by: ClassVar[str] = "limit"
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
        check_number("tries", self.tries, at_least=0, at_most=1_000_000, whole=True)
        check(self.effort == "full" or self.tries == Adaptive.tries, "tries are those of effort=full")
        object.__setattr__(self, "aim", "+".join(sorted(parts)))  # loss+stop and stop+loss are one attack
        if self.limit is not None:
            check_number("limit", self.limit, at_least=1, whole=True)

    def calls(self, rule: Any, *, draws: bool = False) -> int:
        if rule.batched or (rule.monotone and self.cap is None):
            return 0
        tries = FAST if self.effort == "fast" else FULL + self.tries
        return calls(tries if self.limit is None else min(tries, self.limit), draws=draws)

    def extra_rows(self, f: int) -> int:
        rows = 2 * f if self.effort == "full" else 0  # sent, last
        state = rows + 4  # now, before: float64
        search = VECTORS + (f + FIXED if rows else 0)
        return 2 * state + max(state, search)  # a snapshot has a copy, and a new one is made before that goes

    @property
    def needs_inputs(self) -> bool:  # type: ignore[override]
        return "loss" in self.aim.split("+")

    def check_setting(self, place: str, *, honest: int | None = None, classes: int | None = None) -> None:
        lacking = f"{self.name} needs the loss, or the first model, which a matrix has not: use aim=stop"
        check(place != "matrix" or self.aim == "stop", lacking)

    def forge(self, view: View) -> Forgery:
        context = view.context
        assert context is not None
        mean = view.honest.mean(torch.float64)
        u = self.direction(mean, context)
        optimum = self._closed_form(view, u)
        if optimum is None:
            return self._search(view, u)
        row, value = optimum
        notes = {"tries": 1, "won": "closed form", "moved": float((mean - value) @ u)}
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
        row = extreme_row(view.honest, u, BEYOND if view.knows_all else 1.0)  # unknown rows may lie farther out
        farther = (2 * row.double() - trials.mean).to(row.dtype)
        distance = float(torch.linalg.vector_norm(row.double() - trials.mean))
        bound = math.inf if self.cap is None else self.cap * trials.radius
        if not farther.isfinite().all() or distance > bound or distance == 0:
            return None
        near, far = (trials.answer(each).values[0] for each in (row, farther))
        return (row, near) if torch.equal(near, far) else None

    def _search(self, view: View, u: Tensor) -> Forgery:
        """Return the best forged rows of a search."""
        honest, f, context = view.honest, view.f, view.context
        assert context is not None
        size, rule_f = scaled_f(view, context.rule, context.f)
        seed = int(torch.randint(2**31, (), generator=view.generator))
        fixed = fixed_rows(view) if self.effort == "full" and context.round % EVERY == 0 else {}
        last, vectors = self._last(context, size), vectors_of(context.rule)
        extras = [*vectors, *last, *(row for rows in fixed.values() for row in rows)]
        direction = turned(view, u)
        extras += [] if direction is None else [direction]
        scene = Scene(honest, u, size + honest.n, size, extras, self._error(context), seed)
        queries = Queries(scene.span, context.rule, rule_f, size, view.generator)
        most = largest_entry(honest.updates.dtype)
        room = most - float(scene.span.vector_of(scene.mean).abs().max())
        radius = max(0.0, min(most / 4, 0.999 * room))  # so that every entry of a row is finite
        radius = radius if self.cap is None else min(radius, self.cap * scene.radius)
        search = Search(scene, queries, lambda answer: -answer.along(scene.u), view.generator, radius)
        counts = {name: len(rows) for name, rows in fixed.items()}
        parts = {**PARTS}
        if direction is not None:
            parts["turned"] = partial(search_turned, place=len(extras) - 1)
        if self.effort == "full":
            parts |= self._further(len(vectors), len(last), counts)
        limits = [None] * len(parts) if self.limit is None else share_limit(self.limit, [*parts])
        for (search.part, make_tries), search.limit in zip(parts.items(), limits, strict=True):
            make_tries(search, size)
        best, score = search.result()
        forged, won, failed = search.forged[best], search.names[best], queries.failed
        if score == -math.inf:
            forged, won, score = scene.mean.expand(size, -1), f"nothing: {queries.why or 'no try was finite'}", 0.0
            failed = len(search.scores)
        elif not queries.steady(torch.stack([forged, scene.mean.expand(size, -1)]), search.objective):
            won += TWO_WAYS
        made = scene.span.materialise(forged)
        rows = made if size == f else scene.span.materialise(forged[[i * size // f for i in range(f)]])
        notes = {"tries": len(search.scores), "won": won, "moved": score}
        if self.effort == "full":
            notes["part"] = search.parts[best]
            if self._state.get("seen") == context.round and "sent" not in self._state:  # further calls leave no trace
                gaps = made - scene.span.vector_of(scene.mean).to(rows.dtype)
                self._state.update(sent=gaps, sent_in=context.round)
        return Forgery(rows, notes | ({"failed_tries": failed} if failed else {}))

    def _further(self, place: int, last: int, counts: Mapping[str, int]) -> dict[str, Callable[[Search, int], None]]:
        """Return the parts of effort=full by name. last: how many rows of the last round are extras, from `place` on.

        counts: of each fixed attack, how many of its rows are extras after these.
        """
        return {
            "fixed attacks": partial(search_fixed, counts=counts, place=place + last),
            "last round": partial(search_last, place=place, given=last > 0),
            "framing": search_framing,
            "balanced": search_balanced,
            "own parts": search_own_parts,
            "ascent": search_ascent,
            "evolution": partial(search_evolution, tries=self.tries),
        }

    def _last(self, context: Context, tried: int) -> Tensor:
        """Return the last round's forged rows less the mean of its honest ones: (f', d); no row if they are unknown."""
        if self._state.get("last_in") == context.round - 1 and len(self._state["last"]) == tried:
            last: Tensor = self._state["last"].to(context.params.device)
            return last
        return context.params.new_empty(0, 0)

    def direction(self, mean: Tensor, context: Context) -> Tensor:
        """Return u: (d,), float64."""
        total = torch.zeros_like(mean)
        for part in self.aim.split("+"):
            vector = mean
            if part == "undo":
                check(context.initial is not None, f"{self.name} needs the first model: use aim=stop or loss")
                assert context.initial is not None
                vector = padded(context.initial.to(mean) - context.params.to(mean), mean)
            if part == "loss":
                check(context.gradient is not None, f"{self.name} needs the gradient of the loss: use aim=stop or undo")
                assert context.gradient is not None
                ahead = context.params - (context.rate * mean[: len(context.params)]).to(context.params)
                vector = padded(context.gradient(ahead, self.data).to(mean), mean)
            usable = vector.any() and vector.isfinite().all()  # a loss that overflows has no gradient
            vector = vector if usable else mean
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
        error: Tensor = padded(step / context.rate, before) - before
        return error

    def observe(self, honest: Given, *, clients: Sequence[int] | None = None, round: Round | None = None) -> None:
        for now, before in (("now", "before"), ("seen", "number"), ("sent", "last"), ("sent_in", "last_in")):
            if now in self._state:
                self._state[before] = self._state.pop(now)
        self._state.update(now=Rows.of(honest).mean(torch.float64), seen=-1 if round is None else round.number)

    def is_valid_state(self, state: Mapping[str, Any], d: int) -> bool:
        kinds = {"now": is_row, "before": is_row, "sent": _are_rows, "last": _are_rows}
        good = all(kinds[name](value, d) if name in kinds else type(value) is int for name, value in state.items())
        pairs = {"now": "seen", "before": "number", "sent": "sent_in", "last": "last_in"}
        whole = {name for pair in pairs.items() if pair[0] in state for name in pair}
        return good and state.keys() == whole and (not state or "now" in state)


def _are_rows(value: Any, d: int) -> bool:
    """Return whether a value is a finite floating-point tensor (rows, d)."""
    return isinstance(value, Tensor) and value.ndim == 2 and is_row(value.flatten(), len(value) * d)
