"""A user's own rule or attack: import it from its path, build it, call it, save and restore its state."""

from __future__ import annotations

import copy
import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import FunctionType, ModuleType
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from .calling import bind_arguments, build, without_options
from .errors import InputError, check, check_choice, check_number
from .grammar import parse_one
from .importing import LIMIT, import_object, in_session, is_importable, is_path, one_line, time_limit, with_place
from .names import Named
from .randomness import drawing
from .state import Stateful

ARRAYS = ("torch", "numpy")
NUMBERS = (bool, int, float, np.generic, np.ndarray, Tensor)
ARRAY = "numpy "  # prefix of an attribute's name in a state: a NumPy array, stored as a tensor


@dataclass(frozen=True, kw_only=True)
class Plugin(Stateful):
    """A user's function or object, which each process imports for itself.

    path: `package.module:name`. options: the options that it is built or called with, as text: `f=10,nu=0.1`. arrays:
    `torch` or `numpy`, the type of its arguments. limit: time limit of a call, in seconds. alias: the name that an
    installed package registers for the path, if the user gave that name. function: the function or object itself, if
    the path does not lead to it: then it stays in this process.
    """

    key: ClassVar[str] = "user"
    kind: ClassVar[str]
    protocol: ClassVar[Mapping[str, str]] = {}  # for the digest: how calls differ from those of the first version
    path: str
    options: str = ""
    arrays: str = "torch"
    limit: float = field(default=LIMIT, repr=False)
    alias: str = ""
    function: Any = field(default=None, repr=False, hash=False)

    def __post_init__(self) -> None:
        check(is_path(self.path), f"a path is written package.module:name, not {self.path!r}")
        check_choice("arrays", self.arrays, ARRAYS)
        check_number("limit", self.limit, above=0, at_most=86_400)

    @property
    def name(self) -> str:
        options = [self.options] if self.options else []
        options += [] if self.arrays == "torch" else [f"arrays={self.arrays}"]
        return (self.alias or self.path) + (f"({','.join(options)})" if options else "")

    @property
    def target(self) -> Any:
        """The function or object, built at the first access and kept as state, not shared with other plugins."""
        if "target" not in self._state:
            try:
                with time_limit(self.limit):
                    self._state["target"] = copy.deepcopy(self._made())  # the path may name one object of the module
            except InputError:
                raise
            except (Exception, SystemExit) as error:
                raise InputError(f"cannot make the {self.kind} {self.name}: {one_line(error)}") from error
        return self._state["target"]

    def _made(self) -> Any:
        if self.function is not None:
            return self.function
        return build(import_object(self.path, self.kind), parse_one(f"x({self.options})", self.kind)[1])

    @property
    def code(self) -> Any:
        """The user's function, or the class of the object, without bound options, methods and decorators."""
        target = without_options(self.target)
        target = inspect.unwrap(getattr(target, "__func__", target))
        return target if isinstance(target, FunctionType) else type(target)

    @property
    def module(self) -> ModuleType:
        """The module of the path."""
        return importlib.import_module(self.path.strip().partition(":")[0])

    def call(self, first: Tensor, others: Mapping[str, Any], seed: int) -> Tensor:
        """Call the target with `first` and those of `others` that are its parameters; return the result as a tensor.

        The tensors are passed without a copy, as arrays that share their memory with arrays=numpy. seed: for torch's
        global generators during the call. Raises InputError for any exception of the target, and after `limit` seconds.
        """
        convert = (lambda x: x.cpu().numpy() if isinstance(x, Tensor) else x) if self.arrays == "numpy" else lambda x: x
        given = {key: convert(value) for key, value in others.items()}
        args, named = bind_arguments(self.target, convert(first), given)
        try:
            with drawing(seed, first.device), time_limit(self.limit):
                return _tensor(self.target(*args, **named), first)
        except InputError as error:
            raise InputError(f"{self.name} {error}") from error
        except (Exception, SystemExit) as error:
            began = error.__traceback__ is not None and error.__traceback__.tb_next is not None  # the arguments fit
            wrong_type = self.arrays == "torch" and isinstance(error, (AttributeError, TypeError)) and began
            hint = " (it is given torch tensors; arrays=numpy gives it NumPy arrays)" if wrong_type else ""
            raise InputError(f"{self.name} raised {with_place(error)}{hint}") from error

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields without the state, as a nested function cannot be pickled."""
        check(self.function is None, f"{self.path} cannot be sent to another process: put it in a file and import it")
        return {**vars(self), "_state": {}}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        made = replace(self)
        made._state.update(copy.deepcopy(self._state, memo))
        return made

    @property
    def _owner(self) -> Any:
        """The object whose attributes are the state, without bound options and methods; None for a function."""
        target = without_options(self.target)
        owner = target.__self__ if inspect.ismethod(target) else target
        return owner if hasattr(owner, "__dict__") and not isinstance(owner, FunctionType) else None

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the object's attributes, with arrays as tensors; empty for a function."""
        state = {}
        for key, value in vars(self._owner).items() if self._owner is not None else ():
            if _is_numbers(value):
                state[ARRAY + key] = torch.tensor(value.copy())
            else:
                state[key] = value.clone() if isinstance(value, Tensor) else value
        return state

    def is_valid_state(self, state: Mapping[str, Any], d: int) -> bool:
        """Return whether a new object can take the whole state: as data attributes, or as new attributes."""
        owner = replace(self)._owner
        return not state or (owner is not None and all(_can_take(owner, key, value) for key, value in state.items()))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.reset()
        for key, value in state.items():
            copied = value.cpu().numpy().copy() if key.startswith(ARRAY) else copy.copy(value)
            vars(self._owner)[key.removeprefix(ARRAY)] = copied


