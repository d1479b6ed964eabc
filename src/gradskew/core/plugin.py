"""A rule or an attack of somebody else: built from its path, called, and what it remembers kept."""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import FunctionType, ModuleType
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from .errors import InputError, check, check_choice, check_number
from .grammar import parse_one
from .importing import LIMIT, import_object, is_path, one_line, time_limit
from .randomness import drawing
from .state import Stateful

ARRAYS = ("auto", "torch", "numpy")
NUMBERS = (bool, int, float, np.generic, np.ndarray, Tensor)


@dataclass(frozen=True, kw_only=True)
class Plugin(Stateful):
    """A function or object of somebody else, which each process imports for itself.

    path: where it is. options: what it is built or called with, as written: `f=10,nu=0.1`. arrays: what it is given,
    torch tensors or NumPy arrays; `auto` tries both. limit: seconds that a call may take. called: the name that a
    package registered for it, if it goes by that.
    """

    key: ClassVar[str] = "user"
    kind: ClassVar[str]
    terms: ClassVar[Mapping[str, str]] = {}  # on which it is called, where they have changed since the first version
    path: str
    options: str = ""
    arrays: str = "auto"
    limit: float = field(default=LIMIT, repr=False)
    called: str = ""

    def __post_init__(self) -> None:
        check(is_path(self.path), f"a path is written package.module:name, not {self.path!r}")
        check_choice("arrays", self.arrays, ARRAYS)
        check_number("limit", self.limit, above=0, at_most=86_400)

    @property
    def name(self) -> str:
        given = [*([self.options] if self.options else [])]
        given += [] if self.arrays == "auto" else [f"arrays={self.arrays}"]
        return (self.called or self.path) + (f"({','.join(given)})" if given else "")

    @property
    def target(self) -> Any:
        """The function or object itself, built when it is first asked for: what it remembers is this rule's own."""
        if "target" not in self._state:
            try:
                with time_limit(self.limit):
                    made = _built(import_object(self.path, self.kind), parse_one(f"x({self.options})", self.kind)[1])
                    self._state["target"] = copy.deepcopy(made)  # a module may hold an object for all
            except InputError:
                raise
            except (Exception, SystemExit) as error:
                raise InputError(f"cannot make the {self.kind} {self.name}: {one_line(error)}") from error
        return self._state["target"]

    @property
    def code(self) -> Any:
        """The function, or the class of the object, behind options, methods and decorators."""
        target = self.target
        while isinstance(target, functools.partial):
            target = target.func
        target = inspect.unwrap(getattr(target, "__func__", target))
        return target if isinstance(target, FunctionType) else type(target)

    @property
    def module(self) -> ModuleType:
        """The module that its path names."""
        return importlib.import_module(self.path.strip().partition(":")[0])

    def ask(self, first: Tensor, offered: Mapping[str, Any], seed: int) -> Tensor:
        """What it returns, called with `first` and those of `offered` that it has a parameter for.

        Torch's global generator is seeded for it. It gets the tensors themselves, or their memory as arrays: copy them
        before. Raises InputError, with one sentence, whatever it raises, and after `limit` seconds.
        """
        kinds = [self._state["arrays"]] if "arrays" in self._state else self._kinds()
        spare = first.clone() if len(kinds) > 1 else first
        failure: BaseException | None = None
        for kind in kinds:
            if failure is not None:  # forget what the failed call did
                self._state.pop("target")
                first.copy_(spare)
            args, named = bind_arguments(
                self.target, _as(kind, first), {key: _as(kind, x) for key, x in offered.items()}
            )
            try:
                with drawing(seed), time_limit(self.limit):
                    answer = _tensor(self.target(*args, **named), first)
            except (Exception, SystemExit) as error:
                failure = failure or error
                if isinstance(error, TimeoutError):
                    break
            else:
                self._state["arrays"] = kind
                return answer
        assert failure is not None
        told = str(failure) if isinstance(failure, InputError) else f"raised {one_line(failure)}"
        raise InputError(f"{self.name} {told}") from failure

    def _kinds(self) -> list[str]:
        """What to try: first NumPy arrays if the function, or the module of the class, uses NumPy and not torch."""
        if self.arrays != "auto":
            return [self.arrays]
        code = self.code
        known = vars(sys.modules.get(code.__module__, self.module))
        used = code.__code__.co_names if isinstance(code, FunctionType) else list(known)
        modules = {known[name].__name__ for name in used if isinstance(known.get(name), ModuleType)}
        return ["numpy", "torch"] if "numpy" in modules and "torch" not in modules else ["torch", "numpy"]

    def __getstate__(self) -> dict[str, Any]:
        """Pickled, it is its path and options: functions inside functions travel to no other process."""
        return {**vars(self), "_state": {}}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        made = replace(self)
        made._state.update(copy.deepcopy(self._state, memo))
        return made

    @property
    def _holder(self) -> Any:
        """The object whose attributes may remember something, behind options and methods; None for a function."""
        target = self._state.get("target")
        while isinstance(target, functools.partial):
            target = target.func
        target = getattr(target, "__self__", target) if inspect.ismethod(target) else target
        return target if hasattr(target, "__dict__") and not isinstance(target, FunctionType) else None

    def state_dict(self) -> dict[str, Any]:
        """What the object has as attributes; arrays as tensors. A function has nothing: where would it be?"""
        held = dict(vars(self._holder)) if self._holder is not None else {}
        arrays = {f"array {key}": torch.tensor(held.pop(key).copy()) for key in list(held) if _is_numbers(held[key])}
        values = {key: value.clone() if isinstance(value, Tensor) else value for key, value in held.items()}
        kind = {"arrays": self._state["arrays"]} if "arrays" in self._state else {}
        return {**kind, **{f"own {key}": value for key, value in values.items()}, **arrays}

    def is_valid_state(self, state: Mapping[str, Any], d: int) -> bool:
        """Whether a fresh object takes all of it: as attributes that it has as data, or has not yet."""
        fresh = replace(self)
        fresh.target  # noqa: B018 (built)
        return all(fresh._takes(key, value) for key, value in state.items())

    def _takes(self, key: str, value: Any) -> bool:
        """Whether it may remember this: not in place of a method or such, nor words for numbers or the reverse."""
        word, _, attribute = key.partition(" ")
        holder = self._holder
        if key == "arrays":
            return value in ("torch", "numpy")
        if word not in ("own", "array") or holder is None or not attribute.isidentifier():
            return False
        if word == "array" and not isinstance(value, Tensor):
            return False
        now = vars(holder).get(attribute, inspect.getattr_static(type(holder), attribute, None))
        if now is None or value is None:
            return True
        return isinstance(value, str) == isinstance(now, str) and isinstance(now, (str, *NUMBERS))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.reset()
        for key, value in state.items():
            word, _, attribute = key.partition(" ")
            if not attribute:
                self._state[key] = value
            else:
                self.target  # noqa: B018 (built if it was not yet)
                vars(self._holder)[attribute] = value.numpy().copy() if word == "array" else copy.copy(value)


