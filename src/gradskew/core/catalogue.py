"""The tables of names: one per kind of method, made from the files of its room, and the only place that makes objects.

A method is one file: a dataclass with a `key` in any file of the room is in the table, in `gradskew list` and in the
completion. The files are read, not imported, until a method is used: none of this imports torch.
"""

from __future__ import annotations

import ast
import importlib
import importlib.resources
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Generic, TypeVar

import lazy_loader

from .errors import InputError, check, unknown
from .grammar import parse_one, split_prefix
from .importing import import_object, is_path, one_line, registered
from .names import Named, options
from .presets import check_preset

T = TypeVar("T", bound=Named)
SHARED = ("__init__.py", "base.py", "user.py")  # files of a room that hold no methods

MAKERS: dict[str, Callable[[str, str], Named]] = {}  # by base class: from the text of an option and a preset


@dataclass(frozen=True)
class ClassText:
    """A class as its file has it: the names of its module, of itself and of its bases, and two of its attributes."""

    module: str
    name: str
    bases: Sequence[str]
    key: str = ""
    aliases: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def load(self) -> Any:
        """Import the class."""
        return getattr(importlib.import_module(self.module), self.name)


@cache
def read_classes(room: str) -> Sequence[ClassText]:
    """Return the classes in the files of a package, without importing them."""
    classes = []
    for file in sorted(importlib.resources.files(room).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".py"):
            for node in ast.parse(file.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef):
                    bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
                    known = {} if file.name in SHARED else _attributes(node)
                    classes.append(ClassText(f"{room}.{file.name.removesuffix('.py')}", node.name, bases, **known))
    return classes


def _attributes(node: ast.ClassDef) -> dict[str, Any]:
    """Return the class attributes `key` and `aliases`, as far as the class has them."""
    lines = [line for line in node.body if isinstance(line, ast.AnnAssign) and line.value is not None]
    values = {ast.unparse(line.target): line.value for line in lines}
    return {name: ast.literal_eval(values[name]) for name in ("key", "aliases") if name in values}  # type: ignore[arg-type]


