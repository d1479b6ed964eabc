"""What federations differ in: the options whose values change from one to the next, in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..core.grammar import with_options
from ..core.options import options_of
from ..data.own_source import origin_of
from ..federation.optimizer import SGD
from ..federation.options import Options
from ..runs.versions import CELL
from .table import Table, by_number

Value = float | str  # of an option in one federation

# Options that others follow from, and those that are none of the user's.
FIRST = ("dataset", "file", "beta", "partition", "clients", "byzantine", "sampled", "model")
LAST = ("data_sha256", "together", "torch", "numpy", "semantics", "lens", "pictures")
PARTS = ("partition", "model", "local", "server")
MISSING: Mapping[str, Value] = {  # the value of an option that a spec leaves out
    "local": "fedavg",
    "server": "fedavg",
    "attack_rounds": "all",
    **{
        field.name: field.default
        for field, _ in options_of(Options, SGD)
        if isinstance(field.default, (int, float, str))
    },
}


@dataclass(frozen=True)
class Axis:
    """An option that differs: its name, and its values in order. unit: what a value is of, as text.

    follows: the names of options that have one value for each value of this one.
    """

    name: str
    values: Sequence[Value]
    unit: str = ""
    follows: Sequence[str] = ()

    @property
    def is_numeric(self) -> bool:
        """Whether the values are numbers, with iid as the last of beta."""
        return all(not isinstance(value, str) or value == "iid" for value in self.values) and len(self.values) > 1

    @property
    def label(self) -> str:
        return f"{self.name} {self.unit}".strip()


def value_text(value: Value) -> str:
    """Return the value of an option as text."""
    return value if isinstance(value, str) else f"{value:g}"


@dataclass(frozen=True)
class Settings:
    """The settings of several federations, from a spec of each. files: of which file the data of each are, if known."""

    specs: Sequence[Mapping[str, Any]]
    files: Sequence[str] = ()

    @classmethod
    def of(cls, tables: Sequence[Table]) -> Settings:
        """Return the settings of tables."""
        return cls([table.records[0].spec for table in tables], [origin_of(table.data) for table in tables])

    @cached_property
    def axes(self) -> list[Axis]:
        """The options that differ, without those that another one decides."""
        columns = {key: values for key, values in self._columns.items() if len(set(values)) > 1}
        kept: dict[str, list[str]] = {}
        for key, values in columns.items():
            of = next((other for other in kept if _decides(columns[other], values)), None)
            if of is None:
                kept[key] = []
            else:
                kept[of].append(key)
        return [
            Axis(key, sorted(dict.fromkeys(columns[key]), key=_rank), self._unit(key), follows)
            for key, follows in kept.items()
        ]

    def at(self, number: int) -> tuple[Value, ...]:
        """Return the values of the axes in the federation with this number."""
        return tuple(self._columns[axis.name][number] for axis in self.axes)

    def _unit(self, key: str) -> str:
        clients = {spec["clients"] for spec in self.specs}
        return f"(of {clients.pop()} clients)" if key in ("byzantine", "sampled") and len(clients) == 1 else ""

    @cached_property
    def _columns(self) -> dict[str, list[Value]]:
        """The value of every setting in each federation, the settings in order."""
        whole = [_without_default_sampling({**spec, **spec["sgd"]}, self.specs) for spec in self.specs]
        columns: dict[str, list[Value]] = {}
        for key in {key: None for spec in whole for key in spec if key not in (*CELL, "sgd", "name")}:
            values = [spec.get(key) for spec in whole]
            if key in PARTS:
                columns |= _of_part(key, values)
            else:
                columns[key] = [_value(key, value) for value in values]
        if any(self.files) and len(set(columns["data_sha256"])) > 1:
            columns["file"] = self._named(columns.pop("data_sha256"))
        ranks = {key: place for place, key in enumerate(FIRST)}
        last = {key: len(FIRST) + 1 + place for place, key in enumerate(LAST)}
        return dict(sorted(columns.items(), key=lambda item: ({**ranks, **last}.get(item[0], len(FIRST)), item[0])))

    def _named(self, hashes: Sequence[Value]) -> list[Value]:
        """Return the name of a file for each hash of its content, and the hash where two have one name, or none."""
        names: dict[Value, str] = {}
        for content, name in zip(hashes, self.files, strict=True):
            names[content] = names.get(content) or name
        alike = [name for name in names.values() if [*names.values()].count(name) > 1]
        return [f"{names[each]} {each}".strip() if names[each] in ("", *alike) else names[each] for each in hashes]


def _without_default_sampling(spec: dict[str, Any], specs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a spec without the number of sampled clients if in no federation some are left out."""
    if all(each["sampled"] == each["clients"] for each in specs):
        del spec["sampled"]
    return spec


def _of_part(key: str, parts: Sequence[Mapping[str, Any] | None]) -> dict[str, list[Value]]:
    """Return the columns of a partition, model, local variant or server optimiser: its options, or its name."""
    names = {part.get("path", part["name"]) if part else MISSING.get(key, "–") for part in parts}
    if names == {"dirichlet", "iid"}:
        drawn = [part for part in parts if part and part["name"] == "dirichlet"]
        if len({with_options({**part, "beta": 0}) for part in drawn}) == 1:
            return {"beta": [part["beta"] if part and part["name"] == "dirichlet" else "iid" for part in parts]}
    if len(names) == 1 and all(parts):
        known = [part for part in parts if part]
        options = {name: None for part in known for name in part if name not in ("name", "path")}
        columns = {name: [_value(name, part.get(name)) for part in known] for name in options}
        (own,) = names
        return {name if own == "dirichlet" else f"{name} of {own}": values for name, values in columns.items()}
    return {key: [with_options(dict(part)) if part else MISSING.get(key, "–") for part in parts]}


def _value(key: str, value: Any) -> Value:
    if value is None:
        value = MISSING.get(key, "–")
    plain = isinstance(value, (int, float)) and not isinstance(value, bool) and key not in LAST
    return value if plain else str(value)[:12] if key == "data_sha256" else str(value)


def _decides(first: Sequence[Value], second: Sequence[Value]) -> bool:
    """Return whether each value of the first comes with one value of the second."""
    return len(set(zip(first, second, strict=True))) == len(set(first))


def _rank(value: Value) -> tuple[bool, Any]:
    """Return the key by which values are ordered: numbers first, words by the numbers in them."""
    return (True, by_number(value)) if isinstance(value, str) else (False, value)
