"""The search of an attack that asks the rule: lines, refinement, groups, and decoys against spectral filters."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import torch
from torch import Tensor

from .answers import Objective
from .candidates import STRENGTHS, Line, Scene
from .queries import KEPT, Queries

REFINED = 4  # lines that are refined
SPLIT = 3  # candidates of which groups are formed
GROUPS = (2, 5, 8)  # sizes of groups at f = 10, in tenths of f
DECOYS = (10.0, 1e2, 1e4)  # lengths of decoys, in spreads of the honest rows
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of a decoy's length in the others' shift


@dataclass
class Search:
    """Tries made so far and their scores. A try is f forged rows (f, r), pulled in to the largest distance allowed.

    radius: the largest distance of a forged row from the honest mean, inf for none. limit: the largest number of tries
    so far; of tries that would exceed it, as many as fit are made, drawn by the generator. part: the part of the search
    that makes the next tries.
    """

    scene: Scene
    queries: Queries
    objective: Objective
    generator: torch.Generator
    radius: float = math.inf
    limit: int | None = None
    part: str = ""
    parts: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    forged: list[Tensor] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def within(self, forged: Tensor) -> Tensor:
        """Return forged rows (P, f, r) pulled in towards the honest mean to the largest distance."""
        if math.isinf(self.radius):
            return forged
        gaps = forged - self.scene.mean
        lengths = self.scene.span.norms(gaps)
        return self.scene.mean + gaps * torch.where(lengths > self.radius, self.radius / lengths, 1.0).unsqueeze(-1)

    def add(self, names: Sequence[str], forged: Tensor) -> list[float]:
        """Try forged rows (P, f, r) and return their scores, -inf for those that were not tried or are not finite."""
        room = len(forged) if self.limit is None else max(0, self.limit - len(self.scores))
        made: Sequence[int] = range(len(forged))
        if room < len(forged):
            made = sorted(torch.randperm(len(forged), generator=self.generator)[:room].tolist())
        scores = [-math.inf] * len(forged)
        chosen = self.within(forged[list(made)])
        finite = chosen.isfinite().flatten(1).all(1)
        made, chosen = [i for i, good in zip(made, finite.tolist(), strict=True) if good], chosen[finite]
        if made:
            found = self.queries.scores(chosen, self.objective).tolist()
            self.names += [names[i] for i in made]
            self.parts += [self.part] * len(made)
            self.forged += list(chosen)
            self.scores += found
            for i, score in zip(made, found, strict=True):
                scores[i] = score
        return scores

    def best(self, count: int, parts: Container[str] | None = None) -> list[int]:
        """Return the indices of the best tries, the best first. parts: of these parts of the search only."""
        tries = [i for i, part in enumerate(self.parts) if parts is None or part in parts]
        return sorted(tries, key=lambda i: -self.scores[i])[:count]

    def result(self) -> tuple[int, float]:
        """Return the index of the best try, the best few judged again, and its score.

        Parts of effort=full that improve the best tries fit them to the draws and columns in which tries are compared.
        So the best of effort=fast are judged, too.
        """
        few = list(dict.fromkeys([*self.best(KEPT), *self.best(KEPT, (*PARTS, "turned"))]))
        forged, scores = torch.stack([self.forged[i] for i in few]), [self.scores[i] for i in few]
        index, score = self.queries.judge(forged, torch.tensor(scores, dtype=torch.float64), self.objective)
        return few[index], score


def share_limit(limit: int, parts: Sequence[str]) -> list[int]:
    """Return how many tries may have been made after each part, in their order, so that none uses up the limit alone.

    The first part makes at least one.

    >>> share_limit(60, ["lines", "groups", "decoys"])
    [46, 52, 60]
    """
    sums = list(accumulate(USUAL_TRIES[part] for part in parts))
    return [max(1, round(limit * reached / sums[-1])) for reached in sums]


def equal(points: Tensor, f: int) -> Tensor:
    """Return tries (P, f, r) in which all f rows are one point of (P, r)."""
    return points.unsqueeze(1).expand(-1, f, -1)


def along(line: Line, steps: Sequence[float]) -> Tensor:
    """Return the points at some steps on a line: (steps, r)."""
    return line.base + torch.tensor(steps, dtype=torch.float64)[:, None] * line.direction


def search_lines(search: Search, f: int) -> None:
    """Try all lines at all strengths, and refine the best of them twice between the neighbouring strengths."""
    scene, spread = search.scene, search.scene.spread
    search.add(["mean"], equal(scene.mean[None], f))
    lines = scene.lines()
    if not lines:  # all rows are 0
        return
    found, limit = [], search.limit
    search.limit = None if limit is None else limit * 2 // 3  # the rest is for what refines
    points = torch.cat([along(line, [t * spread for t in STRENGTHS]) for line in lines])
    scores = search.add([f"{line.name}, {t:g}" for line in lines for t in STRENGTHS], equal(points, f))
    for place, line in enumerate(lines):
        own = scores[place * len(STRENGTHS) : (place + 1) * len(STRENGTHS)]
        top = max(range(len(STRENGTHS)), key=own.__getitem__)
        low = STRENGTHS[top - 1] if top else 0.0
        high = STRENGTHS[min(top + 1, len(STRENGTHS) - 1)]
        found.append((own[top], line, low, STRENGTHS[top], high))
    search.limit = limit
    found.sort(key=lambda each: -each[0])
    for _, line, low, middle, high in found[:REFINED]:
        for _ in range(2):
            steps = _between(low, middle, high)
            scores = search.add(
                [f"{line.name}, {t:.3g}" for t in steps], equal(along(line, [t * spread for t in steps]), f)
            )
            ends = [low, *steps, high]
            top = max(range(len(steps)), key=scores.__getitem__) + 1
            low, middle, high = ends[top - 1], ends[top], ends[top + 1]


def _between(low: float, middle: float, high: float) -> list[float]:
    """Return five steps between low and high, the middle one among them."""
    if high <= middle:
        return [low + (middle - low) * k / 5 for k in range(1, 6)]
    lower = [low + (middle - low) * k / 3 for k in (1, 2)]
    return [*lower, middle, *[middle + (high - middle) * k / 3 for k in (1, 2)]]


def search_groups(search: Search, f: int) -> None:
    """Split the f rows of the best tries in two groups: the others at the mean, mirrored, half or twice as far."""
    mean, names, tries = search.scene.mean, [], []
    for index in search.best(SPLIT):
        point, name = search.forged[index][0], search.names[index]
        for size in group_sizes(f, GROUPS):
            for factor, what in ((0.0, "at the mean"), (-1.0, "mirrored"), (0.5, "half as far"), (2.0, "twice as far")):
                rows = point.repeat(f, 1)
                rows[size:] = mean + factor * (point - mean)
                tries.append(rows)
                names.append(f"{name}, {f - size} of {f} {what}")
    if tries:
        search.add(names, torch.stack(tries))


def group_sizes(f: int, tenths: Sequence[int]) -> list[int]:
    """Return sizes of groups of f rows, in tenths of f, each once, without 0 and f.

    >>> group_sizes(4, (1, 2, 5, 6, 10))
    [1, 2]
    """
    return [size for size in dict.fromkeys(round(f * tenth / 10) for tenth in tenths) if 0 < size < f]


def search_decoys(search: Search, f: int) -> None:
    """Try decoys that take the top direction of a spectral filter, so that the other rows are not dropped.

    k decoys stand at D q, q random signs of length 1; the other f - k rows at D' p + a q with p orthogonal to q and
    a = k D / (n - f + k), so that they are at 0 on q once the rows are centred.
    """
    scene, names, tries = search.scene, [], []
    q = scene.unit(scene.point("signs"))
    if q is None or f < 2:
        return
    down = -scene.u - scene.span.inner(-scene.u, q) * q
    p = scene.unit(down)
    if p is None:
        return
    limit = search.radius / scene.spread if scene.spread else math.inf
    lengths = [length for length in DECOYS if length <= limit] or [limit]
    for k in dict.fromkeys(max(1, f // part) for part in (5, 3, 2)):
        for length in lengths:
            far = length * scene.spread
            back = k * far / (scene.n - f + k)
            for share in SHARES:
                rows = scene.mean + torch.cat([(far * q).expand(k, -1), (share * far * p + back * q).expand(f - k, -1)])
                tries.append(rows)
                names.append(f"decoys, {k} at {length:g}, others {share:g} of it")
    search.add(names, torch.stack(tries))


def search_turned(search: Search, f: int, place: int) -> None:
    """Try rows along a direction that the rule does not turn round, see `turned`. place: of it among the extras."""
    direction = search.scene.unit(search.scene.extra(place))
    if direction is not None:
        points = along(Line("turned", search.scene.mean, direction), [t * search.scene.spread for t in STRENGTHS])
        search.add([f"turned, {t:g}" for t in STRENGTHS], equal(points, f))


USUAL_TRIES = {
    "lines": 260,
    "groups": 36,
    "decoys": 45,
    "fixed attacks": 6,
    "last round": 1,
    "framing": 18,
    "balanced": 160,
    "own parts": 12,
    "ascent": 80,
    "evolution": 200,
    "turned": 10,
}
"""The tries of each part without a limit, about: a limit is shared among the parts in this proportion."""

PARTS: Mapping[str, Callable[[Search, int], None]] = {
    "lines": search_lines,
    "groups": search_groups,
    "decoys": search_decoys,
}
"""The parts of effort=fast, by name."""
