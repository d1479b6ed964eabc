"""`gradskew list`: print every name with its options and its paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, Field
from typing import TYPE_CHECKING, Any

import click

from ..core.errors import InputError

if TYPE_CHECKING:
    from ..core.catalogue import Catalogue
    from ..core.names import Named


@click.command(name="list")
def list_() -> None:
    """Show all names of methods, data sets, partitions, models, trackers and presets, one line each."""
    from ..aggregators import MIXINGS, RULES
    from ..attacks import ATTACKS
    from ..core.presets import PRESETS
    from ..data import PARTITIONS, SOURCES
    from ..federation.catalogue import SERVERS, VARIANTS
    from ..federation.options import Options
    from ..models import MODELS
    from ..trackers import TRACKERS

    catalogues: list[Catalogue[Any]] = [ATTACKS, RULES, MIXINGS, SOURCES, PARTITIONS, MODELS, VARIANTS, SERVERS]
    catalogues += [TRACKERS]
    for catalogue in catalogues:
        lines = [(key, _line(cls)) for key, cls in catalogue.classes.items()]
        lines += catalogue.meanings.items()
        if catalogue is not MIXINGS:  # those of packages are registered among the rules
            lines += [(name, _registered(catalogue, name, path)) for name, path in catalogue.registered().items()]
        _print(f"{catalogue.kind}s", lines)
    lines = []
    for preset in PRESETS:
        changed = [key for catalogue in catalogues for key, cls in catalogue.classes.items() if cls.preset(preset)]
        changed += ["run"] if preset in Options.presets else []
        lines.append((preset, ", ".join(changed) or "every default"))
    _print("presets", lines)


def _print(head: str, lines: Sequence[tuple[str, str]]) -> None:
    """Print a head, and a line for each name, with the names in a column."""
    click.echo(click.style(head, bold=True))
    width = max(len(name) for name, _ in lines)
    for name, line in lines:
        click.echo(f"  {name:<{width}} {line}")


def _line(cls: type[Named]) -> str:
    """Return one line on a method: the first line of its docstring, its paper and its options."""
    from ..core.names import options

    fields = ", ".join(f"{field.name}={_default(field)}" for field in options(cls) if field.repr)
    summary = (cls.__doc__ or "").strip().splitlines()[0].rstrip(".")
    paper = f" ({cls.source})" if cls.source else ""
    return f"{summary}{paper}{f' [{fields}]' if fields else ''}"


def _default(field: Field[Any]) -> str:
    """Return the default of an option as it is written; that of a method is its name."""
    from ..core.grammar import format_value
    from ..core.names import Named

    value = field.default if field.default_factory is MISSING else field.default_factory()
    return value.name if isinstance(value, Named) else format_value(value)


def _registered(catalogue: Catalogue[Any], name: str, path: str) -> str:
    """Return one line on a method that a package registers, or on why it cannot be used."""
    import inspect

    from ..core.importing import import_object

    if name in catalogue:
        return f"not used: a built-in has this name [{path}]"
    try:
        lines = (inspect.getdoc(import_object(path, catalogue.kind)) or "registered by a package").splitlines()
    except InputError as error:
        return f"broken: {error}"
    return f"{lines[0].rstrip('.')} [{path}]"
