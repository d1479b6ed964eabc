"""From names to objects: the grammar `bucketing(s=2)+multikrum`, and one table of names per kind."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import math
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from .errors import InputError, check, unknown

T = TypeVar("T", bound="Named")
LONGEST = 500  # characters of one name with its options
PATH = re.compile(r"(?:^|(?<=\+))\s*[^\W\d][\w.]*:[^\W\d][\w.]*(?=\s*(?:[(+]|$))")  # package.module:name


class Named:
    """Base of the frozen dataclasses that have a name: their fields are the hyperparameters."""

    key: ClassVar[str]
    source: ClassVar[str] = ""  # the paper, for `gradskew list`

    @property
    def name(self) -> str:
        """The shortest text that makes this object again: options at their default are left out."""
        fields = [field for field in options(type(self)) if field.repr]
        values = [(field, _value(self, field)) for field in fields]
        changed = [f"{field.name}={value}".replace(" ", "") for field, value in values if value != field.default]
        return f"{self.key}({','.join(changed)})" if changed else self.key


def describe(part: Any) -> dict[str, Any]:
    """The name and every hyperparameter of a named object as a JSON object, for the digest.

    A field with repr=False (a folder) does not count. Raises InputError for what could not be told from another: a
    class with an `__init__` of its own, or a field that is no number, string or tuple of them.
    """
    cls = type(part)
    good = isinstance(part, Named) and hasattr(cls, "key") and dataclasses.is_dataclass(cls)
    check(good, f"{cls.__qualname__} must be a dataclass with a `key`: its fields are its hyperparameters")
    same = list(inspect.signature(cls).parameters) == [field.name for field in options(cls)]
    check(same, f"{cls.__qualname__} must leave __init__ to dataclass: its fields are its hyperparameters")
    return {"name": part.key, **{field.name: _value(part, field) for field in options(cls) if field.repr}}


def _value(part: Named, field: dataclasses.Field[Any]) -> Any:
    """A hyperparameter as JSON has it (but for tuples); 1 and 1.0 are one value of a float."""
    value = getattr(part, field.name)
    if isinstance(value, Named):
        return describe(value)
    entries = value if isinstance(value, tuple) else (value,)
    good = all(entry is None or type(entry) in (bool, int, float, str) for entry in entries)
    kind = type(value).__name__
    check(good, f"{type(part).__qualname__}.{field.name} must be a number, a string or a tuple of them, not a {kind}")
    if type(value) is float and not math.isfinite(value):
        return str(value)  # JSON has no word for it
    return float(value) if "float" in str(field.type) and type(value) is int else value


def options(cls: type) -> list[dataclasses.Field[Any]]:
    """The hyperparameters of a class: the fields that its constructor takes."""
    return [field for field in dataclasses.fields(cls) if field.init]


class Registry(Generic[T]):
    """The table of names of one kind, and the only place where such a name becomes an object."""

    def __init__(self, kind: str, classes: Iterable[type[T]]):
        self.kind = kind
        self.classes: dict[str, type[T]] = {cls.key: cls for cls in classes}

    def __iter__(self) -> Iterator[str]:
        return iter(self.classes)

    def make(self, name: str, given: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> T:
        """The object called `name`; `given` options count over a preset's `defaults`."""
        if name not in self.classes:
            raise unknown(self.kind, name, self.classes)
        known = [field.name for field in options(self.classes[name])]
        for option in given:
            if option not in known:
                raise unknown(f"option of {name}", option, known or ["none"])
        try:
            return self.classes[name](**{**(defaults or {}), **given})
        except InputError as error:
            raise InputError(f"{name}: {error}") from None


def parse(text: str) -> list[tuple[str, dict[str, Any]]]:
    """The names of a pipeline with their options, in order; a name may be a path such as `package.module:rule`.

    >>> parse("bucketing(s=2)+median(middle=lower)")
    [('bucketing', {'s': 2}), ('median', {'middle': 'lower'})]
    """
    paths: dict[str, str] = {}

    def stand_in(found: re.Match[str]) -> str:
        paths[name := f"path_{len(paths)}_"] = found[0]
        return name

    wrong = InputError(f"cannot read {text[:80]!r}: write a name, name(option=value), or several joined by '+'")
    check(len(text) <= LONGEST, f"the name {text[:40]!r}... has more than {LONGEST} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's remarks on odd literals would be lines beside our own
            node = ast.parse(PATH.sub(stand_in, text.strip()), mode="eval").body
        stages: list[ast.expr] = []
        while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            stages.insert(0, node.right)
            node = node.left
        read = [_stage(stage, wrong) for stage in [node, *stages]]
        return [(paths.get(name, name), options) for name, options in read]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise error if isinstance(error, InputError) else wrong from None


def parse_one(text: str, kind: str) -> tuple[str, dict[str, Any]]:
    """One name with its options; a hyphen in the name counts as an underscore."""
    head, bracket, tail = text.partition("(")
    stages = parse(head.replace("-", "_") + bracket + tail)
    check(len(stages) == 1, f"a {kind} is one name, not several: {text!r}")
    return stages[0]


def _stage(node: ast.expr, wrong: InputError) -> tuple[str, dict[str, Any]]:
    if isinstance(node, ast.Name):
        return node.id, {}
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        raise wrong
    names = [keyword.arg for keyword in node.keywords]
    if node.args or None in names:
        raise InputError(f"options of {node.func.id} are written name=value")
    check(len(set(names)) == len(names), f"an option of {node.func.id} is given twice")
    return node.func.id, {str(keyword.arg): _literal(keyword.value) for keyword in node.keywords}


def _literal(node: ast.expr) -> Any:
    """A Python literal, or else the text itself: `lower`, `n-f-1` and `f/s` need no quotes."""
    try:
        return ast.literal_eval(node)
    except (TypeError, ValueError):
        return ast.unparse(node).replace(" ", "")


def split_list(text: str, name: str = "the list") -> list[str]:
    """The parts of a comma-separated list; commas inside parentheses do not split. name: what an error calls it.

    >>> split_list("mean, lie(z=1.0,sign=-1),strike")
    ['mean', 'lie(z=1.0,sign=-1)', 'strike']
    """
    parts, depth = [""], 0
    for char in text:
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    stripped = [part.strip() for part in parts]
    check(all(stripped), f"empty entry in {name}: {text[:80]!r}")
    check(len(set(stripped)) == len(stripped), f"an entry is given twice in {name}: {text[:80]!r}")
    return stripped


def canonical(content: Any) -> str:
    """The one JSON text of an object: sorted keys, no NaN."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
