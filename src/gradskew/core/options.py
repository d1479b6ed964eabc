"""Options of a run: dataclass fields with their allowed values, help text and part in the digest as metadata.

An option is defined once, as a field. Checks, digest, command line, TOML keys, defaults and `replay` are loops over the
fields of `federation.options.Options` and `federation.optimizer.SGD`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import check_choice, check_number
from .names import field_value


@dataclass(frozen=True, kw_only=True)
class Option:
    """The metadata of an option, besides its type and default: see `option`."""

    help: str
    group: str
    digest: str
    choices: Sequence[Any]
    bounds: Mapping[str, float]


def option(
    default: Any,
    *,
    help: str = "",
    group: str = "federation",
    digest: str = "if changed",
    choices: Sequence[Any] = (),
    at_least: float = -math.inf,
    above: float = -math.inf,
    at_most: float = math.inf,
    below: float = math.inf,
) -> Any:
    """Return a dataclass field that is an option of a run.

    help: the text on the command line, which omits an option without one. group: `federation` (what is simulated) or
    `execution` (how). digest: `if changed` includes the option where it differs from its default, so that a new option
    keeps the digests of stored results; `always` is for the first options; `apart` for those that `Run.content` adds
    itself. choices, or bounds of a number: the allowed values; None is allowed too if the type includes it.
    """
    bounds = {"at_least": at_least, "above": above, "at_most": at_most, "below": below}
    metadata = Option(help=help, group=group, digest=digest, choices=choices, bounds=bounds)
    return dataclasses.field(default=default, metadata={"option": metadata})


def options_of(*classes: Any) -> Iterator[tuple[dataclasses.Field[Any], Option]]:
    """Yield the fields of dataclasses that are options, each with its metadata."""
    for each in classes:
        yield from ((field, field.metadata["option"]) for field in dataclasses.fields(each) if field.metadata)


def type_name(field: dataclasses.Field[Any]) -> str:
    """Return the name of the type of an option, without None: int, float, bool, str."""
    return str(field.type).removesuffix(" | None")


def check_options(part: Any) -> None:
    """Raise InputError unless each option has one of its choices, or is a number within its bounds."""
    for field, known in options_of(part):
        value = getattr(part, field.name)
        if value is None and str(field.type).endswith("| None"):
            continue
        if known.choices:
            check_choice(field.name, value, known.choices)
        elif type_name(field) in ("int", "float"):
            check_number(field.name, value, **known.bounds, whole=type_name(field) == "int")


def digest_options(part: Any, resolved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options in the digest, by name. resolved: values that replace those of the fields."""
    values = {}
    for field, known in options_of(part):
        changed = known.digest == "if changed" and getattr(part, field.name) != field.default
        if known.digest == "always" or changed:
            values[field.name] = resolved.get(field.name, field_value(part, field))
    return values
