"""The table of networks, and the way from a name to a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..core.catalogue import Catalogue
from ..core.errors import check
from ..core.grammar import parse_one

if TYPE_CHECKING:
    from .base import Model

FIRST = ("linear", "mlp", "cnn", "femnist_cnn", "alexnet", "resnet18", "lstm", "transformer")


def _load(path: str, given: Mapping[str, Any], called: str) -> Model:
    """Make the model at a path; a function that builds a module is wrapped."""
    from .user import load

    return load(path, given)


MODELS: Catalogue[Model] = Catalogue("model", __package__, "Model", first=FIRST, wrap=_load)
"""All models by name."""


def make(name: str | Model | Callable[..., Any]) -> Model:
    """Return the model with this name: `mlp(hidden=(200,100))`, `resnet18(norm=group)`, `package.module:function`.

    A function of the shape of an input and the number of classes, which returns an `nn.Module`, is wrapped: see
    `UserModel`.
    """
    if not isinstance(name, str):
        from .base import Model
        from .user import UserModel

        made: Any = name() if isinstance(name, type) and issubclass(name, Model) else name
        wanted = "model must be a name, a Model or a function of (shape, num_classes)"
        check(isinstance(made, Model) or callable(made), f"{wanted}, not {made!r:.60}")
        return MODELS.with_own_key(made) if isinstance(made, Model) else UserModel(factory=made)
    return MODELS.make(*parse_one(name, "model"))
