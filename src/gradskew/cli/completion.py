"""What the shell completes: names, in lists and behind mixings too, without waiting for torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import click
from click.shell_completion import CompletionItem, get_completion_class

from ..core.grammar import split_last
from ..core.presets import PRESETS


def names(kind: str) -> list[str]:
    """Return the names of a kind, without importing what they name."""
    from .. import aggregators, attacks, data, models
    from ..paper.catalogue import EXPERIMENTS, SCALES

    tables: Mapping[str, Iterable[str]] = {
        "attack": attacks.ATTACKS,
        "aggregator": aggregators.RULES,
        "mixing": aggregators.MIXINGS,
        "dataset": data.SOURCES,
        "partition": data.PARTITIONS,
        "model": models.MODELS,
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


def one(kind: str) -> Complete:
    """Completes one name."""
    return lambda ctx, param, typed: _items(name for name in names(kind) if name.startswith(typed))


def several(kind: str) -> Complete:
    """Completes the last entry of a comma-separated list; a rule may stand behind mixings, joined by `+`."""

    def complete(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
        before, last = split_last(typed, ",")
        given, known = before.split(","), names(kind)
        if kind != "aggregator":
            return _items(before + name for name in known if name not in given and name.startswith(last))
        mixed, stage = split_last(last, "+")
        rules = [name for name in known if mixed + name not in given]
        offered = [name for name in (*rules, *(f"{mixing}+" for mixing in names("mixing"))) if name.startswith(stage)]
        if len(offered) == 1 and offered[0].endswith(
            "+"
        ):  # alone, it would end the word: show what can stand behind it
            offered = [offered[0] + rule for rule in known]
        return _items(before + mixed + name for name in offered)

    return complete


def _items(values: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(value) for value in values]


@click.command()
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion(shell: str) -> None:
    """Print the script that completes commands, options and names in SHELL.

    bash and zsh: add eval "$(gradskew completion SHELL)" to ~/.bashrc or ~/.zshrc. fish: write what is printed to
    ~/.config/fish/completions/gradskew.fish.
    """
    made = get_completion_class(shell)
    assert made is not None  # click brings these three
    script = made(click.get_current_context().find_root().command, {}, "gradskew", "_GRADSKEW_COMPLETE").source()
    click.echo(f"# To install: {SHELLS[shell]}\n{script}")
