"""What the shell completes: names, in lists and behind mixings too, without waiting for torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import click
from click.shell_completion import CompletionItem, get_completion_class

from ..core.presets import PRESETS

# The names that the registries hold, by kind: importing those takes a second and more. A test holds them equal.
NAMES: Mapping[str, tuple[str, ...]] = {
    "attack": ("none", "bitflip", "labelflip", "lie", "ipm", "minmax", "minsum", "mimic", "strike"),
    "aggregator": ("mean", "multikrum", "median", "rbtm", "rfa", "aksel", "cclip", "dnc"),
    "mixing": ("bucketing", "nnm"),
    "dataset": ("digits", "fashion_mnist", "cifar10", "imagenet12", "imagenette", "femnist"),
    "partition": ("iid", "dirichlet", "writer"),
    "model": ("linear", "mlp", "cnn", "femnist_cnn", "alexnet", "resnet18"),
    "preset": tuple(PRESETS),
    "experiment": ("table1", "table2", "figure1", "figure2", "figure4", "figure7", "figure8"),
    "scale": ("small", "paper"),
}
SHELLS = {
    "bash": 'add to ~/.bashrc: eval "$(gradskew completion bash)"',
    "zsh": 'add to ~/.zshrc: eval "$(gradskew completion zsh)"',
    "fish": "gradskew completion fish > ~/.config/fish/completions/gradskew.fish",
}

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def one(kind: str) -> Complete:
    """Completes one name."""
    return lambda ctx, param, typed: _items(name for name in NAMES[kind] if name.startswith(typed))


def several(kind: str) -> Complete:
    """Completes the last entry of a comma-separated list; a rule may stand behind mixings, joined by `+`."""

    def complete(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
        before, last = _cut(typed, ",")
        given = before.split(",")
        if kind != "aggregator":
            names = [name for name in NAMES[kind] if name not in given]
            return _items(before + name for name in names if name.startswith(last))
        mixed, stage = _cut(last, "+")
        rules = [name for name in NAMES[kind] if mixed + name not in given]
        found = [name for name in (*rules, *(f"{mixing}+" for mixing in NAMES["mixing"])) if name.startswith(stage)]
        if len(found) == 1 and found[0].endswith("+"):  # alone, it would end the word: show what can stand behind it
            found = [found[0] + rule for rule in NAMES[kind]]
        return _items(before + mixed + name for name in found)

    return complete


def _cut(text: str, separator: str) -> tuple[str, str]:
    """The text up to and with the last separator outside parentheses, and the rest."""
    depth, cut = 0, 0
    for place, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == separator and depth == 0:
            cut = place + 1
    return text[:cut], text[cut:]


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
