"""A user's own network, from a function or from its path `package.module:function`."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..core.errors import InputError, check, check_choice, unknown
from ..core.grammar import with_options
from ..core.importing import import_object, one_line
from ..core.names import describe, options
from ..data import Dataset
from .base import Model, materialised
from .tokens import check_tokens


@dataclass(frozen=True, kw_only=True)
class UserModel(Model):
    """A user's own network: `factory(shape, num_classes)` returns an `nn.Module`.

    vectorised: let clients train as one computation; only for modules without batch norm and without random draws.
    tokens: give the module its inputs as int64, as `nn.Embedding` takes them; of the shape (2, length) in the first
    call, too, where all are 0.
    """

    key: ClassVar[str] = "user"
    kind: ClassVar[str] = "other"
    factory: Callable[[tuple[int, ...], int], nn.Module] = field(repr=False)  # digests cover its code and its network
    vectorised: bool = False
    tokens: bool = False

    def __post_init__(self) -> None:
        good = callable(self.factory) and hasattr(self.factory, "__qualname__") and _takes_two(self.factory)
        check(good, "factory must be a function of (shape, num_classes) that returns an nn.Module")
        check_choice("vectorised", self.vectorised, (False, True))
        check_choice("tokens", self.tokens, (False, True))

    @property
    def batched(self) -> bool:  # type: ignore[override]
        return self.vectorised

    @property
    def origin(self) -> Mapping[str, str]:
        return {"path": f"{self.factory.__module__}:{self.factory.__qualname__}"}

    @property
    def name(self) -> str:
        return with_options({**describe(self), **self.origin})

    def check_data(self, dataset: Dataset) -> None:
        if self.tokens:
            check_tokens(self.name, dataset)

    def check_network(self, module: nn.Module, dataset: Dataset) -> None:
        if self.tokens:
            largest = torch.full((2, *dataset.shape), dataset.vocabulary - 1)
            message = f"the model {self.name} fails on the token {dataset.vocabulary - 1}, the largest of the data"
            on_gpu = dataset.train.inputs.is_cuda  # where the process could compute nothing more after this error
            try:
                with torch.no_grad():
                    (copy.deepcopy(module).cpu() if on_gpu else module)(largest)
            except IndexError as error:
                raise InputError(f"{message}: {one_line(error)}") from None
            except RuntimeError:
                if not on_gpu:  # else of a tensor that is no buffer, and stayed there
                    raise

    def build(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        module = self.factory(shape, num_classes)
        kind = type(module).__name__
        check(isinstance(module, nn.Module), f"{self.name} returned a value of type {kind}, not an nn.Module")
        if self.tokens:
            module.register_forward_pre_hook(_as_whole_numbers)
        materialised(module, shape)  # lazy buffers have no copy
        hooked = [name for name, parameter in module.named_parameters() if parameter._backward_hooks]
        check(not hooked, f"{self.name}: a copy of the module has no hook on {', '.join(hooked[:1])}: use module hooks")
        computed = [value for part in module.modules() for value in vars(part).values() if isinstance(value, Tensor)]
        memo = {id(value): value.detach().clone() for value in computed if not value.is_leaf}  # of the old weight norm
        return copy.deepcopy(module, memo)  # a factory may return the same module at every call; training changes it


def load(path: str, given: Mapping[str, Any]) -> Model:
    """Return the model at a path: a `Model`, or a function that builds a module, with the option `vectorised`."""
    thing = import_object(path, "model")
    cls = thing if isinstance(thing, type) and issubclass(thing, Model) else UserModel
    if isinstance(thing, Model):
        check(not given, f"{path} is an object, not a class: it takes no options")
        return thing
    known = [field.name for field in options(cls) if field.repr]
    for option in given:
        if option not in known:
            raise unknown(f"option of {path}", option, known or ["none"])
    try:
        return cls(**given) if cls is thing else UserModel(factory=thing, **given)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _as_whole_numbers(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the inputs of a module as int64: a hook before its forward pass."""
    return tuple(each.to(torch.int64) for each in inputs)


def _takes_two(factory: Callable[..., nn.Module]) -> bool:
    """Return whether a factory can be called with a shape and a number of classes."""
    try:
        inspect.signature(factory).bind((), 0)
    except (TypeError, ValueError):
        return False
    return True
