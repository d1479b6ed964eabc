from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..aggregators.cclip import CClip
from ..core.errors import STRENGTH, check, check_number
from .base import Attack, Forgery, View
from .lie import low_z, z_max
from .steps import as_row, last_rule, last_step

PARALLEL = 1e-12  # share of the length of a vector below which a part of it is rounding


@dataclass(frozen=True, kw_only=True)
class ROP(Attack):
    """Send pi M + (1 - pi) m + z q, with q orthogonal to where the server goes: relocated orthogonal perturbation.

    M is the server's last step (w^{t-1} - w^t) / rate (0 in the first round), m the mean of the known honest rows,
    u = lam M + (1 - lam) m (m in the first round), p the part of (1, ..., 1) that is orthogonal to u, of length 1, and
    q = sin(angle) p + cos(angle) u / |u|. If u = 0, p is (1, ..., 1) / sqrt(d); a term without a direction is 0.

    angle: in degrees; 90 and 270 are orthogonal to u, 180 against it. z: the length of the perturbation, in the units
    of the rows; None means LIE's z_max, and `tau` the radius of the server's `cclip`.

    >>> from gradskew.attacks import Context
    >>> M, w = torch.tensor([1.0, 0.0]), torch.zeros(2)
    >>> context = Context(round=1, params=w, previous=M, rule=None, clients=(0,), f=1)
    >>> ROP(z=1.5)(torch.tensor([[0.0, 1.0]]), torch.zeros(1, 2), context=context)  # u = (0.9, 0.1)
    tensor([[ 1.1656, -1.4908]])
    """

    key: ClassVar[str] = "rop"
    title: ClassVar[str] = "ROP"
    source: ClassVar[str] = "Ozfatura et al., IEEE TIFS 2024"
    needs_models: ClassVar[bool] = True
    lam: float = 0.9
    pi: float = 1.0
    angle: float = 270.0
    z: float | str | None = None

    def __post_init__(self) -> None:
        check_number("lam", self.lam, at_least=0, at_most=1)
        check_number("pi", self.pi, at_least=0, at_most=1)
        check_number("angle", self.angle, at_least=-360, at_most=360)
        if self.z not in (None, "tau"):
            check_number("z", self.z, at_least=0, at_most=STRENGTH)

    def extra_rows(self, f: int) -> int:
        return 28  # float64 vectors

    @property
    def tries_rule(self) -> bool:  # type: ignore[override]
        return self.z == "tau"

    def check_rule(self, rule: Any) -> None:
        if self.z == "tau":
            last = last_rule(rule)
            check(isinstance(last, CClip), f"{self.name} takes the radius of cclip, which {rule.name} is not")
            check(last.tau != "least", f"{self.name} takes a fixed radius, which {rule.name} has not")

    @classmethod
    def idle(cls, name: str, notes: Sequence[Mapping[str, Any]]) -> str:
        z = low_z(notes)
        return "" if z is None else f"{name}: z_max = {z:.3g} is not above 0, so its perturbation is 0 or turned round."

    def forge(self, view: View) -> Forgery:
        mean, step = view.honest.mean(torch.float64), last_step(view)
        moved = torch.zeros_like(mean) if step is None else step
        u = mean if step is None else self.lam * moved + (1 - self.lam) * mean
        z = self._z(view)
        row = self.pi * moved + (1 - self.pi) * mean + z * self._direction(u)
        return Forgery(as_row(row, view.own.updates).expand(view.f, -1), {"z": z} if self.z != z else {})

    def _direction(self, u: Tensor) -> Tensor:
        """Return q for the vector u (d,): (d,) float64."""
        ones = torch.ones_like(u)
        length = float(torch.linalg.vector_norm(u))
        along = u / length if length > 0 else torch.zeros_like(u)
        across = ones - (ones @ along) * along
        size = float(torch.linalg.vector_norm(across))
        across = across / size if size > PARALLEL * math.sqrt(len(u)) else torch.zeros_like(u)
        angle = math.radians(self.angle)
        return math.sin(angle) * across + math.cos(angle) * along

    def _z(self, view: View) -> float:
        if self.z is None:
            return z_max(view.n, view.f)
        if self.z == "tau":
            assert view.context is not None
            return float(last_rule(view.context.rule).tau)
        return float(self.z)
