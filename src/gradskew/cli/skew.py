"""`gradskew skew`: measure the skew of the honest updates, of a simulated federation or of a user's matrix."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ..core.errors import check
from .options import SEEDS, execution, federation, methods
from .publishing import publish, tables_of
from .received import save_received
from .sweeping import choose_workers, run_sweep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..skew import Picture

WITH_MATRIX = ("matrix", "attacks", "rules", "f", "replace", "seeds", "preset", "out")  # the parameters that apply
WITH_RECORD = ("record", "round", "dataset", "data", "download", "out")


@click.command()
@click.argument("matrix", required=False, type=click.Path(path_type=Path))
@methods("attack", "Attacks to try, comma-separated, such as strike,lie(z=1.0).")
@methods("rule", "Rules to attack, comma-separated, such as multikrum,nnm+rfa.")
@click.option(
    "--f", type=int, help="With MATRIX: number of Byzantine rows. Default: a fifth of the rows, rounded down."
)
@click.option("--replace", is_flag=True, help="With MATRIX: replace its first f rows, the attacker's own.")
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    metavar="FOLDER/runs/DIGEST",
    help="With --round: save the rows of a round of this stored run. The beginning of the digest is enough.",
)
@click.option("--round", type=int, help="With --record: the round, counted from 1 as in reports.")
@SEEDS
@federation
@execution
@click.pass_context
def skew(
    ctx: click.Context,
    /,
    matrix: Path | None,
    attacks: str | None,
    rules: str | None,
    f: int | None,
    replace: bool,
    record: Path | None,
    round: int | None,
    out: Path,
    workers: int | None,
    log: str | None,
    **options: Any,
) -> None:
    """Measure the skew of the honest updates, and the effect of attacks that exploit it on rules.

    MATRIX is your own: a .npy or .safetensors file (n, d), one client per row, or a folder with one file per client.
    It may be larger than memory, and is never changed. f forged rows are put before its rows; with --replace, they
    replace its first f rows. With --record a stored run is played again up to a round, and the matrix that its rule got
    in it is saved, with the command that replays it. Without both a federation is simulated: by default on digits,
    without an attack, under the plain mean.

    Prints each measure with a 95 % interval, beside its values on even and on very uneven data. Writes skew.json, and
    the updates in the plane as skew.pdf and skew.png; for a simulated federation also report.html.
    """
    given = [name for name in ctx.params if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT]
    together = "--record and --round go together: they name a round of a stored run"
    check((record is None) == (round is None), together)
    if record is not None and round is not None:
        where = "--dataset, --data, --download"
        alone = f"with --record all other settings are in the record: only --round, {where} and --out apply"
        check({*given} <= {*WITH_RECORD}, alone)
        save_received(record, round, out, options["data"], bool(options["download"]), options["dataset"])
    elif matrix is not None:
        others = [name.replace("_", "-") for name in given if name not in WITH_MATRIX]
        check(not others, f"--{''.join(others[:1])} applies to a simulated federation, not to a matrix")
        settings = {"attacks": attacks, "rules": rules or ("mean" if attacks else None)}
        settings |= {key: options[key] for key in ("seeds", "preset")}
        _examine(matrix, f, replace, out, settings)
    else:
        check(f is None and not replace, "--f and --replace apply to a matrix: a simulated federation has --byzantine")
        _simulate(attacks, rules, out, workers, log, options)


def _examine(matrix: Path, f: int | None, replace: bool, out: Path, settings: dict[str, Any]) -> None:
    """Measure a user's own matrix. settings: attacks, rules, seeds and preset."""
    from ..report.terminal import show_skew, show_trials
    from ..runs.settings import make_methods
    from ..skew import examine
    from ..skew.matrices import read_matrix
    from ..skew.references import MEASURES, OF_UPDATES, reading

    attacks, rules, seeds = make_methods(settings)
    rows = read_matrix(matrix)
    result = examine(rows, attacks, rules, f, replace=replace, seeds=seeds)
    click.echo(f"{matrix}: {result.rows} rows of {result.columns:,} {str(rows.dtype).removeprefix('torch.')}")
    if result.left_out:
        click.echo(
            f"Excluded as not finite: {len(result.left_out)} rows ({', '.join(map(str, result.left_out[:10]))})."
        )
    values = result.skew.values(MEASURES)
    default = "" if f is not None else f", the default: a fifth of {result.rows - len(result.left_out)} rows"
    supposed = f"f = {result.f}{default}; S is {result.skew.skewed} of {len(result.skew.towards)} honest rows."
    differences = result.skew.values(OF_UPDATES)
    show_skew(values, [reading(values, [(len(result.skew.towards), result.f)]), supposed], differences)
    if result.trials:
        show_trials(result.trials)
    names = [f"{attack}, {picture.method.upper()}" for attack, picture in result.pictures]
    pictures = [picture for _, picture in result.pictures]
    title = f"{matrix}{f'; rule: {rules[0].name}' if rules else ''}"
    _write(out, {"matrix": str(matrix), **result.to_json()}, pictures, names, title)


