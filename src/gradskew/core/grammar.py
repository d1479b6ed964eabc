"""The grammar of names: `bucketing(s=2)+multikrum`, `keep(rule=multikrum(m=1))+median`, `package.module:name`.

text   = PREFIX ":" (REST | "quoted" | 'quoted') ["(" options ")"]  |  stage {"+" stage}
stage  = (name | package.module:name) ["(" options ")"]
option = word "=" value
value  = number | None | True | False | word | nested name | "quoted" | 'quoted' | (value, value)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .errors import InputError, check

Stage = tuple[str, dict[str, Any]]

LONGEST, LONGEST_DATASET = 500, 10_000  # characters of a name with its options; a data set may list many columns
DEEPEST = 20  # largest depth of nested names and tuples
PREFIXES = ("npz", "csv", "parquet", "images", "hf", "text", "flwr")  # of files and sources; never read as modules
CONSTANTS = {"None": None, "True": True, "False": False}

PATH = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w.]*")  # package.module:name
NAME = re.compile(r"[^\W\d]\w*(?:-\w+)*")
OPTION = re.compile(r"([^\W\d]\w*)\s*=(?!=)")
QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")
SPACES = re.compile(rf"({QUOTED.pattern})|\s+")  # replaced by its first group, it removes spaces outside quotes
PLAIN = re.compile(r"(?:[+-]|~?/)?[\w.][\w.:]*(?:[-/][\w.:]+)*")  # a word, a number, a path, n-f-1
WHOLE = re.compile(r"[+-]?[0-9]+")
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def parse(text: str, longest: int = LONGEST) -> list[Stage]:
    """Return the names in a text with their options, in order. Raises InputError for a text outside the grammar.

    Names are converted to lower case with underscores; a path `package.module:name` and the rest after a prefix are
    not changed. A name as the value of an option stays text: the class of the option parses it.

    >>> parse("Bucketing(s=2)+strike-authors(rule=nnm + median(middle=lower))")
    [('bucketing', {'s': 2}), ('strike_authors', {'rule': 'nnm+median(middle=lower)'})]
    """
    check(len(text) <= longest, f"the name {text[:40]!r}... has more than {longest} characters")
    prefix, rest = split_prefix(text)
    if not prefix:
        return _Reader(text).whole()
    begin = quoted.end() if (quoted := QUOTED.match(rest)) else 0  # what is quoted is taken as it is
    places = [begin + place for place, char in _outside(rest[begin:]) if char == "(" and rest.endswith(")")]
    start = max(places, default=None)
    given = {} if start is None else _Reader(f"{prefix}{rest[start:]}").whole()[0][1]
    check(bool(rest[:start].strip()), f"nothing follows {prefix}: in {text[:80]!r}")
    check(rest.isprintable(), f"{text[:80]!r} has characters that cannot be printed")
    named = rest[:start].strip()
    return [(f"{prefix}:{_unquoted(named) if QUOTED.fullmatch(named) else named}", given)]


def parse_one(text: str, kind: str) -> Stage:
    """Return a single name with its options; InputError for several names. kind: the word for it in the message."""
    stages = parse(text, LONGEST_DATASET if kind == "dataset" else LONGEST)
    check(len(stages) == 1, f"{'an' if kind[0] in 'aeiou' else 'a'} {kind} is one name, not several: {text[:80]!r}")
    return stages[0]


def split_prefix(name: str) -> tuple[str, str]:
    """Return the prefix of a name and the rest; the prefix is empty for a name without one.

    >>> split_prefix("npz:/data/my-file.npz"), split_prefix("package.module:name")
    (('npz', '/data/my-file.npz'), ('', 'package.module:name'))
    """
    prefix, colon, rest = name.strip().partition(":")
    known = bool(colon) and prefix.strip().lower() in PREFIXES
    return (prefix.strip().lower(), rest.strip()) if known else ("", name.strip())


def split_list(text: str, name: str = "the list") -> list[str]:
    """Return the entries of a comma-separated list; commas in parentheses do not split. name: for the message.

    >>> split_list("mean, lie(z=1.0,sign=-1),strike")
    ['mean', 'lie(z=1.0,sign=-1)', 'strike']
    """
    parts = [part.strip() for part in split_outside(text, ",")]
    check(all(parts), f"empty entry in {name}: {text[:80]!r}")
    check(len(set(parts)) == len(parts), f"an entry is given twice in {name}: {text[:80]!r}")
    return parts


def split_outside(text: str, separator: str) -> list[str]:
    """Return the parts of a text between the separators outside parentheses, and outside the quotes of a path.

    >>> split_outside("csv:'a,b.csv'(label=y),digits", ",")
    ["csv:'a,b.csv'(label=y)", 'digits']
    """
    places = [place for place, char in _outside(text) if char == separator]
    return [text[a + 1 : b] for a, b in zip([-1, *places], [*places, len(text)], strict=True)]


def split_last(text: str, separator: str) -> tuple[str, str]:
    """Return the text up to and including the last separator outside parentheses, and the rest."""
    cut = max((place + 1 for place, char in _outside(text) if char == separator), default=0)
    return text[:cut], text[cut:]


def format_value(value: Any) -> str:
    """Return the text that `parse` reads as this value: a number, None, a bool, a string, or a tuple of them.

    >>> format_value(("a-b", "a+b", "3", 0.5, None))
    "(a-b,a+b,'3',0.5,None)"
    """
    if isinstance(value, tuple):
        return f"({','.join(map(format_value, value))}{',' if len(value) == 1 else ''})"
    if not isinstance(value, str):
        return str(value)
    words = PLAIN.fullmatch(value) or all(map(PLAIN.fullmatch, value.split("+")))
    plain = words and value not in CONSTANTS and not NUMBER.fullmatch(value)
    return value if plain else repr(value)


def with_options(part: Mapping[str, Any]) -> str:
    """Return the name of a method in a spec with its options, as it is written: mlp(hidden=32).

    A user's network is its path, with those of its options that are set: nets:small(vectorised=True).
    """
    path = part.get("path")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in part.items()}
    shown = {name: value for name, value in values.items() if name not in ("name", "path") and (value or not path)}
    options = ",".join(f"{name}={format_value(value)}" for name, value in shown.items())
    name = path or part["name"]
    return f"{name}({options})" if options else str(name)


def _outside(text: str) -> Iterator[tuple[int, str]]:
    """Yield (index, character) outside parentheses, including each opening one.

    What is in quotes is left out, where the quotes are inside parentheses or follow the colon of a prefix.
    """
    depth, place = 0, 0
    while place < len(text):
        quoted = QUOTED.match(text, place) if depth or text[place - 1 : place] == ":" else None
        if quoted:
            place = quoted.end()
            continue
        if depth == 0:
            yield place, text[place]
        depth = max(0, depth + (text[place] == "(") - (text[place] == ")"))
        place += 1


class _Reader:
    """A recursive descent parser: each method reads one rule of the grammar at `place` and advances it."""

    def __init__(self, text: str):
        self.text, self.place, self.depth = text, 0, 0
        self.error = InputError(
            f"cannot read {text[:80]!r}: write a name, name(option=value), or several joined by '+'"
        )

    def whole(self) -> list[Stage]:
        stages = self.stages()
        if self.next():
            raise self.error
        return stages

    def stages(self) -> list[Stage]:
        read = [self.stage()]
        while self.skip("+"):
            read.append(self.stage())
        return read

    def stage(self) -> Stage:
        path = self.match(PATH)
        name = path or self.match(NAME)
        if not name or split_prefix(path)[0]:
            raise self.error
        name = path or name.lower().replace("-", "_")
        return name, self.options(name) if self.skip("(") else {}

    def options(self, name: str) -> dict[str, Any]:
        """Read `x=1,y=2)`, after the opening parenthesis."""
        given: dict[str, Any] = {}
        self.enter()
        while not self.skip(")"):
            option = OPTION.match(self.text, self.place)
            check(option is not None, f"options of {name} are written name=value")
            assert option is not None
            check(option[1] not in given, f"an option of {name} is given twice")
            self.place = option.end()
            given[option[1]] = self.value(option[1])
            self.comma()
        self.depth -= 1
        return given

    def value(self, option: str) -> Any:
        quoted = self.match(QUOTED)
        if quoted:
            check(quoted.isprintable(), f"{option} has characters that cannot be printed: {quoted!r:.60}")
            return _unquoted(quoted)
        if self.skip("("):
            return self.tuple(option)
        start, words = self.place, [self.word(option)]
        while self.skip("+"):
            words.append(self.word(option))
        text = SPACES.sub(r"\1", self.text[start : self.place])
        if "(" in text and not all(PATH.fullmatch(word) or NAME.fullmatch(word) for word in words):
            raise self.error  # only names have options
        return _constant(text)

    def tuple(self, option: str) -> Any:
        """Read `1,2)`, after the opening parenthesis. A single value without a comma is returned as it is."""
        values: list[Any] = []
        comma = False
        self.enter()
        while not self.skip(")"):
            values.append(self.value(option))
            comma = self.comma()
        self.depth -= 1
        return values[0] if len(values) == 1 and not comma else tuple(values)

    def word(self, option: str) -> str:
        """Read a number or a word, and options if it is a name with options; return the number or word."""
        word = self.match(PLAIN)
        if not word:
            wanted = f"{option} must be a number, a word, a name or a text in quotes"
            raise InputError(f"cannot read {self.text[:80]!r}: {wanted}")
        if self.skip("("):
            self.options(word)
        return word

    def comma(self) -> bool:
        """Skip a comma between two entries; return whether one was read. Without a comma, `)` must follow."""
        comma = self.skip(",")
        if not comma and self.next() != ")":
            raise self.error
        return comma

    def enter(self) -> None:
        self.depth += 1
        self.next()
        if self.depth > DEEPEST:
            raise self.error

    def next(self) -> str:
        """Skip spaces; return the next character, or an empty string at the end."""
        while self.text[self.place : self.place + 1].isspace():
            self.place += 1
        return self.text[self.place : self.place + 1]

    def skip(self, char: str) -> bool:
        """Skip this character and the spaces after it; return whether it came next."""
        if self.next() != char:
            return False
        self.place += 1
        self.next()
        return True

    def match(self, pattern: re.Pattern[str]) -> str:
        """Return what the pattern matches at `place`, and advance; an empty string without a match."""
        self.next()
        match = pattern.match(self.text, self.place)
        self.place = match.end() if match else self.place
        return match[0] if match else ""


def _unquoted(text: str) -> str:
    """Return a text in quotes without them."""
    return re.sub(r"\\([\\'\"])", r"\1", text[1:-1])


def _constant(text: str) -> Any:
    """Return a plain text as a number or a constant (None, True, False), if it is one, else as it is."""
    if text in CONSTANTS:
        return CONSTANTS[text]
    if WHOLE.fullmatch(text):
        return int(text)
    return float(text) if NUMBER.fullmatch(text) else text
