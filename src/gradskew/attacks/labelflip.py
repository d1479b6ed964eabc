from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.errors import STRENGTH, check, check_choice, check_number, floor_share
from ..core.given import as_generator
from .base import Attack, Forgery, Scores, View
from .steps import scaled


@dataclass(frozen=True, kw_only=True)
class LabelFlip(Attack):
    """Train the Byzantine clients on wrong labels, and send their updates, times `scale`.

    map, from a label y of C classes: `reverse`, C - 1 - y; `shift`, y + 1 modulo C; `pair`, the class `of` becomes
    `target`; `all`, each becomes `target`; `random`, another class, drawn once for each input of a client; `likely`, in
    each round the wrong class that the model w^t finds most probable. share: of each client's inputs, rounded down, at
    least one if above 0; the same ones in all rounds.

    The attack acts in training (`relabel`): a direct call returns `own`, times `scale`.

    >>> LabelFlip().relabel(torch.tensor([0, 3, 9]), num_classes=10)
    tensor([9, 6, 0])
    >>> LabelFlip(map="pair").relabel(torch.tensor([2, 3, 7]), num_classes=10)
    tensor([7, 3, 7])
    """

    key: ClassVar[str] = "labelflip"
    title: ClassVar[str] = "label flip"
    source: ClassVar[str] = "Tolpegin et al., ESORICS 2020"
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {"label_flipping": {}}
    needs: ClassVar[str] = "own"
    map: str = "reverse"
    share: float = 1.0
    of: int = 2
    target: int = 7
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_choice("map", self.map, ("reverse", "shift", "pair", "all", "random", "likely"))
        check_number("share", self.share, at_least=0, at_most=1)
        check_number("of", self.of, at_least=0, whole=True)
        check_number("target", self.target, at_least=0, whole=True)
        check(self.map == "pair" or self.of == LabelFlip.of, "of belongs to map = pair")
        check(self.map in ("pair", "all") or self.target == LabelFlip.target, "target belongs to map = pair or all")
        check(self.map != "pair" or self.of != self.target, f"of and target are the same class, {self.of}")
        check_number("scale", self.scale, at_least=0, at_most=STRENGTH)

    @property
    def target_pair(self) -> tuple[int, int] | None:
        return (self.of, self.target) if self.map == "pair" else None

    def check_setting(self, place: str, *, honest: int | None = None, classes: int | None = None) -> None:
        used = {"pair": (self.of, self.target), "all": (self.target,)}.get(self.map, (1,))
        few = f"{self.name} needs the class {max(used)}, and the data have {classes} classes, counted from 0"
        check(classes is None or max(used) < classes, few)

    def relabel(
        self, labels: Tensor, num_classes: int, *, generator: torch.Generator | None = None, scores: Scores = None
    ) -> Tensor:
        self.check_setting("simulation", classes=num_classes)
        generator = as_generator(generator)
        order = torch.randperm(len(labels), generator=generator) if self.share < 1 else torch.arange(len(labels))
        count = max(floor_share(self.share, len(labels)), min(1, len(labels)) if self.share > 0 else 0)
        chosen = order[:count]
        flipped = labels.clone()
        flipped[chosen] = self._flipped(labels, num_classes, generator, scores)[chosen]
        return flipped

    def _flipped(self, labels: Tensor, num_classes: int, generator: torch.Generator, scores: Scores) -> Tensor:
        """Return what each label (examples,) becomes."""
        if self.map == "reverse":
            return num_classes - 1 - labels
        if self.map == "pair":
            return torch.where(labels == self.of, self.target, labels)
        if self.map == "all":
            return torch.full_like(labels, self.target)
        if self.map == "likely":
            check(scores is not None, f"{self.name} needs the model and the inputs, which training has")
            assert scores is not None
            others = scores().to(labels.device).scatter(1, labels[:, None], -torch.inf)
            return others.argmax(1).to(labels.dtype)
        steps = torch.ones_like(labels)
        if self.map == "random":
            steps = torch.randint(1, num_classes, labels.shape, generator=generator).to(labels.device)
        return (labels + steps) % num_classes

    def extra_rows(self, f: int) -> int:
        return 0 if self.scale == 1 else f

    def forge(self, view: View) -> Forgery:
        return Forgery(view.own.updates if self.scale == 1 else scaled(view.own, self.scale))
