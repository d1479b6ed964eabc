"""Options of a run: a field of a dataclass that says what is allowed, what the command line prints, what a digest has.

An option is written once, as a field. Checks, digest, command line, TOML keys, defaults and `replay` are loops over the
fields of `federation.options.Options` and `federation.optimizer.SGD`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import check_choice, check_number
from .names import plain


@dataclass(frozen=True, kw_only=True)
class Option:
    """What is known of an option beside its type and its default; see `option`."""

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
    """Return a field of a dataclass that is an option of a run.

    help: for the command line, which does not have the option where this is empty; group: `federation` (what is
    simulated) or `execution` (how). digest: the option counts `if changed` from its default, so that a new one leaves
    the results that are stored valid; `always` is for the first ones, and `apart` for those that `Run.content` writes.
    choices, or bounds of a number: what is allowed; None too, if the type has it.
    """
    bounds = {"at_least": at_least, "above": above, "at_most": at_most, "below": below}
    known = Option(help=help, group=group, digest=digest, choices=choices, bounds=bounds)
    return dataclasses.field(default=default, metadata={"option": known})


def options_of(*classes: Any) -> Iterator[tuple[dataclasses.Field[Any], Option]]:
    """Yield the fields of dataclasses that are options, with what is known of them."""
    for each in classes:
        yield from ((field, field.metadata["option"]) for field in dataclasses.fields(each) if field.metadata)


def kind_of(field: dataclasses.Field[Any]) -> str:
    """Return the type of an option as it is written, without None: int, float, bool, str."""
    return str(field.type).removesuffix(" | None")


def check_options(part: Any) -> None:
    """Raise InputError unless each option has one of its choices, or is a number in its bounds."""
    for field, known in options_of(part):
        value = getattr(part, field.name)
        if value is None and str(field.type).endswith("| None"):
            continue
        if known.choices:
            check_choice(field.name, value, known.choices)
        elif kind_of(field) in ("int", "float"):
            check_number(field.name, value, **known.bounds, whole=kind_of(field) == "int")


def counted(part: Any, resolved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that count in the digest. resolved: values that stand for those of the fields."""
    given = {field: known for field, known in options_of(part) if known.digest != "apart"}
    chosen = [field for field, known in given.items() if known.digest == "always" or _changed(part, field)]
    return {field.name: resolved.get(field.name, plain(part, field)) for field in chosen}


def _changed(part: Any, field: dataclasses.Field[Any]) -> bool:
    return bool(getattr(part, field.name) != field.default)