class Catalogue(Generic[T]):
    """The methods of one kind by name: those of this package, those that others register, and those at a path.

    kind: what one is called; packages register theirs as entry points of `gradskew.<kind>s`. room: the package whose
    files hold ours. base: the name of their base class. first: the names that come first, in this order; the others
    follow by name. wrap: from a path, options and a registered name to a method; None where a path must name a class
    or an object of `base`. registered_as: the kind of the entry points, if it is another.
    """

    def __init__(
        self,
        kind: str,
        room: str,
        base: str,
        *,
        first: Sequence[str] = (),
        wrap: Callable[[str, Mapping[str, Any], str], T] | None = None,
        registered_as: str = "",
    ):
        self.kind, self.room, self.base, self.first, self.wrap = kind, room, base, first, wrap
        self.registered_as = registered_as or kind
        MAKERS[base] = lambda text, preset: self.make(*parse_one(text, kind), preset=preset)

    @cached_property
    def texts(self) -> Mapping[str, ClassText]:
        """The class of each method, not imported, by name and in the order of the table."""
        known = {text.key: text for text in read_classes(self.room) if text.key and self._inherits(text)}
        order = [*[key for key in self.first if key in known], *sorted(known.keys() - {*self.first})]
        return {key: known[key] for key in order}

    def _inherits(self, text: ClassText) -> bool:
        """Whether a class has the base, directly or through other classes of the room."""
        between = [other for other in read_classes(self.room) if other.name in text.bases and other is not text]
        return self.base in text.bases or any(map(self._inherits, between))

    @cached_property
    def aliases(self) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
        """Other names, each with the name and the options that it stands for."""
        return {alias: (key, text.aliases[alias]) for key, text in self.texts.items() for alias in text.aliases}

    @property
    def classes(self) -> dict[str, type[T]]:
        """All classes by name, imported."""
        return {key: text.load() for key, text in self.texts.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    def __contains__(self, name: object) -> bool:
        return name in self.texts or name in self.aliases

    def find(self, name: str) -> type[T] | None:
        """Import and return the class of this package with this name; None if there is none."""
        name = self.aliases[name][0] if name in self.aliases else name
        return self.texts[name].load() if name in self.texts else None

    def registered(self) -> dict[str, str]:
        """The names that installed packages register, with their paths."""
        return registered(self.registered_as)

    def make(
        self, name: str, given: Mapping[str, Any], *, preset: str = "paper", defaults: Mapping[str, Any] | None = None
    ) -> T:
        """Make the method called `name`: of this package, at a path, or registered by another package.

        given: its options. They count over those of the preset, and these over `defaults`, of which a method takes
        those that it has. Raises InputError for an unknown name or option, naming the nearest.
        """
        check_preset(preset)
        ours = (split_prefix(name)[0] or name) in self
        others = {} if ours or is_path(name) else self.registered()
        if not is_path(name) and name not in others:
            return self.make_own(name, given, preset=preset, defaults=defaults, others=others)
        path = others.get(name, name)
        return self._load(path, given, name if name in others else "", preset, defaults or {})

    def make_own(
        self,
        name: str,
        given: Mapping[str, Any],
        *,
        preset: str = "paper",
        defaults: Mapping[str, Any] | None = None,
        others: Collection[str] = (),
    ) -> T:
        """Make a method of this package; nobody else's code is imported. others: more names, for the error."""
        prefix, rest = split_prefix(name)
        if prefix:
            name, given = prefix, {**given, "rest": rest}
        cls = self.find(name)
        if cls is None:
            raise unknown(self.kind, name, [*self, *others])
        key, fixed = self.aliases.get(name, (name, {}))
        for option in fixed.keys() & given.keys():
            raise InputError(f"{name} is {key} with {option}={fixed[option]}: it takes no other {option}")
        return self._build(cls, name, {**fixed, **given}, preset, defaults or {})

    def _load(self, path: str, given: Mapping[str, Any], called: str, preset: str, defaults: Mapping[str, Any]) -> T:
        """Make the method at a path."""
        made = self.wrap(path, given, called) if self.wrap else self._inherited(path, given, preset, defaults)
        check(made.key not in self, f"{path} calls itself {made.key!r}, which is one of ours: give it a key of its own")
        return made

    def _inherited(self, path: str, given: Mapping[str, Any], preset: str, defaults: Mapping[str, Any]) -> T:
        """Make the object at a path, or one of the class there, that inherits the base."""
        base = next(text for text in read_classes(self.room) if text.name == self.base).load()
        made: Any = import_object(path, self.kind)
        if isinstance(made, type) and issubclass(made, base):
            try:
                return self._build(made, path, given, preset, defaults)
            except Exception as error:  # whatever a user's class raises
                raise error if isinstance(error, InputError) else InputError(f"{path}: {one_line(error)}") from error
        good = isinstance(made, base) and not given
        check(good, f"{path} must be a class that inherits {base.__name__}, or an object of one, without options")
        method: T = made
        return method

    def _build(self, cls: type[T], name: str, given: Mapping[str, Any], preset: str, defaults: Mapping[str, Any]) -> T:
        """Call a class with its options; an option that is itself a method is made from its text."""
        types = {field.name: str(field.type).removesuffix(" | None") for field in options(cls)}
        for option in given:
            if option not in types:
                raise unknown(f"option of {name}", option, list(types) or ["none"])
        chosen = {option: value for option, value in defaults.items() if option in types}
        chosen |= {**cls.preset(preset), **given}
        try:
            for option, value in chosen.items():
                if isinstance(value, str) and types[option] in MAKERS:
                    chosen[option] = MAKERS[types[option]](value, preset)
            return cls(**chosen)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None


def attach(
    room: str, file: str, *catalogues: Catalogue[Any]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return a room's `__getattr__`, `__dir__` and `__all__`: the names in its stub, each imported when first used.

    The class of a method is an attribute of the room without a line in the stub, too.
    """
    get, listed, public = lazy_loader.attach_stub(room, file)

    def get_public(name: str) -> Any:
        classes = {} if name in public else {text.name: text for each in catalogues for text in each.texts.values()}
        return classes[name].load() if name in classes else get(name)

    return get_public, listed, public