def _simulate(
    attacks: str | None, rules: str | None, out: Path, workers: int | None, log: str | None, options: dict[str, Any]
) -> None:
    """Measure a simulated federation, averaged over its rounds."""
    from ..report.holders import deals, held_by_few
    from ..report.lens import Lens, Overview
    from ..report.table import Table
    from ..report.terminal import show_skew
    from ..report.verdict import statements
    from ..runs.listed import split_names
    from ..runs.settings import make_runs
    from ..runs.store import Store
    from ..skew.references import reading

    check(options["lens"] is not False, "the lens measures the skew: remove --no-lens")
    tried = [name for name in split_names(attacks or "none", "attacks") if name != "none"]
    chosen = choose_workers(options, workers)
    runs = make_runs({**options, "attacks": ",".join(["none", *tried]), "rules": rules or "mean"})
    swept = run_sweep(runs[0].source.name, runs, out, chosen, log=log)
    if swept.records:
        table = Table(swept.records)
        overview = Overview([Lens(record) for record in table.honest])
        click.echo(f"{table.federation}.")
        spec = table.honest[0].spec
        basis = f"{overview.supposed}; means over the rounds of {spec['aggregator_name']} under {spec['attack_name']}."
        tables = tables_of([out], swept.records)
        judgement = statements(swept.table(tables)) if tried else []
        notes = [overview.pairs_text, held_by_few(deals(table.records))]
        sentences = [reading(overview.values, overview.sizes), basis, *filter(None, notes)]
        sentences += [*judgement, *swept.summaries(tables, out)]
        show_skew(overview.values, sentences, overview.heterogeneity)
        last = table.records[-1]
        pictures = Store(out).pictures(last.digest)
        names = [f"round {picture.round + 1}, {picture.method.upper()}" for picture in pictures]
        measured = [*overview.values, *overview.heterogeneity]
        content = {"spec": spec, "skew": {measure.key: asdict(value) for measure, value in measured}}
        cell = f"{last.spec['attack_name']} against {last.spec['aggregator_name']}, seed {last.spec['seed']}"
        with swept.published():
            _write(out, content, pictures, names, f"{table.federation}\n{cell}", publish(tables, out, out))
    if swept.failure is not None:
        raise swept.failure


def _write(
    out: Path,
    content: dict[str, Any],
    pictures: Sequence[Picture],
    names: Sequence[str],
    title: str,
    written: Sequence[str] = (),
) -> None:
    """Write skew.json and the pictures, and print the names of these and the files `written` before.

    names: the titles of the pictures.
    """
    from ..core.files import write
    from ..report.figures import lle_figure

    files: dict[str, str | bytes] = {"skew.json": json.dumps(content, indent=1, sort_keys=True) + "\n"}
    if pictures:
        figure = lle_figure(pictures, title, columns=2, names=names, sender="Byzantine")
        files |= {f"skew.{kind}": content for kind, content in figure.items()}
    out.mkdir(parents=True, exist_ok=True)
    if not pictures:
        click.echo("No picture: more than 1,000 rows, or too few different ones.")
        for kind in ("pdf", "png"):
            (out / f"skew.{kind}").unlink(missing_ok=True)  # of an earlier matrix
    for name, text in files.items():
        write(out / name, text)
    click.echo(f"{', '.join([*written, *files])}: in {out}.")
