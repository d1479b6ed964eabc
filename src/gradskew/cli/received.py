"""Save the rows that a rule got in a round of a stored run, as a matrix for `gradskew skew`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.errors import check, check_number, warn
from ..core.importing import shell_command
from .sweeping import print_searches, stoppable

if TYPE_CHECKING:
    from ..aggregators import Aggregator
    from ..federation.metrics import Metrics
    from ..federation.run import Run
    from ..federation.simulation import Result
    from ..runs.record import Record

KNOWN = {"clients"}  # the parts of a round that a matrix has, too: its rows are numbered
CLOSE = 1e-3  # relative difference of two kappas that are shown as equal


def save_received(
    path: Path, number: int, out: Path, data: Path | None, download: bool, dataset: str | None = None
) -> None:
    """Play a stored run again up to a round, save the rows of that round, and print the rule's result on the file.

    path: `<folder>/runs/<digest>`, or with the beginning of the digest. number: of the round, counted from 1. data,
    download: where the files of the data set are. dataset: its name with the path, where no record has it.
    """
    import numpy as np

    from ..report.holders import deals, held_by_few
    from ..runs.store import Store
    from .replay import same_run

    folder = path.absolute().parent
    check(folder.name == "runs", f"--record takes FOLDER/runs/DIGEST, the folder of one run, not {str(path)!r}")
    record = Store(folder.parent).find(path.name)
    check_number("round", number, at_least=1, at_most=len(record.rounds), whole=True)
    metrics = record.rounds[number - 1]
    n, f = metrics["rows"], metrics["byzantine_rows"]
    check(f < n, f"the rule got no honest row in round {number}")
    run = same_run(record, data, download=download, dataset=dataset)
    result, rows = _play(run, number)
    file = out / f"rows-{record.digest[:12]}-{number}.npy"
    out.mkdir(parents=True, exist_ok=True)
    np.save(file, rows.numpy())
    named = f"{run.attack.name} against {run.aggregator.name}, seed {run.seed}, round {number}"
    click.echo(f"{named}: {n} rows of {rows.shape[1]:,} float32, Byzantine the first {f}: {file}.")
    _compare(record, result)
    _replay(run, metrics, file)
    if held := held_by_few(deals([record])):
        click.echo(held)


def _play(run: Run, number: int) -> tuple[Result, Any]:
    """Play the first rounds of a run with a progress line; return their result, and the rows of the last (n, d)."""
    from ..federation.simulation import received
    from ..report.terminal import ProgressLine
    from ..runs.sweeps import Progress

    run.check_code()
    print_searches([run])
    with stoppable(), ProgressLine() as line:
        return received(run, number - 1, on_round=lambda metrics: line(Progress(0, 1, metrics["round"] + 1, number)))


def _compare(record: Record, result: Result) -> None:
    """Print whether the rounds, and after the last round the parameters, are those of the record."""
    played = len(result.rounds)
    same = [kept == _as_recorded(made, kept) for kept, made in zip(record.rounds[:played], result.rounds, strict=True)]
    ended = played == len(record.rounds)
    if all(same) and (not ended or result.params_sha256 == record.params_sha256):
        parameters = ", and so are the parameters at the end" if ended else ""
        click.echo(f"All measures of the rounds up to it are equal to the record's{parameters}.")
    else:
        where = f"from round {same.index(False) + 1} on" if not all(same) else "in the parameters at the end"
        warn(f"gradskew: {where} the run differs from its record (another kind of processor?)")


def _as_recorded(made: Metrics, kept: Metrics) -> dict[str, Any]:
    """Return the metrics of a round without the notes of the attack that a record of an earlier version lacks."""
    return {
        **dict(made.items()),
        "attack": {key: made["attack"][key] for key in made["attack"] if key in kept["attack"]},
    }


def _replay(run: Run, metrics: Metrics, file: Path) -> None:
    """Print the command that plays the rule on the saved rows, and what it gives beside the record of the round."""
    from ..skew import examine
    from ..skew.matrices import read_matrix

    rule, f = run.aggregator, metrics["byzantine_rows"]
    missing = sorted(rule.needs - KNOWN)
    lens = metrics.get("lens") or {}
    then = (lens.get("kappa"), metrics["byzantine_share"])
    if missing:
        click.echo(f"In the record: {_numbers(*then)}.")
        click.echo(f"{rule.name} needs more than the rows, which no file holds: {', '.join(missing)}.")
        return
    (trial,) = examine(read_matrix(file), [], [rule], f, replace=True).trials
    now = (trial.kappa, trial.byzantine_share)
    click.echo(shell_command("gradskew", "skew", str(file), "--f", str(f), "--replace", "--rules", rule.name))
    click.echo(f"In the record: {_numbers(*then)}. On the file: {_numbers(*now)}.")
    if reason := _reason(rule, metrics["f"], trial.f, _close(*zip(then, now, strict=True))):
        click.echo(f"The two may differ: {rule.name} {reason}.")


def _reason(rule: Aggregator, f_then: int, f_now: int, equal: bool) -> str:
    """Return why a rule may give another result on the rows alone; "" if it cannot. equal: whether it has not.

    A rule is a function of the rows, f, its state, the round and its draws.
    """
    if rule.has_state:
        return "depends on earlier rounds"
    if f_then != f_now:
        return f"was called with f = {f_then}"
    return "" if equal else "draws, and not the same again"


def _numbers(kappa: float | None, share: float | None) -> str:
    """Return the kappa of a round and the Byzantine share of the weight as text."""
    weight = "no weights of rows" if share is None else f"Byzantine weight {100 * share:.4g} %"
    return f"kappa {'–' if kappa is None else f'{kappa:.6g}'}, {weight}"


def _close(*pairs: tuple[float | None, float | None]) -> bool:
    """Return whether the numbers of each pair are equal, or one of them is not known."""
    return all(a is None or b is None or math.isclose(a, b, rel_tol=CLOSE, abs_tol=CLOSE) for a, b in pairs)
