"""`gradskew skew`: how skewed the honest updates are, of a simulated federation or of a matrix of one's own."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ..core.errors import check
from .completion import several
from .options import SEEDS, execution, federation
from .publishing import publish
from .sweeping import choose_workers, run_sweep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..skew import Picture

OFFLINE = ("matrix", "attack", "aggregator", "f", "replace", "seeds", "preset", "out")  # what a matrix has a use for


@click.command()
@click.argument("matrix", required=False, type=click.Path(path_type=Path))
@click.option(
    "--attack",
    shell_complete=several("attack"),
    help="What would it do here? One or several, comma-separated, such as strike,lie(z=1.0).",
)
@click.option(
    "--aggregator",
    shell_complete=several("aggregator"),
    help="To which rules? One or several, comma-separated, such as multikrum,nnm+rfa.",
)
@click.option("--f", type=int, help="With MATRIX: Byzantine rows. Default: a fifth of the rows, rounded down.")
@click.option("--replace", is_flag=True, help="With MATRIX: its first f rows are the attacker's own, and replaced.")
@SEEDS
@federation
@execution
@click.pass_context
def skew(
    ctx: click.Context,
    /,
    matrix: Path | None,
    attack: str | None,
    aggregator: str | None,
    f: int | None,
    replace: bool,
    out: Path,
    workers: int | None,
    **options: Any,
) -> None:
    """Measure the gradient skew of honest updates, and what an attack that hides in it would do to a rule.

    MATRIX is your own: a .npy or .safetensors file (n, d), one client a row, or a folder with one file per client. It
    may be larger than memory, and is never changed. f forged rows come in front; with --replace, in place of its first
    f rows. Without MATRIX a federation is played: by default on the digits, without attack, under the plain mean.

    Prints each number with a 95 % interval and beside what even and very uneven data give; writes skew.json, and
    skew.pdf and skew.png, the updates in the plane; after a played federation also report.html.
    """
    given = [name for name in ctx.params if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT]
    if matrix is not None:
        foreign = [name for name in given if name not in OFFLINE]
        first = (foreign or [""])[0].replace("_", "-")
        check(not foreign, f"--{first} belongs to a federation that is played, not to a matrix")
        draws = {key: options[key] for key in ("seeds", "preset")}
        _examine(matrix, attack, aggregator, f, replace, out, draws)
    else:
        check(f is None and not replace, "--f and --replace belong to a matrix: a played federation has --byzantine")
        _play(attack, aggregator, out, workers, options)


def _examine(
    matrix: Path,
    attack: str | None,
    aggregator: str | None,
    f: int | None,
    replace: bool,
    out: Path,
    draws: dict[str, Any],
) -> None:
    """The numbers on a user's own matrix."""
    from ..report.terminal import show_skew, show_trials
    from ..runs.settings import make_methods
    from ..skew import examine
    from ..skew.matrices import read_matrix
    from ..skew.references import MEASURES, reading

    methods = {"attacks": attack, "aggregators": aggregator or ("mean" if attack else None)}
    attacks, rules, seeds = make_methods({**methods, **draws})
    rows = read_matrix(matrix)
    found = examine(rows, attacks, rules, f, replace=replace, seeds=seeds)
    click.echo(f"{matrix}: {found.rows} rows of {found.columns:,} {str(rows.dtype).removeprefix('torch.')}")
    if found.left_out:
        click.echo(f"Left out, as not finite: {len(found.left_out)} rows ({', '.join(map(str, found.left_out[:10]))}).")
    values = [(measure, made) for measure in MEASURES if (made := found.skew.estimate(measure.key)) is not None]
    why = "" if f is not None else f", a fifth of {found.rows - len(found.left_out)} rows, as nothing else was said"
    supposed = f"f = {found.f}{why}; S is {found.skew.skewed} of {len(found.skew.towards)} honest rows."
    show_skew(values, [reading(values), supposed])
    if found.trials:
        show_trials(found.trials)
    panels = [f"{sent}, {picture.method.upper()}" for sent, picture in found.pictures]
    drawn = [picture for _, picture in found.pictures]
    title = f"{matrix}{f'; rule: {rules[0].name}' if rules else ''}"
    _write(out, {"matrix": str(matrix), **found.to_json()}, drawn, panels, title)


def _play(attack: str | None, aggregator: str | None, out: Path, workers: int | None, options: dict[str, Any]) -> None:
    """The numbers on a simulated federation, averaged over its rounds."""
    from ..core.grammar import split_list
    from ..report.lens import Lens, Overview
    from ..report.table import Table
    from ..report.terminal import show_skew
    from ..report.verdict import verdict
    from ..runs.settings import make_runs
    from ..runs.store import Store
    from ..skew.references import reading

    check(options["lens"] is not False, "the numbers on the skew are the lens's: take --no-lens away")
    sent = [name for name in split_list(attack or "none", "attack") if name != "none"]
    chosen = choose_workers(options, workers)
    runs = make_runs({**options, "attacks": ",".join(["none", *sent]), "aggregators": aggregator or "mean"})
    swept = run_sweep(runs[0].source.name, runs, out, chosen)
    if swept.records:
        table = Table(swept.records)
        overview = Overview([Lens(record) for record in table.honest])
        click.echo(f"{table.federation}.")
        where = table.honest[0].spec
        said = f"{overview.supposed}; means over the rounds of {where['aggregator_name']} under {where['attack_name']}."
        show_skew(overview.values, [reading(overview.values), said, *(verdict(table) if sent else []), swept.summary])
        last = table.records[-1]
        drawn = Store(out).pictures(last.digest)
        panels = [f"round {picture.round + 1}, {picture.method.upper()}" for picture in drawn]
        content = {"spec": table.honest[0].spec, "skew": {key.key: asdict(made) for key, made in overview.values}}
        cell = f"{last.spec['attack_name']} against {last.spec['aggregator_name']}, seed {last.spec['seed']}"
        with swept.published():
            _write(out, content, drawn, panels, f"{table.federation}\n{cell}", publish([table], out, out))
    if swept.failure is not None:
        raise swept.failure


def _write(
    out: Path,
    content: dict[str, Any],
    drawn: Sequence[Picture],
    panels: Sequence[str],
    title: str,
    names: Sequence[str] = (),
) -> None:
    """Write skew.json and the picture, and say where."""
    from ..core.files import write
    from ..report.figures import lle_figure

    files: dict[str, str | bytes] = {"skew.json": json.dumps(content, indent=1, sort_keys=True) + "\n"}
    if drawn:
        figure = lle_figure(drawn, title, columns=2, names=panels, sender="Byzantine")
        files |= {f"skew.{kind}": content for kind, content in figure.items()}
    out.mkdir(parents=True, exist_ok=True)
    if not drawn:
        click.echo("No picture: there are more than 1,000 rows, or too few that differ.")
        for kind in ("pdf", "png"):
            (out / f"skew.{kind}").unlink(missing_ok=True)  # it would be that of another matrix
    for name, text in files.items():
        write(out / name, text)
    click.echo(f"{', '.join([*names, *files])}: in {out}.")
