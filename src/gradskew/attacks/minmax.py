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
    """mean + gamma p with the largest gamma that a bound on distances allows.

    p: `std`, `unit` (-mean / |mean|) or `sign` (-sign(mean)). p = 0 gives gamma = 0.
    """

    source: ClassVar[str] = "Shejwalkar and Houmansadr, NDSS 2021"
    p: str = "std"

    def __post_init__(self) -> None:
        check_choice("p", self.p, ("std", "unit", "sign"))

    def row(self, honest: Rows, f: int, n: int) -> tuple[Tensor, dict[str, Any]]:
        ray = Ray(honest, self._shape)
        gamma = self.strength(ray, honest.squared_distances)
        length = float(ray.norm.sqrt()) if self.p == "unit" else 1.0
        return ray.point(gamma), {"gamma": gamma * length}

    def _shape(self, block: Tensor) -> tuple[Tensor, Tensor]:
        """Start and direction; a unit vector's length is left to gamma, which makes up for it."""
        if self.p == "std":
            return moments(block)
        mean = block.mean(0)
        return mean, -mean if self.p == "unit" else -mean.sign()

    @abstractmethod
    def strength(self, ray: Ray, distances: Tensor) -> float:
        """The largest feasible step; distances: squared, between the honest rows (h, h)."""


@dataclass(frozen=True, kw_only=True)
class MinMax(Perturbation):
    """mean + gamma p, not farther from any honest row than two honest rows are from each other.

    >>> import torch
    >>> MinMax()(torch.tensor([[0.0], [2.0]]), torch.zeros(1, 1))
    tensor([[2.]])
    """

    key: ClassVar[str] = "minmax"

    def strength(self, ray: Ray, distances: Tensor) -> float:
        diameter = distances.max()
        return largest_step(ray.norm, ray.slopes, diameter - ray.squares) if diameter > 0 else 0.0