def load_plugin(wrapper: type[Plugin], base: type, path: str, given: Mapping[str, Any], called: str = "") -> Any:
    """Return the object at a path, made with these options: as it is if it is a `base`, else wrapped.

    called: the name under which a package registered it. InputError if it cannot be imported or built.
    """
    own = {key: value for key, value in given.items() if key in ("arrays", "limit")}
    options = ",".join(f"{key}={value!r}" for key, value in given.items() if key not in own)
    made = wrapper(path=path.strip(), options=options, called=called, **own)
    target = made.target
    if isinstance(target, base):
        return target
    check(callable(target), f"{path} is a {type(target).__name__}, not something that can be called")
    made.reset()  # what was built for a look is not what a run starts with
    return made


def _built(thing: Any, options: Mapping[str, Any]) -> Any:
    """A class is called with its options; so is a function that has no use for a matrix; else they are added."""
    if inspect.isclass(thing):
        return thing(**options)
    if not callable(thing) or not _binds(thing, (), options):
        if options and callable(thing):
            inspect.signature(thing).bind_partial(**options)  # a TypeError now is better than one in every call
            return functools.partial(thing, **options)
        return thing
    return thing if not options and _binds(thing, (None,), {}) else thing(**options)


def _binds(function: Callable[..., Any], args: tuple[Any, ...], options: Mapping[str, Any]) -> bool:
    try:
        inspect.signature(function).bind(*args, **options)
    except (TypeError, ValueError):
        return False
    return True


def bind_arguments(
    function: Callable[..., Any], first: Any, offered: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How to call a function: `first`, what it names of `offered`, and `f` for a second argument of another name."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # compiled code may tell nothing
        return (first,), {}
    named = {p.name: offered[p.name] for p in parameters[1:] if p.name in offered and p.kind != p.POSITIONAL_ONLY}
    second = parameters[1] if len(parameters) > 1 else None
    wants = second is not None and second.default is second.empty and second.name not in named
    by_place = second is not None and second.kind in (second.POSITIONAL_ONLY, second.POSITIONAL_OR_KEYWORD)
    return ((first, offered["f"]) if wants and by_place else (first,)), named


def _as(kind: str, value: Any) -> Any:
    return value.cpu().numpy() if kind == "numpy" and isinstance(value, Tensor) else value


def _is_numbers(value: Any) -> bool:
    """Whether it is an array that torch can hold."""
    known = isinstance(value, np.ndarray) and value.dtype.kind in "fiub" and value.dtype.isnative
    return known and value.dtype.char != "g"  # a long double, also where it is no longer than others


def _tensor(answer: Any, like: Tensor) -> Tensor:
    """An answer as a tensor of its own, in the type of the rows."""
    if not isinstance(answer, Tensor):
        array = np.asarray(answer)
        check(array.dtype.kind in "fiub", f"returned a {type(answer).__name__}, not a vector of numbers")
        answer = torch.from_numpy(np.array(array, dtype=np.float64, order="C"))
    check(not answer.is_complex() and not answer.is_sparse, "returned complex or sparse numbers")
    vector: Tensor = answer.detach().to(like.device, like.dtype, copy=True)
    return vector
