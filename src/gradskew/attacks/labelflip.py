from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from .base import Attack, Forgery, View


@dataclass(frozen=True, kw_only=True)
class LabelFlip(Attack):
    """Train the Byzantine clients on the labels C - 1 - y of C classes, and send their updates.

    The attack acts in training (`relabel`): a direct call returns `own` unchanged.

    >>> import torch
    >>> LabelFlip().relabel(torch.tensor([0, 3, 9]), num_classes=10)
    tensor([9, 6, 0])
    """

    key: ClassVar[str] = "labelflip"
    title: ClassVar[str] = "label flip"
    source: ClassVar[str] = "Tolpegin et al., ESORICS 2020"
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {"label_flipping": {}}
    needs: ClassVar[str] = "own"

    def relabel(self, labels: Tensor, num_classes: int) -> Tensor:
        return num_classes - 1 - labels

    def forge(self, view: View) -> Forgery:
        return Forgery(view.own.updates)
