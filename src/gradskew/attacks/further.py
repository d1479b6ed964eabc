"""Further searches of an attack that asks the rule (effort=full): decoys, framing, ascent and evolution of all rows."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .base import View
from .bitflip import BitFlip
from .ipm import IPM
from .lie import LIE
from .minmax import MinMax
from .minsum import MinSum
from .search import Search, group_sizes
from .strike import STRIKE

BALANCED = (1, 2, 3, 5, 8)  # numbers of decoy directions
SHIFTS = (0.5, 1.0, 1.5, 2.5)  # of all rows against u, in spreads of the honest rows
SWINGS = (0.5, 1.0, 2.0, 4.0)  # of the rows along decoy directions, in spreads
CLONES = (3, 5, 7)  # forged rows that copy honest ones, at f = 10, in tenths of f
LAST = "last round's"  # the name of this try
STEPS = 20  # of gradient ascent
STARTS = 3  # of gradient ascent and of the evolution
OFFSPRING = 20  # tries of a generation


def fixed_rows(view: View) -> dict[str, Tensor]:
    """Return the finite rows of the fixed attacks by name: one for attacks that send equal rows, else (f, d)."""
    by_name = {}
    for attack in (BitFlip(), LIE(), IPM(), MinMax(), MinSum(), STRIKE()):
        rows = attack.explain(view.honest, view.own, n=view.n).rows
        if rows.isfinite().all():
            by_name[attack.name] = rows[:1] if rows.stride(0) == 0 else rows
    return by_name


def search_fixed(search: Search, f: int, *, counts: Mapping[str, int], place: int) -> None:
    """Try the rows of fixed attacks, extras of the scene. counts: of each, its distinct rows. place: of the first."""
    names, tries = [], []
    for name, count in counts.items():
        rows = torch.stack([search.scene.extra(place + i) for i in range(count)])
        tries.append(rows.repeat(-(-f // count), 1)[:f])
        names.append(name)
        place += count
    if tries:
        search.add(names, torch.stack(tries))


def search_last(search: Search, f: int, *, place: int, given: bool) -> None:
    """Try last round's forged rows, as far from the mean as they were. place: of the first one among the extras."""
    if given:
        gaps = torch.stack([search.scene.extra(place + i) for i in range(f)])
        search.add([LAST], (search.scene.mean + gaps)[None])


def search_balanced(search: Search, f: int) -> None:
    """Try rows -t u with +-s along K further directions, principal or random, the signs of each balanced over rows."""
    scene = search.scene
    down = scene.unit(-scene.u)
    if down is None or f < 2:
        return
    names, tries = [], []
    most = max(BALANCED)
    random = scene.random(most, search.generator)
    for what, axes in (("principal", scene.units(scene.principal(most))), ("random", random)):
        for count in BALANCED:
            if count > len(axes):
                continue
            swing = balanced_signs(f, count, search.generator) @ axes[:count]
            for shift in SHIFTS:
                for size in SWINGS:
                    tries.append(scene.mean + scene.spread * (shift * down + size * swing))
                    names.append(f"balanced, {count} {what}, {shift:g} and {size:g}")
    if tries:
        search.add(names, torch.stack(tries))


def balanced_signs(f: int, count: int, generator: torch.Generator) -> Tensor:
    """Return signs (f, count) of which each column sums to 0, or to 1 for an odd f; columns are shuffled."""
    column = torch.ones(f, dtype=torch.float64)
    column[: f // 2] = -1
    return torch.stack([column[torch.randperm(f, generator=generator)] for _ in range(count)], 1)


def search_own_parts(search: Search, f: int) -> None:
    """Try the best rows with a random part of its own, in the span of the honest rows, added to each."""
    scene, names, tries = search.scene, [], []
    for index in search.best(STARTS):
        parts = scene.random(f, search.generator) * scene.spread
        if len(parts) < f:
            break
        for size in SWINGS:
            tries.append(search.forged[index] + size * parts)
            names.append(f"{search.names[index]}, own parts {size:g}")
    if tries:
        search.add(names, torch.stack(tries))


def search_framing(search: Search, f: int) -> None:
    """Try clones of the honest rows farthest along u, which the attacker wants dropped, beside the best rows."""
    scene, names, tries = search.scene, [], []
    order = scene.span.inner(scene.span.points, scene.u).argsort(descending=True, stable=True)
    for index in search.best(STARTS):
        for size in group_sizes(f, CLONES):
            for what, framed in (("one row", order[:1]), ("as many rows", order[:size])):
                rows = search.forged[index].clone()
                rows[:size] = scene.span.points[framed].repeat(-(-size // len(framed)), 1)[:size]
                tries.append(rows)
                names.append(f"{search.names[index]}, {size} clones of {what}")
    if tries:
        search.add(names, torch.stack(tries))


def search_ascent(search: Search, f: int) -> None:
    """Improve the best tries and last round's by gradient ascent through the rule over all rows, where it has one."""
    queries, scene = search.queries, search.scene
    if queries.way != "batch":
        return
    last = [i for i, name in enumerate(search.names) if name == LAST]
    starts = list(dict.fromkeys([*search.best(STARTS), *last]))
    points = torch.stack([search.forged[i] for i in starts])
    names = [f"{search.names[i]}, ascent" for i in starts]
    length = scene.spread
    for step in range(STEPS):
        gradient = ascent_direction(search, points)
        points = points + length * 0.3 * (1 - step / STEPS) * gradient
        search.add(names, points)


def ascent_direction(search: Search, points: Tensor) -> Tensor:
    """Return the gradients of the objective with respect to tries (P, f, r), as points, of length 1 a row at most."""
    basis, back = search.scene.span.basis, search.scene.span.inverse
    coordinates = (points @ basis).requires_grad_()
    with torch.enable_grad():
        total = torch.zeros((), dtype=torch.float64)
        for answer in search.queries.answers(coordinates @ back):
            total = total + search.objective(answer).sum()
        if not total.requires_grad:  # every try failed
            return torch.zeros_like(points)
        (gradient,) = torch.autograd.grad(total, coordinates)
    gradient = gradient.nan_to_num(0.0, 0.0, 0.0)
    largest = gradient.norm(dim=-1).amax(-1)[:, None, None].clamp(min=1e-300)
    direction: Tensor = (gradient / largest) @ back
    return direction


def search_evolution(search: Search, f: int, *, tries: int) -> None:
    """Improve the best tries by random changes of all rows, in orthonormal coordinates: `tries` in all.

    Each generation changes copies of the best tries by normal vectors; their size grows if one in five is better.
    """
    scene = search.scene
    basis, back = scene.span.basis, scene.span.inverse
    size = 0.3 * scene.spread / basis.shape[1] ** 0.5
    made = 0
    while made < tries:
        count = min(OFFSPRING, tries - made)
        parents = search.best(STARTS)
        chosen = [parents[i % len(parents)] for i in range(count)]
        points = torch.stack([search.forged[i] for i in chosen])
        noise = torch.randn(*points.shape[:2], basis.shape[1], generator=search.generator, dtype=torch.float64)
        noise[::2] = noise[::2, :1]  # half of them move all rows alike
        before = [search.scores[i] for i in chosen]
        names = [f"{search.names[i].removesuffix(', evolved')}, evolved" for i in chosen]
        after = search.add(names, points + size * noise @ back)
        better = sum(a > b for a, b in zip(after, before, strict=True)) / count
        size *= 1.5 if better > 0.2 else 0.8
        made += count
