from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from ..core.errors import check_choice
from .base import Attack, Forgery, View


@dataclass(frozen=True, kw_only=True)
class BitFlip(Attack):
    """Send each Byzantine client's own row with the sign flipped.

    how: `row`, or `training`: the clients flip each gradient instead, after clipping, and so climb the loss (gradient
    ascent, as in Blades); the same row only after a single step without weight decay. A direct call returns `own`.

    >>> BitFlip()(torch.zeros(3, 2), torch.tensor([[1.0, -2.0]]))
    tensor([[-1.,  2.]])
    """

    key: ClassVar[str] = "bitflip"
    title: ClassVar[str] = "bit flip"
    source: ClassVar[str] = "Allen-Zhu et al., ICLR 2021"
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {"signflip": {}, "sign_flipping": {}}
    needs: ClassVar[str] = "own"
    how: str = "row"

    def __post_init__(self) -> None:
        check_choice("how", self.how, ("row", "training"))

    @property
    def gradient_scale(self) -> float:  # type: ignore[override]
        return -1.0 if self.how == "training" else 1.0

    def forge(self, view: View) -> Forgery:
        own = view.own.updates
        if self.how == "training":
            return Forgery(own)
        if own.device.type == "cpu":  # NumPy asks the system for large pages, which halves the time
            return Forgery(torch.from_numpy(np.negative(own.numpy())))
        return Forgery(-own)
