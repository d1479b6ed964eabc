"""Complete names in the shell, also in lists and after mixings, without importing torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import click
from click.shell_completion import CompletionItem, get_completion_class

from ..core.grammar import split_last
from ..core.presets import PRESETS


def names(kind: str) -> list[str]:
    """Return the names of a kind, without importing the classes."""
    from .. import aggregators, attacks, data, models
    from ..federation.catalogue import SERVERS, VARIANTS
    from ..paper.catalogue import EXPERIMENTS, SCALES
    from ..trackers import TRACKERS

    tables: Mapping[str, Iterable[str]] = {
        "attack": attacks.ATTACKS,
        "rule": aggregators.RULES,
        "mixing": aggregators.MIXINGS,
        "dataset": data.SOURCES,
        "partition": data.PARTITIONS,
        "model": models.MODELS,
        "local variant": VARIANTS,
        "server optimiser": SERVERS,
        "tracker": TRACKERS,
        "preset": PRESETS,
        "experiment": EXPERIMENTS,
        "scale": SCALES,
    }
    return list(tables[kind])


SHELLS = {
    "bash": 'add to ~/.bashrc: eval "$(gradskew completion bash)"',
    "zsh": 'add to ~/.zshrc: eval "$(gradskew completion zsh)"',
    "fish": "gradskew completion fish > ~/.config/fish/completions/gradskew.fish",
}

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def complete_name(kind: str) -> Complete:
    """Return a function that completes one name."""
    return lambda ctx, param, typed: _items(name for name in names(kind) if name.startswith(typed))


def complete_list(kind: str) -> Complete:
    """Return a function that completes the last entry of a comma-separated list; a rule may follow mixings and `+`."""

    def complete(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
        before, last = split_last(typed, ",")
        listed, known = before.split(","), names(kind)
        if kind != "rule":
            return _items(before + name for name in known if name not in listed and name.startswith(last))
        mixings, stage = split_last(last, "+")
        rules = [name for name in known if mixings + name not in listed]
        matches = [name for name in (*rules, *(f"{mixing}+" for mixing in names("mixing"))) if name.startswith(stage)]
        if len(matches) == 1 and matches[0].endswith("+"):  # the shell would end the word after a single mixing
            matches = [matches[0] + rule for rule in known]
        return _items(before + mixings + name for name in matches)

    return complete


def _items(values: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(value) for value in values]


@click.command()
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion(shell: str) -> None:
    """Print the script that completes commands, options and names in SHELL.

    bash and zsh: add eval "$(gradskew completion SHELL)" to ~/.bashrc or ~/.zshrc. fish: write the script to
    ~/.config/fish/completions/gradskew.fish.
    """
    cls = get_completion_class(shell)
    assert cls is not None  # click has these three
    script = cls(click.get_current_context().find_root().command, {}, "gradskew", "_GRADSKEW_COMPLETE").source()
    click.echo(f"# To install: {SHELLS[shell]}\n{script}")
