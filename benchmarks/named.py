"""An attack that is made against `consensus_dnc` by name, for the part `trial-named` of parts.py."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gradskew.attacks import Adaptive, Context
from gradskew.attacks.adaptive import SMALLEST
from gradskew.attacks.search import Search

SHIFTS = (0.5, 1.0, 2.0)  # of the movers against u, in spreads of the honest rows
OWN = (0.0, 1.0, 2.0)  # of the part of its own of each mover, in spreads
CLONES, DECOYS = (0, 2, 3, 5), (0, 2, 4)  # of ten forged rows


@dataclass(frozen=True, kw_only=True)
class AgainstConsensusDnC(Adaptive):
    """Search as `adaptive(effort=full,cap=None)` does, and try rows that are made for both halves at once.

    Of the f rows some copy the honest row farthest along u, so that `consensus` drops it as a near-duplicate; some
    are decoys on both sides of the first principal direction, which `dnc` drops; the others move against u, each with a
    part of its own, at right angles to those of the others, so that they are no near-duplicates. u is the sum of the
    unit vectors of `aim`, that of `stop` times `weight`, which is chosen for whole runs.
    """

    key: ClassVar[str] = "against_consensus_dnc"
    title: ClassVar[str] = "made against consensus_dnc"
    cap: float | None = None
    effort: str = "full"
    weight: float = 1.0

    def direction(self, mean: Tensor, context: Context) -> Tensor:
        length = torch.linalg.vector_norm(mean).clamp(min=SMALLEST)
        return super().direction(mean, context) + (self.weight - 1) * mean / length

    def _parts(self, place: int, last: int, counts: Mapping[str, int]) -> Mapping[str, Callable[[Search, int], None]]:
        parts = dict(super()._parts(place, last, counts))
        improve = {name: parts.pop(name) for name in ("ascent", "evolution")}
        return {**parts, "both halves": search_both_halves, **improve}


def search_both_halves(search: Search, f: int) -> None:
    """Try clones of an honest row, decoys and movers together, in twelve splits of the f rows."""
    scene, names, tries = search.scene, [], []
    down, axes = scene.unit(-scene.u), scene.units(scene.principal(1))
    own = scene.random(f, search.generator)
    if down is None or not len(axes) or len(own) < f:
        return
    order = scene.span.inner(scene.span.points, scene.u).argsort(descending=True, stable=True)
    signs = torch.ones(f, 1, dtype=torch.float64)
    signs[1::2] = -1
    for tenths, other in ((a, b) for a in CLONES for b in DECOYS if a + b < 10):
        clones, decoys = round(f * tenths / 10), round(f * other / 10)
        for shift in SHIFTS:
            for size in OWN:
                rows = scene.mean + scene.spread * (shift * down + size * own)
                rows[:clones] = scene.span.points[order[:1]]
                rows[clones : clones + decoys] = scene.mean + 2 * scene.spread * signs[:decoys] * axes
                tries.append(rows)
                names.append(f"{clones} clones, {decoys} decoys, shift {shift:g}, own {size:g}")
    search.add(names, torch.stack(tries))
