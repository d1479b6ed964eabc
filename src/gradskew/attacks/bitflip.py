from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from ..core.errors import STRENGTH, check, check_choice, check_number
from .base import Attack, Forgery, View
from .steps import scaled


@dataclass(frozen=True, kw_only=True)
class BitFlip(Attack):
    """Send -scale times a row: each Byzantine client its own, or all the mean of the known honest rows.

    of: `own`, or `mean` as ByzFL's sign flipping. scale: None, with `mean`, is h / f for h known honest rows, for
    which the plain mean of these and the f forged rows is 0.

    how: `row`, or `training`: the clients flip each gradient instead, after clipping, and so climb the loss (gradient
    ascent, as in Blades); the same row only after a single step without weight decay. A direct call returns `own`.

    >>> BitFlip()(torch.zeros(3, 2), torch.tensor([[1.0, -2.0]]))
    tensor([[-1.,  2.]])
    >>> BitFlip(of="mean", scale=None)(torch.tensor([[1.0], [3.0]]), torch.zeros(1, 1))
    tensor([[-4.]])
    """

    key: ClassVar[str] = "bitflip"
    title: ClassVar[str] = "bit flip"
    source: ClassVar[str] = "Allen-Zhu et al., ICLR 2021"
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {"signflip": {}, "sign_flipping": {}}
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"byzfl": {"of": "mean"}}
    of: str = "own"
    scale: float | None = 1.0
    how: str = "row"

    def __post_init__(self) -> None:
        check_choice("of", self.of, ("own", "mean"))
        check_choice("how", self.how, ("row", "training"))
        if self.scale is None:
            check(self.of == "mean", "scale = None belongs to of = mean: it makes the mean of all rows 0")
        else:
            check_number("scale", self.scale, at_least=0, at_most=STRENGTH)
        check(self.of == "own" or self.how == "row", "how = training belongs to of = own: clients flip their gradients")

    @property
    def needs(self) -> str:  # type: ignore[override]
        return "own" if self.of == "own" else "honest"

    @property
    def gradient_scale(self) -> float:  # type: ignore[override]
        return -(self.scale or 0.0) if self.how == "training" else 1.0

    def extra_rows(self, f: int) -> int:
        return f if self.of == "own" and self.how == "row" else 0

    def forge(self, view: View) -> Forgery:
        own = view.own.updates
        if self.how == "training":
            return Forgery(own)
        if self.of == "mean":
            scale = view.honest.n / view.f if self.scale is None else self.scale
            return Forgery(view.honest.mean(factor=-scale).expand(view.f, -1))
        assert self.scale is not None
        if self.scale != 1:
            return Forgery(scaled(view.own, -self.scale))
        if own.device.type == "cpu":  # NumPy asks the system for large pages, which halves the time
            return Forgery(torch.from_numpy(np.negative(own.numpy())))
        return Forgery(-own)
