from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ..core.errors import STRENGTH, check_number
from ..core.rows import Rows
from .base import Collusion


@dataclass(frozen=True, kw_only=True)
class IPM(Collusion):
    """Send -epsilon times the honest mean: inner product manipulation.

    >>> import torch
    >>> IPM(epsilon=0.5)(torch.tensor([[1.0], [3.0]]), torch.zeros(1, 1))
    tensor([[-1.]])
    """

    key: ClassVar[str] = "ipm"
    title: ClassVar[str] = "IPM"
    source: ClassVar[str] = "Xie et al., UAI 2020"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"byzfl": {"epsilon": 2.0}, "byzpy": {"epsilon": 1.0}}
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "inner_product_manipulation": {},
        "fall_of_empires": {},
        "foe": {},
        "empire": {},
    }
    late_check: ClassVar[bool] = True
    epsilon: float = 0.1

    def __post_init__(self) -> None:
        check_number("epsilon", self.epsilon, at_least=0, at_most=STRENGTH)

    def row(self, honest: Rows, f: int, n: int) -> tuple[Tensor, dict[str, Any]]:
        return honest.mean(factor=-self.epsilon), {}
