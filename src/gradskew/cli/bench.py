"""`gradskew bench`: every attack against every rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .playing import execution, play


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


def _take_config(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    """Use the file's settings as defaults: the command line overrides them."""
    if value is not None:
        from ..settings import read_config

        known = [option.name for option in ctx.command.params if option.name and option is not param]
        ctx.default_map = read_config(value, known)


@click.command()
@click.argument(
    "config", required=False, type=click.Path(path_type=Path), is_eager=True, expose_value=False, callback=_take_config
)
@click.option("--dataset", help="digits (embedded, the default), or another that `gradskew list` names.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder with the data set's files.")
@click.option("--download", is_flag=True, default=None, help="Fetch the files from the Hugging Face hub.")
@click.option("--partition", help="dirichlet, iid or writer. Default: by data set.")
@click.option("--beta", type=float, help="Concentration of the Dirichlet partition; small is skewed. Default 0.5.")
@click.option("--min-samples", type=int, help="Fewest images of a client. Default 2 on digits, else 10.")
@click.option("--clients", type=int, help="Clients in all. Default 50; by writer, all.")
@click.option("--sampled", type=int, help="Clients in a round. Default: all.")
@click.option("--byzantine", type=CountOrShare(), help="Byzantine clients: a count, or a share below 1. Default 0.2.")
@click.option("--attacks", help="Comma-separated, such as none,lie(z=1.0),strike. Default: all.")
@click.option(
    "--aggregators", help="Comma-separated, such as median,nnm+rfa,bucketing(s=2)+multikrum. Default: all rules."
)
@click.option("--preset", help="Whose settings: paper (default), strike-authors or byzfl.")
@click.option("--model", help="Such as mlp(hidden=100), cnn, alexnet, package.module:function. Default: by data set.")
@click.option("--rounds", type=int, help="Communication rounds. Default: by data set.")
@click.option("--epochs", type=int, help="Local epochs in a round.")
@click.option("--batch", type=int, help="Batch size of local training.")
@click.option("--lr", type=float, help="Local learning rate.")
@click.option("--momentum", type=float, help="Local momentum.")
@click.option("--weight-decay", type=float, help="Local weight decay. Default 1e-4.")
@click.option("--clip", type=float, help="Bound on a local gradient's norm. Default 2.")
@click.option("--knowledge", type=float, help="Share of the honest clients that the attacker knows. Default 1.")
@click.option("--told", help="Byzantine rows that the rule is told of: actual (default) or expected.")
@click.option("--evaluate-every", type=int, help="Test the model after so many rounds each. Default 1, FEMNIST 10.")
@click.option("--seeds", help="How many seeds (3 means 0,1,2), or a comma-separated list of them. Default 1.")
@execution
def bench(out: Path, workers: int | None, **options: Any) -> None:
    """Play every attack against every rule; print the table, write results.csv, table.md and heatmap.png.

    CONFIG is a TOML file with the same settings (dataset = "digits", attacks = ["none", "strike"], ...); the command
    line overrides it. Runs that are stored in --out already are not run again.
    """
    from ..exports import markdown, results_csv
    from ..figures import heatmap
    from ..records import write
    from ..report import Table
    from ..settings import make_runs
    from ..terminal import show
    from ..verdicts import remarks, verdict

    runs = make_runs(options)
    played = play(runs[0].source.name, runs, out, workers)
    if played.records:
        table = Table(played.records)
        contents: dict[str, str | bytes] = {
            "results.csv": results_csv(played.records),
            "table.md": markdown(table),
            "heatmap.png": heatmap(table),
        }
        for name, content in contents.items():
            write(out / name, content)
        show(table, [*verdict(table), *remarks(table), played.summary, f"{', '.join(contents)}: in {out}."])
    if played.failure is not None:
        raise played.failure
