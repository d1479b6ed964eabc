"""The server's rule as an attacker tries it: what it would make of many forged rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..aggregators import Aggregator
from ..core.columns import sort_rows
from ..core.copies import Copies
from ..core.errors import InputError, check
from ..core.given import check_rows
from ..core.importing import one_line
from ..core.round import Round
from ..core.rows import Rows
from ..core.span import Span
from ..core.tries import SampledTries, Tries
from .answers import Answer, Objective
from .tried_rule import known_rule

DRAWS = 8  # of the attacker's own, for a rule that draws
FIRST = 2  # of these draws, in which all tries are compared
BATCH = 64  # tries at once: their distances stay in the cache
ENTRIES = 128  # columns on which tries of a rule per coordinate are compared
MORE = 2048  # columns on which the best of these are compared again
COLUMNS = 4096  # columns on which tries of any other rule are compared
FINAL = 3  # tries that are judged on all columns, if the others were compared on some
NOT_FINITE = "gave an aggregate that is not finite"
KEPT = 16  # tries that are judged again, of effort=full and of effort=fast


class Queries:
    """Tries of forged rows before the rows of a span, against a rule told f.

    A rule that takes many tries at once is called on inner products, another isometric one on coordinates in the span,
    so that a try costs the same for any d. A batched rule per coordinate is called on a draw of columns, any other rule
    on the rows themselves, or on a draw of columns of them. For a rule that draws, scores are means over draws of the
    attacker's own: two, and all of them for the best tries.

    size: the number of forged rows of a try. generator: None for one draw, of seed 0, no columns left out, and tries
    whose forged rows are equal. failed: the number of tries that were scored and on which the rule failed; why: on one.
    """

    def __init__(self, span: Span, rule: Aggregator, told: int, size: int, generator: torch.Generator | None = None):
        self.span, self.told, self.size = span, told, size
        self.rule, self.round = known_rule(rule, size)
        self.failed, self.why = 0, ""
        self.sample: Tensor | None = None
        self.more: Tensor | None = None
        if generator is None:
            self.seeds, self.draws = [0], False
            self.way = "batch" if self.rule.batched == "span" else "rows"
            if self.rule.by_ranks:
                self.way, self.ordered = "copies", sort_rows(span.rows.updates)
            return
        self.seeds = torch.randint(2**31, (DRAWS,), generator=generator).tolist()
        self.way = self._way()
        if self.way in ("entries", "columns"):
            self.sample = self._sample(ENTRIES if self.way == "entries" else COLUMNS, generator)
        if self.way == "entries":
            self.more = self._sample(MORE, generator)
        self.draws = self._draws()

    def _way(self) -> str:
        rule = self.rule
        if rule.batched == "span":
            return "batch"
        if rule.isometric:
            return "coordinates"
        if rule.batched == "columns":
            return "entries"
        whole = rule.has_state or rule.needs & {"layers", "params", "reference"}  # some columns would not fit these
        return "rows" if whole or self.span.rows.d <= COLUMNS else "columns"

    @property
    def exact(self) -> bool:
        """Whether scores are of all columns."""
        return self.sample is None

    def _draws(self) -> bool:
        """Return whether the rule uses its generator: its state has changed, or another seed gives another answer."""
        found = []
        for seed in self.seeds[:2]:
            rng = torch.Generator().manual_seed(seed)
            before = rng.get_state()
            (answer,) = self._answers(self.span.mean.expand(1, self.size, -1), self.way, rng)
            if not torch.equal(before, rng.get_state()):
                return True
            found.append(answer.gaps)
        first, second = found
        size = float(self.span.norms(self.span.points).max())  # a user's rule gets the rows in any order
        return not torch.allclose(first, second, rtol=1e-4, atol=1e-5 * size, equal_nan=True)

    def scores(self, forged: Tensor, objective: Objective) -> Tensor:
        """Return the objective of each try: (P,). forged: (P, f, r). -inf where the rule fails."""
        scores, bad = self._scores(forged, objective, self.way, self.seeds[:FIRST])
        self.failed += int(bad.sum())
        return scores

    def judge(self, forged: Tensor, scores: Tensor, objective: Objective) -> tuple[int, float]:
        """Return the index of the best try and its score: all in all draws, and the best few on all columns."""
        few = scores.argsort(descending=True)
        stages = [(len(few), self.way)] if self.draws or self.more is not None else []
        self.sample, self.more = self.more if self.more is not None else self.sample, None
        for count, way in [*stages, *([] if self.exact else [(FINAL, "rows")])]:
            few = few[:count]
            again, _ = self._scores(forged[few], objective, way, self.seeds)
            few = few[again.argsort(descending=True)]
            score = float(again.max())
        return int(few[0]), score if stages or not self.exact else float(scores[few[0]])

    def steady(self, forged: Tensor, objective: Objective) -> bool:
        """Return whether the rule gives one answer to each of some tries (P, f, r) in the same draw, up to rounding."""
        first, second = (self._scores(forged, objective, self.way, self.seeds[:1])[0] for _ in range(2))
        return torch.allclose(first, second, rtol=1e-6, atol=1e-12)

    def answers(self, forged: Tensor) -> Iterator[Answer]:
        """Yield the answers to tries (P, f, r) in the first draws, without batches."""
        for seed in self.seeds[: FIRST if self.draws else 1]:
            yield from self._answers(forged, self.way, torch.Generator().manual_seed(seed))

    def _scores(self, forged: Tensor, objective: Objective, way: str, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return the means of the objective over draws (P,), and whether the rule failed in one of them (P,)."""
        seeds = seeds if self.draws else seeds[:1]
        total = torch.zeros(len(forged), dtype=torch.float64)
        failed = torch.zeros(len(forged), dtype=torch.bool)
        for seed in seeds:
            parts, bad = [], []
            for part in forged.split(BATCH if way in ("batch", "entries") else 1):
                rng = torch.Generator().manual_seed(seed)
                for answer in self._answers(part, way, rng):
                    parts.append(objective(answer))
                    bad.append(answer.failed)
            total += torch.cat(parts)
            failed |= torch.cat(bad)
        if failed.any():
            self.why = self.why or f"{self.rule.name} {NOT_FINITE}"
        return (total / len(seeds)).nan_to_num(nan=-math.inf, posinf=-math.inf, neginf=-math.inf), failed

    def _answers(self, forged: Tensor, way: str, rng: torch.Generator) -> Iterator[Answer]:
        """Yield the rule's answer to tries (P, f, r): one answer for all, or one for each."""
        span = self.span
        if way in ("batch", "entries"):
            tries = Tries.of(span, forged, round=self.round)
            if way == "entries":
                assert self.sample is not None
                tries = SampledTries(span, tries.points, self.sample, round=self.round, gram=tries.gram)
            state = rng.get_state()
            try:
                outcome = self.rule.outcome(tries.as_rows, self.told, rng)
            except Exception as error:  # whatever a user's rule raises
                if len(forged) == 1:
                    yield self._failure(error, way)
                    return
                for each in forged.split(1):
                    yield from self._answers(each, way, torch.Generator().set_state(state))
                return
            yield self._answer(outcome.value, outcome.weights, way)
            return
        for points in forged:
            try:
                value, weights = self._call(points, way, rng)
            except Exception as error:
                yield self._failure(error, way)
                continue
            yield self._answer(value[None], None if weights is None else weights[None], way)

    def _answer(self, values: Tensor, weights: Tensor | None, way: str) -> Answer:
        image = self._image(way)
        metric = self.span.gram if way == "batch" else None
        return Answer(values, image(self.span.mean), weights, self.size, image, metric)

    def _failure(self, error: Exception, way: str) -> Answer:
        """Return the answer of a rule that raised, which is NaN, and keep the error's text."""
        self.why = str(error) if isinstance(error, InputError) else one_line(error)
        nothing = torch.full_like(self._image(way)(self.span.mean), math.nan)
        return self._answer(nothing[None], None, way)

    def _image(self, way: str) -> Callable[[Tensor], Tensor]:
        """Return the map of points of the span to the space of the rule's aggregates."""
        if way == "batch":
            return lambda point: point
        if way == "coordinates":
            return self.span.coordinates
        if way in ("rows", "copies"):
            return self.span.vector_of
        assert self.sample is not None
        sample = self.sample
        return lambda point: point.to(sample.dtype) @ sample

    def _call(self, points: Tensor, way: str, rng: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Return the aggregate and the weights of one try (f, r), in coordinates, on columns or on the rows."""
        span = self.span
        if way == "copies":
            row = span.materialise(points)[0]
            check_rows("forged", row[None])
            return self.rule.outcome(Copies(self.ordered, row, self.size).as_rows, self.told, rng).value.double(), None
        if way == "coordinates":
            rows = Rows(span.coordinates(torch.cat([points, span.points])), round=self._in_coordinates())
        elif way == "columns":
            assert self.sample is not None
            matrix = torch.cat([points, span.points]).to(self.sample.dtype) @ self.sample
            rows = Rows(matrix.to(span.rows.updates.dtype), round=self.round)
        else:
            rows = Rows(torch.cat([span.materialise(points), span.rows.updates]), round=self.round)
        outcome = self.rule.explain(rows, self.told, generator=rng, round=rows.round)
        check(bool(outcome.value.isfinite().all()), f"{self.rule.name} {NOT_FINITE}")
        return outcome.value.double(), outcome.weights

    def _in_coordinates(self) -> Round | None:
        """Return the round with its vectors in the coordinates of the span."""
        if self.round is None:
            return None
        changed: dict[str, Any] = {"layers": None, "params": None, "reference": None}
        for name in self.rule.needs & {"params", "reference"}:
            changed[name] = self.span.coordinates(self.span.find(getattr(self.round, name)))
        return replace(self.round, **changed)

    def _sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Return columns of what spans the rows, scaled so that lengths stay about what they are: (r, c)."""
        d = self.span.rows.d
        count = min(count, d)
        columns = torch.randint(d, (count,), generator=generator) if count < d else torch.arange(d)
        return self.span.on_columns(columns) * math.sqrt(d / count)


def calls(tries: int, *, draws: bool) -> int:
    """Return how often a rule is called, one try at a time, in a search of so many tries. draws: whether it draws."""
    return FIRST * tries + (2 * KEPT + FINAL) * DRAWS if draws else tries + FINAL
