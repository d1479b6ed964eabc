from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, ClassVar

from torch import Tensor

from ..core.columns import mean_and_deviations
from ..core.errors import STRENGTH, check_choice, check_number
from ..core.rows import Rows
from .base import Collusion


@dataclass(frozen=True, kw_only=True)
class LIE(Collusion):
    """Send mean + sign z std of the honest rows, per coordinate: a little is enough.

    z: None means the paper's z_max = Phi^-1((n - f - s) / (n - f)), s = floor(n / 2 + 1) - f, which is also used where
    it is 0 or negative (n = 10, f = 2); `byzpy` means Phi^-1((n - s) / n), s at least 1. The notes have either. sign: 1
    or -1. ddof: 1 divides the variance by h - 1, for h honest rows, as most other code does.

    >>> import torch
    >>> LIE(z=2.0)(torch.tensor([[0.0], [2.0]]), torch.zeros(1, 1))
    tensor([[3.]])
    """

    key: ClassVar[str] = "lie"
    title: ClassVar[str] = "LIE"
    source: ClassVar[str] = "Baruch et al., NeurIPS 2019"
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "alie": {},
        "little_is_enough": {},
        "a_little_is_enough": {},
        "little": {},
    }
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"byzfl": {"ddof": 1}, "byzpy": {"z": "byzpy"}}
    late_check: ClassVar[bool] = True
    z: float | str | None = 1.5
    sign: int = 1
    ddof: int = 0

    def __post_init__(self) -> None:
        if self.z not in (None, "byzpy"):
            check_number("z", self.z, at_least=0, at_most=STRENGTH)
        check_choice("sign", self.sign, (1, -1))
        check_choice("ddof", self.ddof, (0, 1))

    def row(self, honest: Rows, f: int, n: int) -> tuple[Tensor, dict[str, Any]]:
        z = z_max(n, f) if self.z is None else z_byzpy(n, f) if self.z == "byzpy" else float(self.z)
        factor = self.sign * z
        if self.ddof and honest.n > 1:  # the deviation of a single row is 0
            factor *= math.sqrt(honest.n / (honest.n - 1))
        return mean_and_deviations(honest, factor), {} if self.z == z else {"z": z}

    @classmethod
    def idle(cls, name: str, notes: Sequence[Mapping[str, Any]]) -> str:
        z = low_z(notes)
        return "" if z is None else f"{name}: z_max = {z:.3g} is not above 0, so it perturbs nothing outwards."


def low_z(notes: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the first z in the notes of some rounds that is not above 0; None if there is none."""
    values = [note.get("z") for note in notes]
    low = [z for z in values if isinstance(z, int | float) and not isinstance(z, bool) and z <= 0]
    return low[0] if low else None


def z_max(n: int, f: int) -> float:
    """Return the largest z at which enough honest clients are expected farther from the mean, in standard deviations.

    8 if no honest client is needed, -8 if all are: the formula gives infinity. Baruch et al. 2019, Algorithm 3.
    """
    return _quantile((n - n // 2 - 1) / (n - f)) if n > f else 8.0


def z_byzpy(n: int, f: int) -> float:
    """Return the z of ByzPy 0.1.4, whose share is of all n clients, at least one of which is needed.

    >>> round(z_byzpy(50, 10), 3), round(z_byzpy(10, 3), 3), round(z_max(50, 10), 3)
    (0.468, 0.524, 0.253)
    """
    return _quantile((n - max(1, n // 2 + 1 - f)) / n)


def _quantile(share: float) -> float:
    """Return the quantile of the normal distribution; -8 and 8 for shares at which it is infinite."""
    return NormalDist().inv_cdf(share) if 0 < share < 1 else (8.0 if share >= 1 else -8.0)
