"""Two attacks as one: `labelflip+bitflip`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.errors import check
from ..core.method import DelegatesState
from ..core.round import Round
from ..core.rows import Given, Rows
from .base import Attack, Forgery, Scores, View


@dataclass(frozen=True, kw_only=True)
class Combined(DelegatesState, Attack):
    """Combine an attack on the training of the Byzantine clients (data) with one on what they send (model).

    Where the model attack reads no own row, as `lie` with honest ones, training changes only the buffers that are sent.
    """

    key: ClassVar[str] = "combined"
    data: Attack
    model: Attack

    def __post_init__(self) -> None:
        wanted = "an attack on training, such as labelflip, comes first, then one on rows, such as lie"
        check(self.data.acts_in_training and not self.model.acts_in_training, f"{self.name}: {wanted}")

    @property
    def stateful(self) -> Attack:
        return self.model

    @property
    def needs(self) -> str:  # type: ignore[override]
        return self.model.needs

    @property
    def reads_own(self) -> bool:
        return self.model.reads_own

    @property
    def tries_rule(self) -> bool:  # type: ignore[override]
        return self.model.tries_rule

    @property
    def limited_by(self) -> str:  # type: ignore[override]
        return self.model.limited_by

    @property
    def monotone_only(self) -> bool:  # type: ignore[override]
        return self.model.monotone_only

    @property
    def needs_inputs(self) -> bool:  # type: ignore[override]
        return self.model.needs_inputs

    @property
    def needs_models(self) -> bool:  # type: ignore[override]
        return self.model.needs_models

    @property
    def name(self) -> str:
        return f"{self.data.name}+{self.model.name}"

    @property
    def gradient_scale(self) -> float:  # type: ignore[override]
        return self.data.gradient_scale

    @property
    def target_pair(self) -> tuple[int, int] | None:
        return self.data.target_pair

    def relabels(self) -> bool:  # type: ignore[override]
        return self.data.relabels()

    def relabel(
        self, labels: Tensor, num_classes: int, *, generator: torch.Generator | None = None, scores: Scores = None
    ) -> Tensor:
        return self.data.relabel(labels, num_classes, generator=generator, scores=scores)

    def check_setting(self, place: str, *, honest: int | None = None, classes: int | None = None) -> None:
        self.data.check_setting(place, honest=honest, classes=classes)
        self.model.check_setting(place, honest=honest, classes=classes)

    def forge(self, view: View) -> Forgery:
        sent = self.data.forge(view).rows
        if sent is not view.own.updates:  # labelflip(scale=...)
            own = Rows(sent)
            view = replace(view, own=own, honest=own if view.knows_own_only else view.honest)
        return self.model.forge(view)

    def check_rule(self, rule: Any) -> None:
        self.model.check_rule(rule)

    def calls(self, rule: Any, *, draws: bool = False) -> int:
        return self.model.calls(rule, draws=draws)

    def extra_rows(self, f: int) -> int:
        return self.data.extra_rows(f) + self.model.extra_rows(f)

    def begin(self, seed: int) -> None:
        self.data.begin(seed)
        self.model.begin(seed)

    def observe(self, honest: Given, *, clients: Sequence[int] | None = None, round: Round | None = None) -> None:
        self.model.observe(honest, clients=clients, round=round)
