from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..aggregators import MultiKrum
from ..core.columns import moments
from ..core.errors import STRENGTH, check, check_choice, check_number
from .base import Attack, Forgery, View
from .krum_strength import Pool
from .steps import as_row, last_rule, model
from .tried_rule import scaled_f


@dataclass(frozen=True, kw_only=True)
class Fang(Attack):
    """Push the model against the direction a in which the server would go: one attack on Krum, one on other rules.

    target: `krum`, `trim`, or `auto`, krum where the rule is or ends in `multikrum`. direction: a is the `rule`'s
    aggregate of the own and the known honest rows, or their `mean`. knowledge: `partial` takes the own rows for all
    that is known, and so does an attacker that knows no honest row: then a is their mean.

    krum: row = -lambda sign(a), for all. lambda starts at the paper's bound (partial: at 1) and is halved until Krum
    chooses a Byzantine row, or lambda < threshold; search: `largest` takes the largest lambda that it accepts. accept:
    for a rule that averages m rows, `one` of the copies must be chosen, by Krum, or `all`, by the rule. epsilon: the
    largest distance of the other rows from the first.

    trim, by coordinate: uniform between the smallest honest entry and b times as far from 0 (nearer to 0: 1 / b) where
    a > 0, and beyond the largest one where a < 0; the mean where a = 0. partial: 3 to 4 deviations from the mean of the
    own rows, against a. space: `update`, or `model`, where ranges are of w^t / rate - row. draw: `end`, the far end.

    >>> honest, own = torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([[3.0]])
    >>> Fang(target="trim", direction="mean", draw="end")(honest, own)  # between 1 / 2 and 1
    tensor([[0.5000]])
    """

    key: ClassVar[str] = "fang"
    title: ClassVar[str] = "Fang"
    source: ClassVar[str] = "Fang et al., USENIX Security 2020"
    needs: ClassVar[str] = "own"
    target: str = "auto"
    knowledge: str = "full"
    direction: str = "rule"
    b: float = 2.0
    space: str = "update"
    draw: str = "uniform"
    search: str = "halving"
    accept: str = "one"
    threshold: float = 1e-5
    epsilon: float = 0.0

    def __post_init__(self) -> None:
        check_choice("target", self.target, ("auto", "krum", "trim"))
        check_choice("knowledge", self.knowledge, ("full", "partial"))
        check_choice("direction", self.direction, ("rule", "mean"))
        check_number("b", self.b, at_least=1, at_most=STRENGTH)
        check_choice("space", self.space, ("update", "model"))
        check_choice("draw", self.draw, ("uniform", "end"))
        check_choice("search", self.search, ("halving", "largest"))
        check_choice("accept", self.accept, ("one", "all"))
        check_number("threshold", self.threshold, above=0, at_most=STRENGTH)
        check_number("epsilon", self.epsilon, at_least=0, at_most=STRENGTH)
        idle = {"krum": ("b", "space", "draw"), "trim": ("search", "accept", "threshold", "epsilon")}
        for name in idle.get(self.target, ()):
            same = getattr(self, name) == getattr(Fang, name)
            check(same, f"{name} has no effect with target = {self.target}")
        if self.target == "trim" and self.knowledge == "partial":
            full = self.b == Fang.b and self.space == Fang.space
            check(full, "b and space belong to knowledge = full: in part, the bounds follow from the own rows' spread")
        both = "accept = all belongs to knowledge = full: among its own rows alone, one copy must be chosen"
        check(self.accept == "one" or self.knowledge == "full", both)
        check(self.search == "halving" or not self.epsilon, "search = largest is for equal rows: epsilon must be 0")

    @property
    def tries_rule(self) -> bool:  # type: ignore[override]
        return self.target == "auto" or (self.direction == "rule" and self.knowledge == "full") or self.accept == "all"

    @property
    def needs_models(self) -> bool:  # type: ignore[override]
        return self.space == "model"

    def extra_rows(self, f: int) -> int:
        return f + 10 + (2 * f if self.epsilon else 0)  # rows; a few float64 vectors; offsets, float64

    @classmethod
    def idle(cls, name: str, notes: Sequence[Mapping[str, Any]]) -> str:
        selected = [note["selected"] for note in notes if "selected" in note]
        never = bool(selected) and not any(selected)
        return f"{name}: Krum would have chosen its rows in no round." if never else ""

    def forge(self, view: View) -> Forgery:
        partial = self.knowledge == "partial" or not view.honest.n or view.knows_own_only
        if not partial:
            view.honest.check("honest")
        a = view.own.mean(torch.float64) if partial else self._aggregate(view)
        if self._on_krum(view):
            return self._forge_krum(view, a.sign(), partial)
        return self._forge_trim(view, a, partial)

    def _on_krum(self, view: View) -> bool:
        if self.target != "auto":
            return self.target == "krum"
        assert view.context is not None
        return isinstance(last_rule(view.context.rule), MultiKrum)

    def _aggregate(self, view: View) -> Tensor:
        """Return the direction a, in which the server would go without an attack: (d,) float64."""
        if self.direction == "mean":
            own, honest = (rows.n * rows.mean(torch.float64) for rows in (view.own, view.honest))
            return (own + honest) / (view.own.n + view.honest.n)
        rows = torch.cat([view.own.updates, view.honest.updates])
        assert view.context is not None
        rule = view.context.rule
        f = min(view.context.f, rule.max_f(len(rows)))
        value: Tensor = rule.explain(rows, f, generator=torch.Generator().manual_seed(0)).value
        return value.double()

    def _forge_krum(self, view: View, signs: Tensor, partial: bool) -> Forgery:
        """Return -lambda sign(a) for all, and the others within epsilon of the first."""
        offsets = self._offsets(view)
        strength, selected = self._partial(view, signs, offsets) if partial else self._full(view, signs, offsets)
        row = as_row(-strength * signs, view.own.updates)
        notes = {"lambda": strength, "selected": selected}
        if not offsets:
            return Forgery(row.expand(view.f, -1), notes)
        return Forgery(torch.stack([row, *(as_row(row.double() + each, row) for each in offsets)]), notes)

    def _offsets(self, view: View) -> list[Tensor]:
        """Return what the rows after the first have beside it: vectors (d,) no longer than epsilon."""
        if not self.epsilon:
            return []
        rng, device = view.generator, view.own.updates.device
        draws = [torch.randn(view.own.d, generator=rng, dtype=torch.float64) for _ in range(view.f - 1)]
        sizes = self.epsilon * torch.rand(view.f - 1, generator=rng, dtype=torch.float64)
        return [
            (size * each / torch.linalg.vector_norm(each)).to(device) for size, each in zip(sizes, draws, strict=True)
        ]

    def _full(self, view: View, signs: Tensor, offsets: Sequence[Tensor]) -> tuple[float, bool]:
        """Return lambda, and whether Krum chooses the rows, on the known honest rows and as many copies as `opt`."""
        krum = MultiKrum(m=1)
        copies, f = scaled_f(view, krum, min(view.f, krum.max_f(view.n)))
        rows, m = view.honest, 1
        if self.accept == "all":
            assert view.context is not None
            known, given = rows.n + copies, getattr(last_rule(view.context.rule), "m", None)
            m = known - f if given is None else max(1, round(given * known / view.n))  # the same share of these rows
        pool = Pool(rows, signs, copies, f, m, self.accept == "all", offsets[: copies - 1])
        others = rows.squared_distances.sort(1).values[:, 1 : max(1, rows.n - 1)].sum(1).min()
        nearest = float(others) / (max(1, rows.n - copies - 1) * rows.d)
        start = math.sqrt(nearest) + float(rows.squared_distances_to(None).max().sqrt()) / math.sqrt(rows.d)
        return self._searched(pool, start)

    def _partial(self, view: View, signs: Tensor, offsets: Sequence[Tensor]) -> tuple[float, bool]:
        """Return lambda, and whether Krum chooses one of k copies among the own rows, for the least k that it does."""
        result = (self.threshold, False)
        for k in range(1, view.f if view.f > 2 else 1):
            result = self._searched(Pool(view.own, signs, k, k, offsets=offsets[: k - 1]), 1.0)
            if result[1]:
                break
        return result

    def _searched(self, pool: Pool, start: float) -> tuple[float, bool]:
        """Return lambda, and whether it is accepted: the largest one, or of start, start / 2, ... the first one."""
        if self.search == "largest":
            largest = pool.largest()
            if largest > 0:
                return (largest, True) if math.isfinite(largest) else (start, pool.accepted([start])[0])
        strengths = [start]
        while self.threshold <= strengths[-1] < math.inf:
            strengths.append(strengths[-1] / 2)
        good = pool.accepted(strengths)
        place = good.index(True) if True in good else len(good) - 1
        return strengths[place], good[place]

    def _forge_trim(self, view: View, a: Tensor, partial: bool) -> Forgery:
        """Return rows beyond all honest entries, against a; beyond most own entries if no honest row is known."""
        own = view.own.updates
        if self.draw == "end":
            rows = own.new_ones(1, view.own.d)
        else:
            rows = torch.rand(view.f, view.own.d, generator=view.generator, dtype=own.dtype).to(own.device)
        known = view.own if partial else view.honest
        origin = model(view) if self.space == "model" and not partial else None
        for part, block in known.blocks():
            draws = rows[:, part].double()
            if partial:
                mean, std = moments(block)
                value = mean - a[part].sign() * (3 + draws) * std
            else:
                value = self._beyond(block, a[part], draws, None if origin is None else origin[part])
            rows[:, part] = as_row(value, own)
        return Forgery(rows.expand(view.f, -1))

    def _beyond(self, block: Tensor, a: Tensor, draws: Tensor, origin: Tensor | None) -> Tensor:
        """Return entries (f, columns) between the honest extreme against a and the far end, as far as the draws say.

        origin: the model on these columns, for ranges of models.
        """
        least, most = block.aminmax(dim=0)
        edge = torch.where(a > 0, least, most)
        place = edge if origin is None else origin - edge
        up = (a > 0) == (origin is not None)  # a range of models lies on the other side
        far = torch.where((place > 0) == up, place * self.b, place / self.b)
        far = far if origin is None else origin - far
        far = torch.where(a > 0, torch.minimum(far, edge), torch.maximum(far, edge))
        return torch.where(a == 0, block.mean(0), edge + draws * (far - edge))
