from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..core.errors import check, check_choice
from .base import Attack, Forgery, View


@dataclass(frozen=True, kw_only=True)
class NonFinite(Attack):
    """Send rows of infinity or NaN: a server must take them out, or one such row ends the training.

    Here they are taken out before the rule, and counted as rejected: the aggregate is that of the other rows, told f.

    value: `inf`, `-inf` or `nan`, in every entry.

    >>> import torch
    >>> NonFinite(value="-inf")(torch.zeros(0, 2), torch.ones(1, 2))
    tensor([[-inf, -inf]])
    """

    key: ClassVar[str] = "nonfinite"
    title: ClassVar[str] = "Inf/NaN"
    source: ClassVar[str] = "ByzFL, ByzPy (Inf)"
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {"inf": {}, "nan": {"value": "nan"}}
    needs: ClassVar[str] = "nothing"
    value: str = "inf"

    def __post_init__(self) -> None:
        check_choice("value", self.value, ("inf", "-inf", "nan"))

    def check_setting(self, place: str, *, honest: int | None = None, classes: int | None = None) -> None:
        left = f"{self.name} sends rows that are taken out before a rule: on a matrix nothing is left"
        check(place != "matrix", left)
        ends = "Robust takes such rows out, and under a strategy of Flower's one of them may end the training"
        check(place != "flower", f"{self.name} sends rows that are not finite, which RedTeam does not: {ends}")

    def forge(self, view: View) -> Forgery:
        return Forgery(view.own.updates.new_full((view.own.d,), float(self.value)).expand(view.f, -1))
