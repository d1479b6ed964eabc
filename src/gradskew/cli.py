"""The command line."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from .checks import InputError

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


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gradskew")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Measure how far Byzantine clients can bend a federated model.

    Every attack against every robust aggregation rule, on heterogeneous data, in simulation.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def _take_config(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    """Use the file's settings as defaults: the command line overrides them."""
    if value is not None:
        from .settings import read_config

        known = [option.name for option in ctx.command.params if option.name and option is not param]
        ctx.default_map = read_config(value, known)


@cli.command()
@click.argument(
    "config", required=False, type=click.Path(path_type=Path), is_eager=True, expose_value=False, callback=_take_config
)
@click.option("--dataset", help="digits (embedded, the default) or fashion_mnist.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder with the data set's files.")
@click.option("--partition", help="dirichlet (default) or iid.")
@click.option("--beta", type=float, help="Concentration of the Dirichlet partition; small is skewed. Default 0.5.")
@click.option("--min-samples", type=int, help="Fewest images of a client. Default 2 on digits, else 10.")
@click.option("--clients", type=int, help="Clients in all. Default 50.")
@click.option("--sampled", type=int, help="Clients in a round. Default: all.")
@click.option("--byzantine", type=CountOrShare(), help="Byzantine clients: a count, or a share below 1. Default 0.2.")
@click.option("--attacks", help="Comma-separated, such as none,lie(z=1.0),strike. Default: all.")
@click.option(
    "--aggregators", help="Comma-separated, such as median,nnm+rfa,bucketing(s=2)+multikrum. Default: all rules."
)
@click.option("--preset", help="Whose settings: paper (default), strike-authors or byzfl.")
@click.option("--model", help="Such as mlp(hidden=100), linear, cnn. Default: by data set.")
@click.option("--rounds", type=int, help="Communication rounds. Default: by data set.")
@click.option("--epochs", type=int, help="Local epochs in a round.")
@click.option("--batch", type=int, help="Batch size of local training.")
@click.option("--lr", type=float, help="Local learning rate.")
@click.option("--momentum", type=float, help="Local momentum.")
@click.option("--weight-decay", type=float, help="Local weight decay. Default 1e-4.")
@click.option("--clip", type=float, help="Bound on a local gradient's norm. Default 2.")
@click.option("--knowledge", type=float, help="Share of the honest clients that the attacker knows. Default 1.")
@click.option("--told", help="Byzantine rows that the rule is told of: actual (default) or expected.")
@click.option("--seeds", help="How many seeds (3 means 0,1,2), or a comma-separated list of them. Default 1.")
@click.option("--engine", help="How clients train: batched, loop or auto (default).")
@click.option("--device", help="cpu (default) or cuda.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes. Default: cores // threads.")
@click.option("--threads", type=int, help="Threads of one run; part of its spec. Default 1.")
@click.option("--out", type=click.Path(path_type=Path), default=OUT, show_default=True, help="Folder for the results.")
def bench(out: Path, workers: int | None, **options: Any) -> None:
    """Play every attack against every rule; print the table, write results.csv, table.md and heatmap.png.

    CONFIG is a TOML file with the same settings (dataset = "digits", attacks = ["none", "strike"], ...); the command
    line overrides it. Runs that are stored in --out already are not run again.
    """
    from .bench import cores, stored, sweep
    from .figures import heatmap
    from .records import Store, write
    from .report import Table, count, markdown, remarks, results_csv, verdict
    from .settings import make_runs
    from .terminal import ProgressLine, show

    runs = make_runs(options)
    if workers is None:
        workers = max(1, cores() // runs[0].threads) if runs[0].device == "cpu" else 1
    Store(out).prepare()
    line, failure = ProgressLine(), None
    task = f"{count(len(runs), 'run')} of {count(runs[0].rounds, 'round')} on {runs[0].source.name}"
    click.echo(f"{task}, {count(workers, 'worker')} -> {out}", err=True)
    try:
        with line:
            records = sweep(runs, out, workers=workers, report=line)
    except KeyboardInterrupt:
        click.echo(f"Stopped. Finished runs are kept in {out}: the same command goes on from there.", err=True)
        sys.exit(130)
    except InputError as error:
        failure, records = error, stored(runs, out)
    if records:
        table = Table(records)
        contents: dict[str, str | bytes] = {
            "results.csv": results_csv(records),
            "table.md": markdown(table),
            "heatmap.png": heatmap(table),
        }
        for name, content in contents.items():
            write(out / name, content)
        show(table, [*verdict(table), *remarks(table), line.summary(len(records)), f"{', '.join(contents)}: in {out}."])
    if failure is not None:
        raise failure


@cli.command(name="list")
def list_() -> None:
    """Show attacks, rules, mixings, data sets, partitions, models and presets, one line each."""
    from .aggregators import MIXINGS, RULES
    from .attacks import ATTACKS
    from .data import SOURCES
    from .models import MODELS
    from .names import options
    from .partition import PARTITIONS
    from .presets import PRESETS

    tables = (ATTACKS, RULES, MIXINGS, SOURCES, PARTITIONS, MODELS)
    for registry in tables:
        click.echo(click.style(f"{registry.kind}s", bold=True))
        for key, cls in registry.classes.items():
            fields = ", ".join(f"{field.name}={field.default}" for field in options(cls) if field.repr)
            summary = (cls.__doc__ or "").strip().splitlines()[0].rstrip(".")
            paper = f" ({cls.source})" if cls.source else ""
            click.echo(f"  {key:<14} {summary}{paper}{f' [{fields}]' if fields else ''}")
    click.echo(click.style("presets", bold=True))
    for name, content in PRESETS.items():
        click.echo(f"  {name:<14} {', '.join(content) or 'every default'}")


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line; what the user got wrong is one line on standard error and exit status 2."""
    try:
        sys.exit(cli.main(arguments, prog_name="gradskew", standalone_mode=False) or 0)
    except click.ClickException as error:
        message = error.format_message()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (InputError, OSError) as error:
        message = str(error)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
    print(f"gradskew: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
