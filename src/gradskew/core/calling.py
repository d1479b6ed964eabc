"""Build a user's function or object with its options, and bind the arguments of a call to its parameters."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any


def build(thing: Any, options: Mapping[str, Any]) -> Any:
    """Return the target: the result of a class or factory called with the options, or a function with them bound.

    A factory is a function that the options suffice to call: it has no required parameter for the rows.
    """
    if inspect.isclass(thing):
        return thing(**options)
    if not callable(thing) or not _can_call(thing, (), options):
        if options and callable(thing):
            inspect.signature(thing).bind_partial(**options)  # a TypeError now is better than one in every call
            return functools.partial(thing, **options)
        return thing
    return thing if not options and _can_call(thing, (None,), {}) else thing(**options)


def _can_call(function: Callable[..., Any], args: tuple[Any, ...], options: Mapping[str, Any]) -> bool:
    """Return whether a function can be called with these arguments; False if it has no signature."""
    try:
        inspect.signature(function).bind(*args, **options)
    except (TypeError, ValueError):
        return False
    return True


def bind_arguments(
    function: Callable[..., Any], first: Any, others: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and keyword arguments of a call: `first`, and those of `others` that are parameters.

    A required second parameter of any other name gets `f`.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # compiled code may have no signature
        return (first,), {}
    named = {p.name: others[p.name] for p in parameters[1:] if p.name in others and p.kind != p.POSITIONAL_ONLY}
    second = parameters[1] if len(parameters) > 1 else None
    required = second is not None and second.default is second.empty and second.name not in named
    positional = second is not None and second.kind in (second.POSITIONAL_ONLY, second.POSITIONAL_OR_KEYWORD)
    return ((first, others["f"]) if required and positional else (first,)), named


def takes(function: Callable[..., Any], name: str) -> bool:
    """Return whether a function takes a keyword argument of this name, as a parameter or through `**`."""
    parameters = inspect.signature(function).parameters
    return name in parameters or any(each.kind == each.VAR_KEYWORD for each in parameters.values())


def without_options(target: Any) -> Any:
    """Return the function or object to which options are bound."""
    while isinstance(target, functools.partial):
        target = target.func
    return target
