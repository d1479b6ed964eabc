"""`gradskew list`: every name, with its options and its paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..core.errors import InputError

if TYPE_CHECKING:
    from ..core.names import Registry


@click.command(name="list")
def list_() -> None:
    """Show attacks, rules, mixings, data sets, partitions, models and presets, one line each."""
    from ..aggregators import MIXINGS, RULES
    from ..attacks import ATTACKS
    from ..core.importing import registered
    from ..core.names import options
    from ..core.presets import PRESETS
    from ..data import SOURCES
    from ..data.partition import PARTITIONS
    from ..models import MODELS

    tables = (ATTACKS, RULES, MIXINGS, SOURCES, PARTITIONS, MODELS)
    for registry in tables:
        click.echo(click.style(f"{registry.kind}s", bold=True))
        for key, cls in registry.classes.items():
            fields = ", ".join(f"{field.name}={field.default}" for field in options(cls) if field.repr)
            summary = (cls.__doc__ or "").strip().splitlines()[0].rstrip(".")
            paper = f" ({cls.source})" if cls.source else ""
            click.echo(f"  {key:<14} {summary}{paper}{f' [{fields}]' if fields else ''}")
        others = registered(registry.kind) if registry in (ATTACKS, RULES) else {}
        for name, path in others.items():
            click.echo(f"  {name:<14} {_summary(registry, name, path)}")
    click.echo(click.style("presets", bold=True))
    for name, content in PRESETS.items():
        click.echo(f"  {name:<14} {', '.join(content) or 'every default'}")


def _summary(registry: Registry[Any], name: str, path: str) -> str:
    """One line on what a package registered, or on why it cannot be used."""
    import inspect

    from ..core.importing import import_object

    if name in registry:
        return f"not used: ours has this name too [{path}]"
    try:
        lines = (inspect.getdoc(import_object(path, registry.kind)) or "registered by a package").splitlines()
    except InputError as error:
        return f"broken: {error}"
    return f"{lines[0].rstrip('.')} [{path}]"
