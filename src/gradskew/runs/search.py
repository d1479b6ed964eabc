"""A search space as text, `lr=0.01:1:log,momentum=0,0.9`, and the settings that its values make."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import InputError, check, check_number, unknown
from ..core.grammar import split_outside
from ..core.options import options_of, type_name
from ..federation.optimizer import SGD
from ..federation.options import Options

# What clients and server choose. Data, clients and attacker are the problem that is given.
_NAMED = ("model", "local", "server")
_CHOSEN = ("rows", "worker_momentum", "worker_momentum_start", "told")
SEARCHED: Mapping[str, str] = {  # the type of each option that may be searched
    **dict.fromkeys(_NAMED, "str"),
    **{field.name: type_name(field) for field, _ in options_of(SGD)},
    **{field.name: type_name(field) for field, _ in options_of(Options) if field.name in _CHOSEN},
}
FILLED = ("rules", *_NAMED)  # the options whose texts may have {placeholders}
PLACEHOLDER = re.compile(r"\{(\w+)\}")
NAMED_ENTRY = re.compile(r"\s*([^\W\d][\w-]*)\s*=\s*(.*)", re.DOTALL)
DIGITS = 4  # significant digits of a real number that is drawn


@dataclass(frozen=True)
class Dimension:
    """The values of one name in a search: the choices, or without them the numbers from low to high.

    log: drawn uniformly on a logarithmic scale. whole: whole numbers only.
    """

    name: str
    choices: Sequence[Any] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False

    @property
    def ends(self) -> Sequence[Any]:
        """The choices, or the two ends of the range."""
        return self.choices or (self.low, self.high)

    def value(self, drawn: Any) -> Any:
        """Return a drawn value, a real number rounded to a few digits within the range."""
        if self.choices or self.whole:
            return drawn
        return min(max(float(f"{drawn:.{DIGITS}g}"), self.low), self.high)

    def __str__(self) -> str:
        if self.choices:
            return f"{self.name}={','.join(map(value_text, self.choices))}"
        return f"{self.name}={value_text(self.low)}:{value_text(self.high)}{':log' * self.log}"


def value_text(value: Any) -> str:
    """Return a value as text: 0 for 0.0."""
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def values_text(values: Mapping[str, Any]) -> str:
    """Return values by name as text: lr=0.1, momentum=0."""
    return ", ".join(f"{name}={value_text(value)}" for name, value in values.items())


def read_search(given: str | Mapping[str, Any], settings: Mapping[str, Any]) -> list[Dimension]:
    """Return the dimensions of a search for these settings.

    given: entries NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=VALUE,VALUE,... with commas between them, or a mapping from
    names to such texts or lists of values. A name is an option in `SEARCHED`, or a placeholder `{NAME}` in the text of
    an option in `FILLED` or in one of the values. Raises InputError for another name, for a name that is given a value
    too, and for an empty range.
    """
    entries = _entries(given) if isinstance(given, str) else {key.replace("-", "_"): given[key] for key in given}
    texts = {name: _values(name, entry) for name, entry in entries.items()}
    written = [settings[key] for key in FILLED if isinstance(settings.get(key), str)]
    written += [value for values in texts.values() for value in values]
    placeholders = dict.fromkeys(name for text in written for name in PLACEHOLDER.findall(text))
    for name in placeholders:
        check(name in texts, f"{{{name}}} has no values: add {name}=LOW:HIGH or a list of values to the search")
        check(name not in SEARCHED, f"{name} is an option of its own: give the placeholder {{{name}}} another name")
    for name in texts:
        if name not in SEARCHED and name not in placeholders:
            where = f"; for an option of a rule write {{{name}}} in its place, such as cclip(tau={{tau}})"
            raise InputError(f"{unknown('option in the search', name, [*SEARCHED, *placeholders])}{where}")
        check(settings.get(name) is None, f"{name} is given twice: a value, and the search {name}={entries[name]}")
    return [_dimension(name, values, SEARCHED.get(name)) for name, values in texts.items()]


def filled(settings: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with the values of a search: as options of their own, or in place of placeholders."""
    made = {**settings, **{name: value for name, value in values.items() if name in SEARCHED}}
    for key in FILLED:
        if isinstance(made.get(key), str):
            made[key] = PLACEHOLDER.sub(lambda found: value_text(values[found[1]]), made[key])
    return made


def _entries(text: str) -> dict[str, str]:
    """Return the text of each name: an entry without a name belongs to the one before it."""
    entries: dict[str, str] = {}
    name = ""
    for part in split_outside(text, ","):
        found = NAMED_ENTRY.fullmatch(part)
        if found:
            name = found[1].replace("-", "_")
            check(name not in entries, f"{name} is given twice in the search")
            entries[name] = found[2].strip()
        else:
            check(bool(name), f"the search has NAME=LOW:HIGH or NAME=VALUE,VALUE, not {part.strip()[:60]!r}")
            entries[name] += f",{part.strip()}"
    return entries


def _values(name: str, entry: Any) -> list[str]:
    """Return the values of a name as texts; a range is one."""
    listed = split_outside(entry, ",") if isinstance(entry, str) else list(map(str, entry))
    values = [value.strip() for value in listed]
    check(all(values), f"the search over {name} has an empty value")
    return values


def _dimension(name: str, values: Sequence[str], kind: str | None) -> Dimension:
    """Return the dimension of these texts. kind: the type of the option; None for a placeholder."""
    if len(values) > 1 or kind == "str":
        check(len(values) > 1, f"the search over {name} has one value, {values[0][:60]!r}: give several")
        numeric = kind in ("int", "float")
        choices = [_number(name, value, whole=kind == "int") if numeric else value for value in values]
        for value in choices:
            check(choices.count(value) == 1, f"a value is given twice in the search over {name}: {value!r:.60}")
        return Dimension(name, choices)
    parts = values[0].split(":")
    form = f"a search over {name} is LOW:HIGH, LOW:HIGH:log or a list of values, not {values[0][:60]!r}"
    check(len(parts) in (2, 3) and parts[2:] in ([], ["log"]), form)
    whole = kind == "int" or (kind is None and all(re.fullmatch(r"[+-]?\d+", part) for part in parts[:2]))
    low, high = (_number(name, part, whole=whole) for part in parts[:2])
    check(low < high, f"the range of {name} is empty: {values[0]}")
    log = len(parts) == 3
    check(not log or low > 0, f"the range of {name} begins at {parts[0]}, and a logarithmic one begins above 0")
    return Dimension(name, (), low, high, log, whole)


def _number(name: str, text: str, *, whole: bool) -> Any:
    """Return the number in a text; InputError if it is none."""
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        kind = "a whole number" if whole else "a number"
        raise InputError(f"{name} in the search must be {kind}, not {text[:60]!r}") from None
    return check_number(f"{name} in the search", value)
