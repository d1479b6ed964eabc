"""Digests of the files with a user's own code that a result depends on, as first read by this process."""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from ..core.errors import InputError, check
from ..core.importing import in_session, is_importable
from ..core.names import canonical
from ..core.plugin import Plugin

# The names under which a spec has the digests of a user's network: its layers, and its numbers before the first round.
LAYERS, NETWORK = "layers", "network"


def user_code(*parts: Any, counts: Callable[[Any], bool] = lambda item: True) -> dict[str, str]:
    """Return the SHA-256 of the file that defines each user's class, base class or function, by qualified name.

    parts: objects, classes or functions; gradskew's own have no entry. A `Plugin` has one entry, under its path, for
    all of its files. Code of this session (see `session_code`) has a digest that no other process gives. counts:
    whether to include a class or function.
    """
    code = {}
    for part in parts:
        if isinstance(part, Plugin) and part.function is not None:
            code[part.path] = _session_digest(part.function)
        elif isinstance(part, Plugin):
            files = {"module": _file_digest(part.module, part.path), **part.protocol, **user_code(part.code)}
            code[part.path] = hashlib.sha256(canonical(files).encode()).hexdigest()
        else:
            code |= {name: _file_digest(item, name) for name, item in _definitions(part) if counts(item)}
    return code


def session_code(*parts: Any) -> list[str]:
    """Return the names of the user's code that only this process has, as it was typed in a notebook or at a prompt."""
    functions = [part.path for part in parts if isinstance(part, Plugin) and part.function is not None]
    others = [part for part in parts if not isinstance(part, Plugin)]
    return functions + [name for part in others for name, item in _definitions(part) if in_session(item)]


def _definitions(part: Any) -> Iterator[tuple[str, Any]]:
    """Yield the user's classes and functions that define an object, class or function, by qualified name."""
    defined = part if inspect.isfunction(part) or inspect.isclass(part) else type(part)
    for item in inspect.getmro(defined) if inspect.isclass(defined) else [defined]:
        module = item.__module__.replace("__mp_main__", "__main__")  # the name of a script in worker processes
        if module.split(".")[0] not in ("gradskew", "builtins", "abc", "typing"):
            yield f"{module}.{item.__qualname__}", item


def check_unchanged(parts: Iterable[Any], known: Mapping[str, str]) -> None:
    """Raise InputError unless the user's code in this process has the `known` digests.

    A class without its file is not compared: Ray sends the classes of a script by value.
    """
    code = user_code(*parts, counts=is_importable)
    changed = sorted(name for name, digest in code.items() if known.get(name) != digest)
    check(not changed, f"the file of {', '.join(changed)} has changed since the start: start again")


def _file_digest(item: Any, name: str) -> str:
    """Return the SHA-256 of the file that defines a module, class or function, read at the first call."""
    spec = getattr(item, "__spec__", None)  # of a module: a new object if it is loaded again
    known = _digests.get(item)
    if known is None or known[0] is not spec or (spec is None and inspect.ismodule(item)):
        try:
            known = spec, hashlib.sha256(Path(inspect.getfile(item)).read_bytes()).hexdigest()
        except (OSError, TypeError):
            if in_session(item):
                return _session_digest(item)
            message = f"{name} is not defined in a file, so the digest of the run cannot include its code"
            raise InputError(message) from None
        _digests[item] = known
    return known[1]


def _session_digest(item: Any) -> str:
    return hashlib.sha256(f"object {id(item)} of process {os.getpid()}".encode()).hexdigest()


_digests: WeakKeyDictionary[Any, tuple[Any, str]] = (
    WeakKeyDictionary()
)  # cached, since a file may change after its import
