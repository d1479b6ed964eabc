"""A user's own network, from a function or from its path `package.module:function`."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from torch import nn

from ..core.errors import InputError, check, check_choice, unknown
from ..core.importing import import_object
from ..core.names import parse_one
from .base import Model


@dataclass(frozen=True, kw_only=True)
class UserModel(Model):
    """A user's own network: `factory(shape, num_classes)` returns an `nn.Module`.

    vectorised: let clients train as one computation; only for modules without batch norm and without random draws.
    """

    key: ClassVar[str] = "user"
    kind: ClassVar[str] = "other"
    factory: Callable[[tuple[int, ...], int], nn.Module] = field(repr=False)  # digests cover its code and its network
    vectorised: bool = False

    def __post_init__(self) -> None:
        good = callable(self.factory) and hasattr(self.factory, "__qualname__") and _takes_two(self.factory)
        check(good, "factory must be a function of (shape, num_classes) that returns an nn.Module")
        check_choice("vectorised", self.vectorised, (False, True))

    @property
    def batched(self) -> bool:  # type: ignore[override]
        return self.vectorised

    @property
    def name(self) -> str:
        path = f"{self.factory.__module__}:{self.factory.__qualname__}"
        return f"{path}(vectorised=True)" if self.vectorised else path

    def build(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        module = self.factory(shape, num_classes)
        check(isinstance(module, nn.Module), f"{self.name} returned a {type(module).__name__}, not an nn.Module")
        return copy.deepcopy(module)  # a factory may return the same module at every call, and training changes it


def from_path(text: str) -> UserModel:
    """The model `package.module:function`, or `package.module:function(vectorised=True)`.

    Modules in the current folder are found.
    """
    path, bracket, tail = text.partition("(")
    _, given = parse_one(f"user{bracket}{tail}", "model")
    for option in given:
        if option != "vectorised":
            raise unknown(f"option of {path}", option, ["vectorised"])
    factory = import_object(path, "model")
    try:
        return UserModel(factory=factory, **given)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _takes_two(factory: Callable[..., nn.Module]) -> bool:
    """Return whether a factory can be called with a shape and a number of classes."""
    try:
        inspect.signature(factory).bind((), 0)
    except (TypeError, ValueError):
        return False
    return True
