"""Catalogues of methods by name, one per kind, made from the files of a package; only they build methods from names.

A dataclass with a `key` in any file of the package is in its catalogue, in `gradskew list` and in the completion. The
files are parsed, and imported when a method is first used, so that a catalogue itself needs no torch.
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
from .grammar import format_value, parse_one, split_prefix
from .importing import import_object, is_path, one_line, registered
from .names import Named, nested, options
from .presets import check_preset

T = TypeVar("T", bound=Named)
N = TypeVar("N", bound=Named)
SHARED = ("__init__.py", "base.py", "combined.py", "mixing.py", "user.py")  # files without a method of its own name

# By the type of an option that is itself a method: a function (text of the option, preset) -> method.
MAKERS: dict[str, Callable[[str, str], Named]] = {}


@dataclass(frozen=True)
class ClassText:
    """A class as its source file defines it: module, name, names of its bases, attributes `key` and `aliases`."""

    module: str
    name: str
    bases: Sequence[str]
    key: str = ""
    aliases: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def load(self) -> Any:
        """Import and return the class."""
        return getattr(importlib.import_module(self.module), self.name)


@cache
def read_classes(room: str) -> Sequence[ClassText]:
    """Return the classes in the files of a package, parsed without an import."""
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
    """Return those of the class attributes `key` and `aliases` that the class defines."""
    values: dict[str, ast.expr] = {}
    for line in node.body:
        if isinstance(line, ast.AnnAssign) and line.value is not None:
            values[ast.unparse(line.target)] = line.value
        elif isinstance(line, ast.Assign):
            values |= {ast.unparse(target): line.value for target in line.targets}
    return {name: ast.literal_eval(values[name]) for name in ("key", "aliases") if name in values}


class Catalogue(Generic[T]):
    """The methods of one kind by name: gradskew's own, those that installed packages register, and those at a path.

    kind: the word for a method in messages; packages register theirs as entry points of `gradskew.<kind>s`. room: the
    package with the files of gradskew's own methods. base: the name of their base class. first: the names that are
    listed first; the others follow in alphabetical order. pipelines: other names of methods that consist of several,
    with what they stand for. wrap: a function (path, options, registered name) -> method; None if a path must name a
    class or an object of `base`. registered_as: the kind of the entry points, if different. elsewhere: the option to
    use for a name of the field that is no method of this kind here.
    """

    def __init__(
        self,
        kind: str,
        room: str,
        base: str,
        *,
        first: Sequence[str] = (),
        pipelines: Mapping[str, str] | None = None,
        wrap: Callable[[str, Mapping[str, Any], str], T] | None = None,
        registered_as: str = "",
        elsewhere: Mapping[str, str] | None = None,
    ):
        self.kind, self.room, self.base, self.first, self.wrap = kind, room, base, first, wrap
        self.pipelines = pipelines or {}
        self.registered_as = registered_as or kind
        self.elsewhere = elsewhere or {}
        MAKERS[base] = lambda text, preset: self.make(*parse_one(text, kind), preset=preset)

    @cached_property
    def texts(self) -> Mapping[str, ClassText]:
        """The parsed class of each method by name, in the order of the listing."""
        known = {text.key: text for text in read_classes(self.room) if text.key and self._inherits(text)}
        order = [*[key for key in self.first if key in known], *sorted(known.keys() - {*self.first})]
        return {key: known[key] for key in order}

    def _inherits(self, text: ClassText) -> bool:
        """Return whether a class inherits `base`, directly or through other classes of the package."""
        between = [other for other in read_classes(self.room) if other.name in text.bases and other is not text]
        return self.base in text.bases or any(map(self._inherits, between))

    @cached_property
    def aliases(self) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
        """The name and the options that each alias stands for."""
        return {alias: (key, text.aliases[alias]) for key, text in self.texts.items() for alias in text.aliases}

    @cached_property
    def _known(self) -> Mapping[str, str]:
        """All names and aliases by their letters and digits: case, hyphens and underscores do not matter."""
        return {_letters(name): name for name in (*self.pipelines, *self.aliases, *self.texts)}

    def resolve(self, name: str) -> tuple[str, Mapping[str, Any]]:
        """Return the name of a method and the options that a name or alias stands for; an unknown name as it is."""
        known = self._known.get(_letters(name), name)
        return self.aliases.get(known, (known, {}))

    @cached_property
    def meanings(self) -> Mapping[str, str]:
        """What each alias stands for, as it is written: `multikrum(m=1)`."""
        written = {}
        for alias, (key, given) in self.aliases.items():
            options = ",".join(f"{option}={format_value(x)}" for option, x in given.items())
            written[alias] = f"{key}({options})" if given else key
        return {**written, **self.pipelines}

    @property
    def classes(self) -> dict[str, type[T]]:
        """All classes by name, imported."""
        return {key: text.load() for key, text in self.texts.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    def __contains__(self, name: object) -> bool:
        return _letters(split_prefix(str(name))[0] or str(name)) in self._known

    def find(self, name: str) -> type[T] | None:
        """Import and return gradskew's own class of this name, as records have it; None for any other name."""
        return self.texts[name].load() if name in self.texts else None

    def registered(self) -> dict[str, str]:
        """Return the paths of the methods that installed packages register, by name."""
        return registered(self.registered_as)

    def make(
        self, name: str, given: Mapping[str, Any], *, preset: str = "paper", defaults: Mapping[str, Any] | None = None
    ) -> T:
        """Return the method with this name: gradskew's own, at a path, or registered by another package.

        given: its options, which override those of the preset. defaults: options with the lowest precedence; those that
        the method does not have are ignored. Raises InputError for an unknown name or option, with the nearest one.
        """
        check_preset(preset)
        others = {} if name in self or is_path(name) else self.registered()
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
        """Return one of gradskew's own methods, without importing other code. others: more names for the message."""
        prefix, rest = split_prefix(name)
        name = prefix or name
        key, fixed = self.resolve(name)
        if key in self.pipelines:
            check(not given, f"{name} takes no options: it is {self.pipelines[key]}")
            return MAKERS[self.base](self.pipelines[key], preset)  # type: ignore[return-value]
        cls = self.find(key)
        if cls is None and _letters(name) in self.elsewhere:
            raise InputError(f"{name} is no {self.kind} here: use {self.elsewhere[_letters(name)]}")
        if cls is None:
            raise unknown(self.kind, name, [*self, *others], self.meanings)
        if prefix:
            cls, more = cls.of_rest(rest)
            name, given = cls.key, {**given, **more}
        for option in fixed.keys() & given.keys():
            raise InputError(f"{name} is {key} with {option}={fixed[option]}: it takes no other {option}")
        return self._build(cls, name, {**fixed, **given}, preset, defaults or {})

    def _load(self, path: str, given: Mapping[str, Any], alias: str, preset: str, defaults: Mapping[str, Any]) -> T:
        """Return the method at a path. alias: its registered name, if the user gave that."""
        made = self.wrap(path, given, alias) if self.wrap else self._inherited(path, given, preset, defaults)
        check(hasattr(made, "key"), f'{path} has no name: write key: ClassVar[str] = "..." into its class')
        check(made.key not in self, self._taken(path, made.key))
        return made

    def with_own_key(self, method: N) -> N:
        """Return an object as it is; InputError if a class in it is a user's and has or inherits a built-in's key."""
        for part in nested(method):
            key = getattr(part, "key", "")
            own = key not in self.texts or type(part) is self.texts[key].load()
            check(own, self._taken(type(part).__qualname__, key))
        return method

    def _taken(self, what: str, key: str) -> str:
        return f"{what} has the key {key!r} of a built-in {self.kind}: give it another key"

    def _inherited(self, path: str, given: Mapping[str, Any], preset: str, defaults: Mapping[str, Any]) -> T:
        """Return the object at a path, or an object of the class at the path; it must inherit `base`."""
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
        """Return an object of a class with these options; an option that is itself a method is built from its text."""
        types = {field.name: str(field.type).removesuffix(" | None") for field in options(cls)}
        may_be_none = {field.name for field in options(cls) if str(field.type).endswith(" | None")}
        may_be_none -= {option for option in types if types[option] in ("str", "Path")}  # whose texts may be any word
        for option in given:
            if option not in types:
                shown = [option for option in types if option not in cls.unlisted]
                raise unknown(f"option of {name}", option, shown or ["none"])
        chosen = {option: value for option, value in defaults.items() if option in types}
        chosen |= {**cls.preset(preset), **given}
        for each in options(cls):  # a method that is the default of an option has the preset, too
            if each.name not in chosen and types[each.name] in MAKERS and callable(each.default_factory):
                chosen[each.name] = each.default_factory().name
        try:
            for option, value in chosen.items():
                if option in may_be_none and str(value).lower() == "none":
                    chosen[option] = None
                elif isinstance(value, str) and types[option] in MAKERS:
                    chosen[option] = MAKERS[types[option]](value, preset)
            return cls(**chosen)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None


def _letters(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def attach(
    room: str, file: str, *catalogues: Catalogue[Any]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return the `__getattr__`, `__dir__` and `__all__` of a package, which import each name when it is first used.

    The names are those of the stub, and the classes of all methods in the catalogues, even without a line in the stub.
    """
    get, listed, public = lazy_loader.attach_stub(room, file)

    def get_public(name: str) -> Any:
        classes = {} if name in public else {text.name: text for each in catalogues for text in each.texts.values()}
        return classes[name].load() if name in classes else get(name)

    return get_public, listed, public
