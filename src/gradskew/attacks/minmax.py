from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ..core.columns import moments
from ..core.errors import check_choice
from ..core.rows import Rows
from .base import Collusion
from .rays import Ray, largest_step


@dataclass(frozen=True, kw_only=True)
class Perturbation(Collusion):
    """Send mean + gamma p of the honest rows, with the largest gamma that a bound on distances allows.

    p: `std`, `unit` (-mean / |mean|) or `sign` (-sign(mean)). gamma is 0 where p is the zero vector.
    """

    source: ClassVar[str] = "Shejwalkar and Houmansadr, NDSS 2021"
    p: str = "std"

    def __post_init__(self) -> None:
        check_choice("p", self.p, ("std", "unit", "sign"))

    def row(self, honest: Rows, f: int, n: int) -> tuple[Tensor, dict[str, Any]]:
        ray = Ray(honest, self._line)
        gamma = self.largest_gamma(ray, honest.squared_distances)
        length = float(ray.norm.sqrt()) if self.p == "unit" else 1.0
        return ray.point(gamma), {"gamma": gamma * length}

    def _line(self, block: Tensor) -> tuple[Tensor, Tensor]:
        """Return start and direction on a block of columns; for `unit`, the direction -mean is not normalised."""
        if self.p == "std":
            return moments(block)
        mean = block.mean(0)
        return mean, -mean if self.p == "unit" else -mean.sign()

    @abstractmethod
    def largest_gamma(self, ray: Ray, distances: Tensor) -> float:
        """Return the largest feasible step. distances: the squared distances between the honest rows (h, h)."""


@dataclass(frozen=True, kw_only=True)
class MinMax(Perturbation):
    """Send mean + gamma p, as far from each honest row as two honest rows are from each other at most.

    >>> import torch
    >>> MinMax()(torch.tensor([[0.0], [2.0]]), torch.zeros(1, 1))
    tensor([[2.]])
    """

    key: ClassVar[str] = "minmax"
    title: ClassVar[str] = "MinMax"

    def largest_gamma(self, ray: Ray, distances: Tensor) -> float:
        diameter = distances.max()
        return largest_step(ray.norm, ray.slopes, diameter - ray.squares) if diameter > 0 else 0.0
