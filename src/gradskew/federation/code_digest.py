"""The files with a user's own code that a result depends on, as they were when they were read."""

from __future__ import annotations

import hashlib
import inspect
import operator
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from ..core.errors import InputError, check
from ..core.names import canonical
from ..core.plugin import Plugin


def user_code(*parts: Any, counts: Callable[[Any], bool] = lambda item: True) -> dict[str, str]:
    """Return the SHA-256 of each file that defines a user's class, its bases or function, by the names of these.

    parts: objects, classes or functions; those of this package have no entry. A `Plugin` has one for all files that it
    depends on, by its path. counts: whether a class or function is to have an entry.
    """
    code = {}
    for part in parts:
        if isinstance(part, Plugin):
            files = {"module": _digest_of_file(part.module, part.path), **part.protocol, **user_code(part.code)}
            code[part.path] = hashlib.sha256(canonical(files).encode()).hexdigest()
            continue
        defined = part if inspect.isfunction(part) or inspect.isclass(part) else type(part)
        for item in inspect.getmro(defined) if inspect.isclass(defined) else [defined]:
            module = item.__module__.replace("__mp_main__", "__main__")  # a script's name in its workers
            if module.split(".")[0] not in ("gradskew", "builtins", "abc", "typing") and counts(item):
                name = f"{module}.{item.__qualname__}"
                code[name] = _digest_of_file(item, name)
    return code


def check_unchanged(parts: Iterable[Any], known: Mapping[str, str]) -> None:
    """Raise InputError if this process has read other code than that with the `known` digests.

    A class that was sent without its file (Ray sends those of a script whole) is not compared.
    """
    code = user_code(*parts, counts=_of_a_module)
    changed = sorted(name for name, digest in code.items() if known.get(name) != digest)
    check(not changed, f"the file of {', '.join(changed)} has changed since this began: start it again")


def _of_a_module(item: Any) -> bool:
    """Return whether a class or function is the one that its module has under its name."""
    try:
        return operator.attrgetter(item.__qualname__)(sys.modules.get(item.__module__)) is item
    except AttributeError:
        return False


def _digest_of_file(item: Any, name: str) -> str:
    """Return the SHA-256 of the file that defines a module, class or function, as it was at the first call."""
    spec = getattr(item, "__spec__", None)  # of a module: another one if it is loaded again
    known = _digests.get(item)
    if known is None or known[0] is not spec or (spec is None and inspect.ismodule(item)):
        try:
            known = spec, hashlib.sha256(Path(inspect.getfile(item)).read_bytes()).hexdigest()
        except (OSError, TypeError):
            message = f"{name} is not defined in a file, so its result could not be told from another's"
            raise InputError(message) from None
        _digests[item] = known
    return known[1]


_digests: WeakKeyDictionary[Any, tuple[Any, str]] = WeakKeyDictionary()  # since a file may change after it was read
