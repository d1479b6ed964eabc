from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..core.errors import STRENGTH, check, check_choice, check_number
from .base import Attack, Forgery, View
from .steps import as_row, model


@dataclass(frozen=True, kw_only=True)
class MPAF(Attack):
    """Pull the model to another one: row = scale (w^t - w') / rate, sent by fake clients that know the model alone.

    base: w', `drawn`, the initial model under another seed, or `initial`, that of the run (PoisonedFL's script). scale:
    1e6 in the paper, 1e5 in that script. Entries that overflow are cut at the largest finite number.

    >>> import torch
    >>> from gradskew.attacks import Context
    >>> w, start = torch.tensor([3.0]), torch.tensor([1.0])
    >>> context = Context(round=1, params=w, rule=None, clients=(), f=1, initial=start)
    >>> MPAF(scale=10, base="initial")(torch.zeros(0, 1), torch.zeros(1, 1), context=context)  # 10 (3 - 1)
    tensor([[20.]])
    """

    key: ClassVar[str] = "mpaf"
    title: ClassVar[str] = "MPAF"
    source: ClassVar[str] = "Cao and Gong, CVPR Workshops 2022"
    needs: ClassVar[str] = "nothing"
    needs_models: ClassVar[bool] = True
    scale: float = 1e6
    base: str = "drawn"

    def __post_init__(self) -> None:
        check_number("scale", self.scale, at_least=0, at_most=STRENGTH)
        check_choice("base", self.base, ("drawn", "initial"))

    def check_setting(self, place: str, *, honest: int | None = None, classes: int | None = None) -> None:
        super().check_setting(place, honest=honest, classes=classes)
        drawn = f"{self.name} draws another initial model, which a server cannot: use base=initial"
        check(place == "simulation" or self.base == "initial", drawn)

    def forge(self, view: View) -> Forgery:
        context, own = view.context, view.own.updates
        needed = None if context is None else context.initial if self.base == "initial" else context.network
        check(needed is not None, f"{self.name} needs the {self.base} model: call it with a context that has it")
        assert needed is not None
        target = needed() if callable(needed) else needed
        return Forgery(as_row(self.scale * model(view, target), own).expand(view.f, -1))
