"""The options that several commands have in common; those of a run are its fields."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..core.options import options_of, type_name
from ..federation.optimizer import SGD
from ..federation.options import Options
from .completion import one

OUT = "gradskew-results"


class CountOrShare(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A whole number, or a share below 1."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return int(value)
        except ValueError:
            try:
                return float(value)
            except ValueError:
                self.fail(f"{value!r} is neither a count nor a share", param, ctx)


class Shard(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """I/N: the I-th of N parts, I from 1 to N."""

    name = "I/N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):  # the default
            return value
        parts = str(value).split("/")
        good = len(parts) == 2 and all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts)
        number, count = map(int, parts) if good else (0, 0)
        if not 1 <= number <= count:
            self.fail(f"{value!r} is not I/N, such as 2/10 for the second of ten parts: I is from 1 to N", param, ctx)
        return number, count


Command = Callable[..., Any]
Decorator = Callable[[Command], Command]

TYPES: dict[str, Any] = {"int": int, "float": float}  # of a field; what else it is comes as text


def _click_options(group: str, *classes: Any) -> dict[str, Decorator]:
    """Return the command line's options for the fields of a group, by name."""
    made: dict[str, Decorator] = {}
    for field, known in options_of(*classes):
        if known.help and known.group == group:
            flag = f"--{field.name.replace('_', '-')}"
            if type_name(field) == "bool":
                made[field.name] = click.option(f"{flag}/--no-{flag[2:]}", default=None, help=known.help)
            else:
                kind = CountOrShare() if field.name == "byzantine" else TYPES.get(type_name(field))
                made[field.name] = click.option(flag, type=kind, help=known.help)
    return made


DATASET = click.option(
    "--dataset",
    shell_complete=one("dataset"),
    help="digits (embedded, the default), another that `gradskew list` names, or package.module:name.",
)
FILES = (
    click.option("--data", type=click.Path(path_type=Path), help="Folder with the data set's files."),
    click.option("--download", is_flag=True, default=None, help="Fetch the files from the Hugging Face hub."),
)
SEEDS = click.option(
    "--seeds", help="How many seeds (3 means 0,1,2), or a comma-separated list of them. Default 1; paper: by scale."
)
SHARD = click.option(
    "--shard", type=Shard(), default=(1, 1), help="I/N: of the grid's runs, the I-th of N parts, for N jobs."
)
FEDERATION: tuple[Decorator, ...] = (
    DATASET,
    *FILES,
    click.option(
        "--partition",
        shell_complete=one("partition"),
        help="dirichlet, iid, writer or package.module:name. Default: by data set.",
    ),
    click.option("--beta", type=float, help="Concentration of the Dirichlet partition; small is skewed. Default 0.5."),
    click.option("--min-samples", type=int, help="Fewest images of a client. Default 2 on digits, else 10."),
    click.option(
        "--preset", shell_complete=one("preset"), help="Whose settings: paper (default), strike-authors or byzfl."
    ),
    click.option(
        "--model",
        shell_complete=one("model"),
        help="Such as mlp(hidden=100), cnn, alexnet, package.module:function. Default: by data set.",
    ),
    *_click_options("federation", Options, SGD).values(),
)
EXECUTION: tuple[Decorator, ...] = (
    *_click_options("execution", Options).values(),
    click.option("--address", help="Of a Ray cluster: host:port, or auto (default): the one that runs here."),
    click.option("--workers", type=click.IntRange(min=1), help="Processes. Default: cores // threads."),
    click.option(
        "--out", type=click.Path(path_type=Path), default=OUT, show_default=True, help="Folder for the results."
    ),
)


def federation(command: Command) -> Command:
    """Add the options on what is simulated, but for attacks, rules and seeds."""
    return _with(FEDERATION, command)


def execution(command: Command) -> Command:
    """Add the options on how and where runs are executed."""
    return _with(EXECUTION, command)


def files(command: Command) -> Command:
    """Add the options on where the data set's files are."""
    return _with(FILES, command)


def _with(options: tuple[Decorator, ...], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
