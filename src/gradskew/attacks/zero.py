from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..core.errors import check, check_choice
from .base import Attack, Forgery, View
from .steps import as_row, model


@dataclass(frozen=True, kw_only=True)
class Zero(Attack):
    """Send zeros: the client returns the model that it got, and does no work.

    what: `row`, the row is 0; `model`, the row is w^t / rate, so that the client's model is 0 (FedML's mode zero).

    >>> import torch
    >>> Zero()(torch.ones(3, 2), torch.ones(1, 2))
    tensor([[0., 0.]])
    """

    key: ClassVar[str] = "zero"
    title: ClassVar[str] = "zero"
    source: ClassVar[str] = "FedML; SignGuard's code"
    needs: ClassVar[str] = "nothing"
    what: str = "row"

    def __post_init__(self) -> None:
        check_choice("what", self.what, ("row", "model"))

    @property
    def needs_models(self) -> bool:  # type: ignore[override]
        return self.what == "model"

    def forge(self, view: View) -> Forgery:
        own = view.own.updates
        if self.what == "row":
            return Forgery(own.new_zeros(view.own.d).expand(view.f, -1))
        check(view.context is not None, f"{self.name} needs the model: call it with a context")
        return Forgery(as_row(model(view), own).expand(view.f, -1))
