"""`gradskew audit`: check a user's rule or attack, run it, and compare it with the built-in ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.errors import MethodError, check, check_number, warn
from .completion import complete_list
from .options import SEEDS, execution, federation, methods
from .publishing import listing, publish, tables_of
from .sweeping import choose_workers, run_sweep, stoppable

if TYPE_CHECKING:
    from ..audit import Inspection
    from ..federation.run import Run

    Failures = Sequence[tuple[Run, Exception]]


@click.command()
@methods("rule", "A rule: package.module:name, or nnm+package.module:name.", multiple=True)
@methods("attack", "An attack: package.module:name.", multiple=True)
@click.option(
    "--against",
    shell_complete=complete_list("rule"),
    default="paper",
    help="Built-in rules to compare with, comma-separated, paper (default) or all.",
)
@click.option(
    "--under",
    shell_complete=complete_list("attack"),
    default="paper",
    help="Built-in attacks to run, comma-separated, paper (default), all or worst.",
)
@click.option("--limit", type=float, default=30.0, show_default=True, help="Time limit of a check, in seconds.")
@SEEDS
@federation
@execution
def audit(
    rules: Sequence[str],
    attacks: Sequence[str],
    against: str,
    under: str,
    limit: float,
    out: Path,
    workers: int | None,
    log: str | None,
    **options: Any,
) -> None:
    """Audit your own rule or attack.

    --rule and --attack name functions, objects or classes, on torch or NumPy, such as my_rules:trimmed or
    byzfl:TrMean(f=10); either may be given several times. Each is first checked on small matrices, in a separate
    process. Then every attack is run against every rule, and yours are compared with the built-in ones: on the screen,
    in report.html and in audit.json. A rule or attack that cannot be run is reported in one line; the others are run.
    """
    from ..audit.screen import show_audit, show_inspections
    from ..audit.standing import Audit
    from ..report.table import Table
    from ..report.verdict import remarks, statements
    from ..report.worst import harder_question
    from ..runs.listed import split_names
    from ..runs.settings import make_runs
    from ..runs.sweeps import FailedRuns

    audited = {kind: _split(kind, texts) for kind, texts in (("rule", rules), ("attack", attacks))}
    check(any(audited.values()), "name what to audit: --rule package.module:name, or --attack package.module:name")
    check_number("limit", limit, above=0, at_most=86_400)
    builtin_rules, builtin_attacks = split_names(against, "rules"), ["none", *split_names(under, "attacks")]

    chosen = choose_workers(options, workers)
    _check_attacked([*builtin_attacks, *audited["attack"]])

    def make(rule_names: Sequence[str], attack_names: Sequence[str]) -> list[Run]:
        names = {"rules": rule_names, "attacks": attack_names}
        return make_runs({**options, **{key: ",".join(dict.fromkeys(texts)) for key, texts in names.items()}})

    with stoppable():
        run = make(builtin_rules, builtin_attacks)[0]
        inspections, costs = _inspect(audited, builtin_rules, run, limit, options["preset"])
    show_inspections(inspections.values())
    _save_breaking_rows(inspections, out)
    for name, inspection in inspections.items():
        if inspection.failure is not None:
            audited[inspection.kind].remove(inspection.name)
            warn(f"gradskew: the {inspection.kind} {name} is not run: {inspection.reason}")
    if not any(audited.values()):
        click.get_current_context().exit(2)
    _check_attacked([*builtin_attacks, *audited["attack"]])
    runs = make([*audited["rule"], *builtin_rules], [*builtin_attacks, *audited["attack"]])
    swept = run_sweep(runs[0].source.name, runs, out, chosen, log=log)
    other_failures = _add_failures(swept.failures, inspections)
    if swept.records:
        result = Audit(Table(swept.records), inspections, costs)
        tables = tables_of([out], swept.records)
        sentences = [*result.verdict, *statements(result.table), *remarks(result.table)]
        show_audit(result, [*sentences, *swept.summaries(tables, out)])
        with swept.published():
            click.echo(f"{listing(publish(tables, out, out, result))}: in {out}.")
        if question := harder_question([result.table], "gradskew audit", "--under"):
            click.echo(question)
    for name, inspection in inspections.items():
        if inspection.run_failure:
            warn(f"gradskew: the {inspection.kind} {name} failed in its runs: {inspection.reason}")
    if other_failures:
        raise FailedRuns(other_failures, len(other_failures) + len(swept.records))
    if swept.failure is not None and not swept.failures:
        raise swept.failure
    if any(inspection.reason for inspection in inspections.values()):
        click.get_current_context().exit(2)


def _save_breaking_rows(inspections: Mapping[str, Inspection], out: Path) -> None:
    """Save the rows of one round that break a rule as a matrix, and print the commands that replay them."""
    import numpy as np

    from ..core.importing import shell_command

    broken = [(each, rows) for each in inspections.values() if (rows := each.breaking_rows) is not None]
    for number, (inspection, breaking) in enumerate(broken, 1):
        out.mkdir(parents=True, exist_ok=True)
        file = out / f"broken-{number}.npy"
        np.save(file, breaking.rows)
        words = ["gradskew", "skew", str(file), "--f", str(breaking.f), "--replace", "--rules", inspection.name]
        click.echo(f"The rows of the round that breaks {inspection.name}: {shell_command(*words)}")


def _check_attacked(attacks: Sequence[str]) -> None:
    """Raise InputError unless an attack other than none is named."""
    check(set(attacks) > {"none"}, "give at least one attack other than none, in --under or --attack")


def _add_failures(failures: Failures, inspections: Mapping[str, Inspection]) -> Failures:
    """Add the failures of runs to the inspections of their rules and attacks; return those of runs without any.

    A run with an audited rule and an audited attack counts against the one that raised the error, or else both.
    """
    from ..audit import BAD, RUN, Finding
    from ..runs.sweeps import FailedRuns

    by_name: dict[str, list[tuple[Run, Exception]]] = {}
    for run, error in failures:
        names = {"attack": run.attack.name, "rule": run.aggregator.name}
        audited = {k: name for k, name in names.items() if name in inspections and inspections[name].kind == k}
        kind = error.kind if isinstance(error, MethodError) else ""
        for name in [audited[kind]] if kind in audited else [*audited.values()] or [""]:
            by_name.setdefault(name, []).append((run, error))
    others = by_name.pop("", [])
    for name, of_name in by_name.items():
        inspections[name].findings.append(Finding(RUN, BAD, f"{FailedRuns.describe(of_name)}."))
    return others


def _split(kind: str, texts: Sequence[str]) -> list[str]:
    """Return the names in an option that may be given several times, each with several names."""
    from ..core.grammar import split_list

    return list(dict.fromkeys(name for text in texts for name in split_list(text, kind)))


def _inspect(
    audited: dict[str, list[str]], builtin_rules: Sequence[str], run: Run, limit: float, preset: str | None
) -> tuple[dict[str, Inspection], dict[str, float | None]]:
    """Return the inspections of the audited rules and attacks and the costs of all rules, by name in the table."""
    from .. import aggregators, attacks
    from ..audit import COST, Task, inspect, list_tasks
    from ..audit.screen import show_current_check
    from ..runs.settings import COMMON

    n, preset = run.num_sampled, preset or COMMON["preset"]
    f = -(-run.num_byzantine * n // run.clients)
    tasks = [task for kind, names in audited.items() for name in names for task in list_tasks(kind, name)]
    tasks += [Task("rule", name, COST) for name in builtin_rules if name not in audited["rule"]]
    with show_current_check() as on_check:
        inspections = inspect(tasks, n=n, f=f, limit=limit, preset=preset, on_check=on_check).values()
    makers = {"rule": aggregators.make, "attack": attacks.make}
    by_name = {
        each.name if each.failure is not None else makers[each.kind](each.name, preset=preset).name: each
        for each in inspections
    }
    costs = {name: each.cost for name, each in by_name.items() if each.kind == "rule"}
    return {name: each for name, each in by_name.items() if each.name in audited[each.kind]}, costs
