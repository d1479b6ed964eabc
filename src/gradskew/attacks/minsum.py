from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..core.errors import check_choice
from .minmax import Perturbation
from .rays import Ray, largest_step


@dataclass(frozen=True, kw_only=True)
class MinSum(Perturbation):
    """Send mean + gamma p, whose summed squared distances to the honest rows do not exceed an honest row's.

    Shejwalkar and Houmansadr 2021, Eq. 7. bound: the sum of that honest row, the `largest`, or the `smallest` (their
    notebooks).

    >>> import torch
    >>> MinSum()(torch.tensor([[0.0], [2.0]]), torch.zeros(1, 1))
    tensor([[2.]])
    """

    key: ClassVar[str] = "minsum"
    title: ClassVar[str] = "MinSum"
    bound: str = "largest"

    def __post_init__(self) -> None:
        Perturbation.__post_init__(self)
        check_choice("bound", self.bound, ("largest", "smallest"))

    def largest_gamma(self, ray: Ray, distances: Tensor) -> float:
        sums = distances.sum(1)
        bound = sums.max() if self.bound == "largest" else sums.min()
        slack = bound - ray.squares.sum()
        return largest_step(len(sums) * ray.norm, ray.slopes.sum()[None], slack[None]) if bound > 0 else 0.0
