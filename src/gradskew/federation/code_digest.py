"""The code of a user's own that a result depends on: which files, as they were when they were read."""

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
    """The SHA-256 of each file that defines a user's class, its bases or function, as far as that counts.

    By what the file defines; nothing for our own. What is known by a path has one for all files that it depends on,
    under that path.
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
    """Raise InputError if this process has read other code than that which is known.

    What came without its file (Ray sends a script's own classes whole) is what it was there.
    """
    code = user_code(*parts, counts=_of_a_module)
    changed = sorted(name for name, digest in code.items() if known.get(name) != digest)
    check(not changed, f"the file of {', '.join(changed)} has changed since this began: start it again")


def _of_a_module(item: Any) -> bool:
    """Whether a class or function is what its module has under its name."""
    try:
        return operator.attrgetter(item.__qualname__)(sys.modules.get(item.__module__)) is item
    except AttributeError:
        return False


def _digest_of_file(item: Any, name: str) -> str:
    """The SHA-256 of the file that a module, class or function is defined in, as it was when it was first asked for."""
    spec = getattr(item, "__spec__", None)  # of a module: another one if it is loaded again
    known = _digests.get(item)
    if known is None or known[0] is not spec or (spec is None and inspect.ismodule(item)):
        try:
            known = spec, hashlib.sha256(Path(inspect.getfile(item)).read_bytes()).hexdigest()
        except (OSError, TypeError):
            said = f"{name} is not defined in a file, so its result could not be told from another's"
            raise InputError(said) from None
        _digests[item] = known
    return known[1]


_digests: WeakKeyDictionary[Any, tuple[Any, str]] = WeakKeyDictionary()  # since a file may change after it was read
