"""Options that several commands share; the options of a run come from its fields."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..core.errors import check
from ..core.options import options_of, type_name
from ..federation.optimizer import SGD
from ..federation.options import LISTED, Options
from .completion import complete_list, complete_name

OUT = "gradskew-results"


class CountOrShare(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """Convert a whole number, or a share below 1."""

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
    """Convert I/N, the I-th of N parts with I from 1 to N, to (I, N)."""

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


class Listed(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """Convert one value as `kind` does, or a comma-separated list of them."""

    def __init__(self, kind: Any):
        self.kind, self.name = kind, f"{kind.name},..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value, or a list of several."""
        from ..runs.product import WORDS, values_of

        key = str(param and param.name)
        check(value != "", f"{key} is empty: give a value, or several with commas between them")
        words = WORDS.get(key, ())
        values = [
            part.lower() if str(part).lower() in words else self.kind.convert(part, param, ctx)
            for part in values_of(key, value)
        ]
        return values if len(values) > 1 else values[0]


class Aliased(click.Option):
    """An option of several names, of which a command line has one at most, as a TOML file has."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Let the parser keep what each name is given."""
        for flag in self.opts:
            parser.add_option(obj=self, opts=[flag], dest=flag, action="store", nargs=1)

    def consume_value(self, ctx: click.Context, opts: Any) -> Any:
        """Take the value of the one name that was given; InputError for two."""
        given = {flag: opts[flag] for flag in self.opts if flag in opts}
        check(len(given) < 2, f"{self.name} is given twice: {' and '.join(given)} are the same setting")
        if given:
            opts = {**opts, self.name: next(iter(given.values()))}
        return super().consume_value(ctx, opts)


Command = Callable[..., Any]
Decorator = Callable[[Command], Command]

TYPES: dict[str, Any] = {"int": int, "float": float}  # of a field; every other one is read as text


def _click_options(group: str, *classes: Any) -> dict[str, Decorator]:
    """Return the click options for the fields of a group, by field name."""
    decorators: dict[str, Decorator] = {}
    for field, known in options_of(*classes):
        if known.help and known.group == group:
            flag = f"--{field.name.replace('_', '-')}"
            if type_name(field) == "bool":
                decorators[field.name] = click.option(f"{flag}/--no-{flag[2:]}", default=None, help=known.help)
            else:
                kind = CountOrShare() if field.name == "byzantine" else TYPES.get(type_name(field))
                decorators[field.name] = click.option(flag, type=kind, help=known.help)
    return decorators


def _take_config(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    """Take the settings of a TOML file as defaults of the command's options."""
    if value is not None:
        from ..runs.settings import read_config

        options = {option.name: option for option in ctx.command.params if option.name and option is not param}
        given = read_config(value, options)
        ctx.default_map = {key: [text] if _is_multiple(options.get(key)) else text for key, text in given.items()}


def _is_multiple(option: click.Parameter | None) -> bool:
    """Return whether an option may be given several times."""
    return isinstance(option, click.Option) and option.multiple


CONFIG = click.argument(
    "config", required=False, type=click.Path(path_type=Path), is_eager=True, expose_value=False, callback=_take_config
)
DATASET = click.option(
    "--dataset",
    shell_complete=complete_name("dataset"),
    help="digits (embedded, the default), your own as csv:FILE(label=COLUMN), npz:FILE, parquet:FILE, images:FOLDER or "
    "text:FILE, hf:OWNER/NAME of the Hugging Face hub, another name in `gradskew list`, or package.module:name.",
)
FILES = (
    click.option(
        "--data",
        type=click.Path(path_type=Path),
        help="Folder with the data set's files; for csv, npz and parquet a file too.",
    ),
    click.option("--download", is_flag=True, default=None, help="Fetch the files from the Hugging Face hub."),
)


def methods(kind: str, help: str, *, multiple: bool = False) -> Decorator:
    """Return the option `attacks` or `rules`, with all names that it has. kind: `attack` or `rule`."""
    words = {"attack": ("--attacks", "--attack"), "rule": ("--rules", "--rule", "--aggregators", "--aggregator")}
    complete = complete_list(kind)
    attrs: dict[str, Any] = {"multiple": True} if multiple else {"cls": Aliased}
    return click.option(*words[kind], f"{kind}s", shell_complete=complete, help=help, **attrs)


SEEDS = click.option(
    "--seeds",
    help="Number of seeds (3 means 0,1,2), or a comma-separated list. Default: 1; 3 for the attacks of `worst` and for "
    "`gradskew tune`; for `gradskew paper`: by scale.",
)
SHARD = click.option(
    "--shard", type=Shard(), default=(1, 1), help="I/N: run the I-th of N parts of the grid, for N jobs."
)
FEDERATION: tuple[Decorator, ...] = (
    DATASET,
    *FILES,
    click.option(
        "--partition",
        shell_complete=complete_name("partition"),
        help="For example iid, dirichlet, shards(k=2), writer, package.module:name. Default: by data set.",
    ),
    click.option(
        "--beta",
        type=float,
        help="Concentration of the Dirichlet partition: the smaller, the more skewed. Default 0.5.",
    ),
    click.option(
        "--min-samples",
        type=int,
        help="Minimum number of inputs per client. Default: 2 on digits and your own data, else 10.",
    ),
    click.option(
        "--preset",
        shell_complete=complete_name("preset"),
        help="Published settings: paper (default), strike-authors, byzfl, byzpy or flower.",
    ),
    click.option(
        "--model",
        shell_complete=complete_name("model"),
        help="For example mlp(hidden=100), cnn, alexnet, package.module:function. Default: by data set.",
    ),
    click.option(
        "--local",
        shell_complete=complete_name("local variant"),
        help="Variant of local training: fedavg (default), fedprox(mu=0.01), scaffold(control=row).",
    ),
    click.option(
        "--server",
        shell_complete=complete_name("server optimiser"),
        help="The server's optimiser: fedavg (default), fedavgm(beta=0.9), fedadam(lr=0.1), fedyogi, fedadagrad.",
    ),
    *_click_options("federation", Options, SGD).values(),
)
EXECUTION: tuple[Decorator, ...] = (
    *_click_options("execution", Options).values(),
    click.option(
        "--address", help="Address of a Ray cluster: host:port, or auto (default) for the one on this machine."
    ),
    click.option("--workers", type=click.IntRange(min=1), help="Number of processes. Default: cores // threads."),
    click.option(
        "--log",
        shell_complete=complete_list("tracker"),
        help="Log the finished runs by these trackers, comma-separated: csv, jsonl, mlflow, tensorboard, wandb.",
    ),
)


def federation(command: Command) -> Command:
    """Add the options of the simulated federation, without attacks, rules and seeds."""
    return _with(FEDERATION, command)


def execution(command: Command, out: str = OUT) -> Command:
    """Add the options of the execution: device, workers, output folder. out: the default of the last."""
    kind = click.Path(path_type=Path)
    folder = click.option("--out", type=kind, default=out, show_default=True, help="Folder for the results.")
    return _with((*EXECUTION, folder), command)


def files(command: Command) -> Command:
    """Add the options that locate the data set's files."""
    return _with(FILES, command)


def lists(command: click.Command) -> click.Command:
    """Let the options of a federation take lists: one federation for each combination of values."""
    for param in command.params:
        if param.name in LISTED:
            param.type = Listed(param.type)
    return command


def _with(options: tuple[Decorator, ...], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
