"""`gradskew doctor`: what is installed, what the machine gives, what is missing for which command."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path

import click

from .options import OUT


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=OUT, show_default=True, help="Folder for the results.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for machines.")
def doctor(out: Path, as_json: bool) -> None:
    """Tell what is installed, what the machine gives, and what is missing for which command.

    Nothing is changed and nothing is fetched. Exit status 0 if `gradskew bench` can run, else 1.
    """
    from .diagnosis import examine

    facts = examine(out)
    if as_json:
        topics: dict[str, dict[str, object]] = {}
        for fact in facts:
            found = {"found": fact.found, "good": fact.good, **fact.details}
            topics.setdefault(fact.topic, {})[fact.name] = found
        click.echo(json.dumps(topics, indent=1))
    else:
        width = max(len(fact.name) for fact in facts)
        for topic, group in groupby(facts, key=lambda fact: fact.topic):
            click.echo(click.style(topic, bold=True))
            for fact in group:
                click.echo(f"{' ' if fact.good else '!'} {fact.name:<{width}}  {fact.found}")
    click.get_current_context().exit(next(0 if fact.details["runs"] else 1 for fact in facts if fact.name == "bench"))
