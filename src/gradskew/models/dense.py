"""Networks of linear layers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from torch import nn

from ..core.errors import check, check_number
from ..data import Dataset
from .base import Model


class Dense(Model):
    """A network of linear layers, to which the numbers in an input are measurements."""

    def check_data(self, dataset: Dataset) -> None:
        measured = f"the model {self.key} takes numbers as measurements, and the inputs are tokens"
        check(not dataset.tokens, f"{measured}: lstm and transformer embed them")


@dataclass(frozen=True, kw_only=True)
class Linear(Dense):
    """Multinomial logistic regression."""

    key: ClassVar[str] = "linear"

    def build(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), num_classes))


@dataclass(frozen=True, kw_only=True)
class MLP(Dense):
    """A multilayer perceptron with ReLU after each hidden layer. hidden: the number of units of each hidden layer."""

    key: ClassVar[str] = "mlp"
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {"tabular_mlp": {"hidden": (64, 64)}}
    hidden: int | tuple[int, ...] = 100

    def __post_init__(self) -> None:
        widths = self.hidden if isinstance(self.hidden, tuple) else (self.hidden,)
        check(len(widths) > 0, "hidden must name at least one layer (or use the model linear)")
        for width in widths:
            check_number("hidden", width, at_least=1, whole=True)
        if len(widths) == 1:
            object.__setattr__(self, "hidden", widths[0])  # so that 32 and (32,) are the same model

    def build(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        hidden = self.hidden if isinstance(self.hidden, tuple) else (self.hidden,)
        widths = [math.prod(shape), *hidden]
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(widths[-1], num_classes))
