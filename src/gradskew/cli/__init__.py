"""The command line."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from ..core.errors import InputError, os_error_text, warn
from .audit import audit
from .bench import bench
from .cite import cite
from .completion import completion
from .doctor import doctor
from .export import export
from .list import list_
from .paper import paper
from .report import report
from .skew import skew
from .tune import tune


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gradskew")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Measure how much Byzantine clients can harm a federated model.

    Runs every attack against every robust aggregation rule, on heterogeneous data, in simulation.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


for command in (bench, tune, audit, paper, skew, report, export, cite, list_, doctor, completion):
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line; report a user's error in one line on standard error, with exit status 2."""
    try:
        sys.exit(cli.main(arguments, prog_name="gradskew", standalone_mode=False) or 0)
    except click.ClickException as error:
        message = error.format_message()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        message = os_error_text(error)
    except InputError as error:
        message = str(error)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
    warn(f"gradskew: {' '.join(message.split())}")
    sys.exit(2)