def load_plugin(wrapper: type[Plugin], base: type, path: str, given: Mapping[str, Any], alias: str = "") -> Any:
    """Return the object at a path, built with these options: as it is if it is a `base`, else in a `wrapper`.

    alias: the name that an installed package registers for the path. Raises InputError if it cannot be built.
    """
    own = {key: value for key, value in given.items() if key in ("arrays", "limit")}
    options = ",".join(f"{key}={value!r}" for key, value in given.items() if key not in own)
    made = wrapper(path=path.strip(), options=options, alias=alias, **own)
    target = made.target
    if isinstance(target, base):
        return target
    check(callable(target), f"{path} is of type {type(target).__name__}, and cannot be called")
    made.reset()  # each run builds an object of its own
    return made


def wrap_object(wrapper: type[Plugin], base: type, thing: Any, arrays: str) -> Any:
    """Return a user's object as it is if it is a `base`, and a function or other object in a `wrapper`.

    A function or class that other processes can import is wrapped by its path, as if the user had given that. arrays:
    the type of its arguments. Raises InputError for what can be neither.
    """
    if isinstance(thing, type) and issubclass(thing, base):
        thing = thing()
    if isinstance(thing, base):
        return thing
    wanted = f"{wrapper.kind} must be a name, a function or an {base.__name__}"
    check(callable(thing) and not isinstance(thing, Named), f"{wanted}, not {thing!r:.60}")
    defined = thing if hasattr(thing, "__qualname__") else type(thing)
    path = f"{defined.__module__}:{defined.__qualname__}"
    if thing is defined and is_importable(thing) and not in_session(thing):
        return load_plugin(wrapper, base, path, {} if arrays == "torch" else {"arrays": arrays})
    return wrapper(path=path, function=thing() if isinstance(thing, type) else thing, arrays=arrays)


def _can_take(owner: object, key: str, value: Any) -> bool:
    """Return whether the attribute may be set: it is new, or data of the same kind, a text or numbers."""
    attribute = key.removeprefix(ARRAY)
    if not attribute.isidentifier() or (key != attribute and not isinstance(value, Tensor)):
        return False
    now = vars(owner).get(attribute, inspect.getattr_static(type(owner), attribute, None))
    if now is None or value is None:
        return True
    return isinstance(value, str) == isinstance(now, str) and isinstance(now, (str, *NUMBERS))


def _is_numbers(value: Any) -> bool:
    """Return whether a value is a NumPy array that torch can convert."""
    known = isinstance(value, np.ndarray) and value.dtype.kind in "fiub" and value.dtype.isnative
    return known and value.dtype.char != "g"  # no long double, even on systems where it is a double


def _tensor(answer: Any, like: Tensor) -> Tensor:
    """Return a copy of a result as a tensor of the type and device of `like`."""
    if not isinstance(answer, Tensor):
        check(not np.ma.is_masked(answer), "returned masked entries: fill them first")
        array = np.asarray(answer)
        check(array.dtype.kind in "fiub", f"returned a value of type {type(answer).__name__}, not a vector of numbers")
        answer = torch.from_numpy(np.array(array, dtype=np.float64, order="C"))
    check(not answer.is_complex() and not answer.is_sparse, "returned complex or sparse numbers")
    vector: Tensor = answer.detach().to(like.device, like.dtype, copy=True)
    return vector
