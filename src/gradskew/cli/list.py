"""`gradskew list`: print every name with its options and its paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..core.errors import InputError

if TYPE_CHECKING:
    from ..core.catalogue import Catalogue
    from ..core.names import Named


@click.command(name="list")
def list_() -> None:
    """Show attacks, rules, mixings, data sets, partitions, models and presets, one line each."""
    from ..aggregators import MIXINGS, RULES
    from ..attacks import ATTACKS
    from ..core.presets import PRESETS
    from ..data import PARTITIONS, SOURCES
    from ..federation.options import Options
    from ..models import MODELS

    catalogues: list[Catalogue[Any]] = [ATTACKS, RULES, MIXINGS, SOURCES, PARTITIONS, MODELS]
    for catalogue in catalogues:
        click.echo(click.style(f"{catalogue.kind}s", bold=True))
        for key, cls in catalogue.classes.items():
            click.echo(f"  {key:<14} {_line(cls)}")
        for alias in catalogue.aliases:
            click.echo(f"  {alias:<14} {catalogue.expansion(alias)}")
        if catalogue.registered_as == catalogue.kind:
            for name, path in catalogue.registered().items():
                click.echo(f"  {name:<14} {_registered(catalogue, name, path)}")
    click.echo(click.style("presets", bold=True))
    for preset in PRESETS:
        changed = [key for catalogue in catalogues for key, cls in catalogue.classes.items() if cls.preset(preset)]
        changed += ["run"] if preset in Options.presets else []
        click.echo(f"  {preset:<14} {', '.join(changed) or 'every default'}")


def _line(cls: type[Named]) -> str:
    """Return one line on a method: the first line of its docstring, its paper and its options."""
    from ..core.names import options

    fields = ", ".join(f"{field.name}={field.default}" for field in options(cls) if field.repr)
    summary = (cls.__doc__ or "").strip().splitlines()[0].rstrip(".")
    paper = f" ({cls.source})" if cls.source else ""
    return f"{summary}{paper}{f' [{fields}]' if fields else ''}"


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
