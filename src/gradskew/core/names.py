"""Named methods: frozen dataclasses whose fields are hyperparameters, their names as text, their part of a digest."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

from .errors import check, plain
from .grammar import format_value

# The options that each method had when the first results were stored: they are always part of the digest. This table
# never changes: an option that is added later is part of the digest only where it differs from its default.
FIRST: Mapping[str, frozenset[str]] = {
    key: frozenset(options.split())
    for key, options in {
        "user": "path options arrays called vectorised",
        "multikrum": "m neighbours",
        "median": "middle",
        "rfa": "nu steps start",
        "aksel": "middle select",
        "cclip": "tau steps",
        "dnc": "b c iterations replacement",
        "mixed": "mixing rule",
        "bucketing": "s told_f",
        "nnm": "itself",
        "lie": "z sign",
        "ipm": "epsilon",
        "minmax": "p",
        "minsum": "p bound",
        "mimic": "warmup variant",
        "strike": "nu middle max_alpha few",
        "dirichlet": "beta min_samples",
        "mlp": "hidden",
        "cnn": "width stride",
        "alexnet": "width",
        "resnet18": "norm width stem",
        "sgd": "epochs batch lr momentum weight_decay clip",
    }.items()
}


class Fields:
    """Base class of dataclasses whose fields are numbers and words: NumPy's become Python's before `__post_init__`."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = vars(cls).get("__post_init__")
        if own is not None:

            @functools.wraps(own)
            def first_plain(self: Any) -> None:
                Fields.__post_init__(self)
                own(self)

            cls.__post_init__ = first_plain  # type: ignore[method-assign]

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if plain(value) is not value:
                object.__setattr__(self, field.name, plain(value))


class Named(Fields):
    """Base class of methods with a name: frozen dataclasses whose fields are the hyperparameters.

    key: the name, lower case with underscores. title: the name as papers write it, for tables in print; empty: the key.
    source: the paper, for `gradskew list`. presets: the options that each preset changes. aliases: other names, as
    papers and other libraries write them, with the options that they stand for. titles: those aliases that papers have
    as methods of their own, as papers write them. unlisted: fields that a name gives in another way than as options.
    `key` and `aliases` must be literals: a catalogue parses them without importing the file.
    """

    key: ClassVar[str]
    title: ClassVar[str] = ""
    source: ClassVar[str] = ""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    titles: ClassVar[Mapping[str, str]] = {}
    unlisted: ClassVar[Sequence[str]] = ()

    @classmethod
    def preset(cls, name: str) -> Mapping[str, Any]:
        """Return the options that a preset changes; those of a base class are not inherited."""
        options: Mapping[str, Any] = vars(cls).get("presets", {}).get(name, {})
        return options

    @classmethod
    def of_rest(cls, rest: str) -> tuple[type[Self], Mapping[str, Any]]:
        """Return the class and the options that a name PREFIX:REST stands for, where PREFIX is the key."""
        return cls, {"rest": rest}

    @functools.cached_property
    def name(self) -> str:
        """The shortest name that `make` turns into an equal object: options at their defaults are left out."""
        changed = []
        for field in options(type(self)):
            if field.repr and (value := field_value(self, field)) != field_default(field):
                given = getattr(self, field.name)
                changed.append(f"{field.name}={given.name if isinstance(given, Named) else format_value(value)}")
        return f"{self.key}({','.join(changed)})" if changed else self.key


def nested(part: Any) -> Iterator[Any]:
    """Yield an object and the methods among its hyperparameters, at any depth."""
    yield part
    for field in dataclasses.fields(part) if dataclasses.is_dataclass(part) else ():
        value = getattr(part, field.name, None)  # a user's class may leave a field out, which `describe` refuses
        yield from nested(value) if isinstance(value, Named) else ()


def is_built_in(cls: type) -> bool:
    """Return whether a class is gradskew's own, not a user's."""
    return cls.__module__.split(".")[0] == "gradskew"


def describe(part: Any) -> dict[str, Any]:
    """Return the name and the hyperparameters of a named object as a JSON object, for the digest.

    Fields with repr=False (a folder) are left out; later options of gradskew's own classes (see FIRST) too, at their
    defaults. Raises InputError where the digest could not distinguish two objects: for a class with an `__init__` of
    its own, or a field that is no number, string or tuple of them.
    """
    cls = type(part)
    good = isinstance(part, Named) and hasattr(cls, "key") and dataclasses.is_dataclass(cls)
    check(good, f"{cls.__qualname__} must be a dataclass with a `key`: its fields are its hyperparameters")
    same = list(inspect.signature(cls).parameters) == [field.name for field in options(cls)]
    check(same, f"{cls.__qualname__} must leave __init__ to dataclass: its fields are its hyperparameters")
    values = {field: field_value(part, field) for field in options(cls) if field.repr}
    own = is_built_in(cls)  # a user's class is in the digest with its file
    always = FIRST.get(part.key, frozenset()) if own else {field.name for field in values}
    counted = {field.name: x for field, x in values.items() if field.name in always or x != field_default(field)}
    return {"name": part.key, **counted}


def field_value(part: Any, field: dataclasses.Field[Any]) -> Any:
    """Return the value of a hyperparameter for JSON; a float field of 1 gives 1.0. Tuples stay tuples."""
    value = getattr(part, field.name)
    if isinstance(value, Named):
        return describe(value)
    entries = value if isinstance(value, tuple) else (value,)
    good = all(entry is None or type(entry) in (bool, int, float, str) for entry in entries)
    kind = type(value).__name__
    check(good, f"{type(part).__qualname__}.{field.name} must be a number, a string or a tuple of them, not a {kind}")
    if type(value) is float and not math.isfinite(value):
        return str(value)  # JSON has no infinity
    return float(value) if "float" in str(field.type) and type(value) is int else value


def field_default(field: dataclasses.Field[Any]) -> Any:
    """Return the default of a field, as `field_value` returns its value; MISSING for a field without one."""
    value = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
    if isinstance(value, Named):
        return describe(value)
    return str(value) if type(value) is float and not math.isfinite(value) else value


def options(cls: type) -> list[dataclasses.Field[Any]]:
    """Return the hyperparameters of a class: the fields that its constructor takes."""
    return [field for field in dataclasses.fields(cls) if field.init]


def canonical(content: Any) -> str:
    """Return the canonical JSON text of an object: sorted keys, no spaces; ValueError for NaN and infinity."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
