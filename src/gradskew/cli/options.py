"""The options that several commands have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

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


FEDERATION = (
    click.option(
        "--dataset",
        shell_complete=one("dataset"),
        help="digits (embedded, the default), or another that `gradskew list` names.",
    ),
    click.option("--data", type=click.Path(path_type=Path), help="Folder with the data set's files."),
    click.option("--download", is_flag=True, default=None, help="Fetch the files from the Hugging Face hub."),
    click.option(
        "--partition", shell_complete=one("partition"), help="dirichlet, iid or writer. Default: by data set."
    ),
    click.option("--beta", type=float, help="Concentration of the Dirichlet partition; small is skewed. Default 0.5."),
    click.option("--min-samples", type=int, help="Fewest images of a client. Default 2 on digits, else 10."),
    click.option("--clients", type=int, help="Clients in all. Default 50; by writer, all."),
    click.option("--sampled", type=int, help="Clients in a round. Default: all."),
    click.option(
        "--byzantine", type=CountOrShare(), help="Byzantine clients: a count, or a share below 1. Default 0.2."
    ),
    click.option(
        "--preset", shell_complete=one("preset"), help="Whose settings: paper (default), strike-authors or byzfl."
    ),
    click.option(
        "--model",
        shell_complete=one("model"),
        help="Such as mlp(hidden=100), cnn, alexnet, package.module:function. Default: by data set.",
    ),
    click.option("--rounds", type=int, help="Communication rounds. Default: by data set."),
    click.option("--epochs", type=int, help="Local epochs in a round."),
    click.option("--batch", type=int, help="Batch size of local training."),
    click.option("--lr", type=float, help="Local learning rate."),
    click.option("--momentum", type=float, help="Local momentum."),
    click.option("--weight-decay", type=float, help="Local weight decay. Default 1e-4."),
    click.option("--clip", type=float, help="Bound on a local gradient's norm. Default 2."),
    click.option("--knowledge", type=float, help="Share of the honest clients that the attacker knows. Default 1."),
    click.option("--told", help="Byzantine rows that the rule is told of: actual (default) or expected."),
    click.option("--evaluate-every", type=int, help="Test the model after so many rounds each. Default 1, FEMNIST 10."),
)
EXECUTION = (
    click.option("--engine", help="How clients train: batched, loop or auto (default); ray: runs are tasks of Ray."),
    click.option("--address", help="Of a Ray cluster: host:port, or auto (default): the one that runs here."),
    click.option("--precision", help="Of local training: float32 (default), bf16, or tf32 on a GPU."),
    click.option("--device", help="cpu (default) or cuda."),
    click.option("--workers", type=click.IntRange(min=1), help="Processes. Default: cores // threads."),
    click.option("--threads", type=int, help="Threads of one run; part of its spec. Default 1."),
    click.option("--lens/--no-lens", default=None, help="Measure skew and kappa each round. Default: on."),
    click.option("--pictures", help="Rounds whose updates are drawn: 0,30 or none. Default: first, middle, last."),
    click.option(
        "--out", type=click.Path(path_type=Path), default=OUT, show_default=True, help="Folder for the results."
    ),
)

SHARD = (
    click.option(
        "--shard", type=Shard(), default=(1, 1), help="I/N: of the grid's runs, the I-th of N parts, for N jobs."
    ),
)

Command = Callable[..., Any]


def federation(command: Command) -> Command:
    """Add the options on what is simulated, but for attacks, rules and seeds."""
    return _with(FEDERATION, command)


def execution(command: Command) -> Command:
    """Add the options on how and where runs are executed."""
    return _with(EXECUTION, command)


def sharded(command: Command) -> Command:
    """Add the option that deals the runs of a grid to several jobs."""
    return _with(SHARD, command)


def _with(options: tuple[Callable[[Command], Command], ...], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
