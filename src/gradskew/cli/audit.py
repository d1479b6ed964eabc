"""`gradskew audit`: a rule or an attack of somebody else, checked, played, and set beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.errors import check, check_number, warn
from .completion import several
from .options import SEEDS, execution, federation
from .publishing import publish
from .sweeping import choose_workers, run_sweep, stoppable

if TYPE_CHECKING:
    from ..audit import Inspection
    from ..federation.run import Run

    Failures = Sequence[tuple[Run, Exception]]


@click.command()
@click.option("--rule", "rules", multiple=True, help="The rule: package.module:name, nnm+package.module:name or such.")
@click.option("--attack", "attacks", multiple=True, help="The attack: package.module:name.")
@click.option(
    "--against",
    shell_complete=several("aggregator"),
    help="Rules of ours that stand beside it, comma-separated. Default: all.",
)
@click.option(
    "--under", shell_complete=several("attack"), help="Attacks of ours that are played, comma-separated. Default: all."
)
@click.option("--limit", type=float, default=30.0, show_default=True, help="Seconds that a check may take.")
@SEEDS
@federation
@execution
def audit(
    rules: Sequence[str],
    attacks: Sequence[str],
    against: str | None,
    under: str | None,
    limit: float,
    out: Path,
    workers: int | None,
    **options: Any,
) -> None:
    """Audit a rule or an attack that gradskew has never seen.

    --rule and --attack name functions, objects or classes, on torch or NumPy, such as my_rules:trimmed or
    byzfl:TrMean(f=10); either may be given several times. Each is first checked on small matrices, in a process of its
    own. Then every attack is played against every rule, and what is audited stands beside ours: on the screen, in
    report.html and in audit.json. What cannot be played is one line, and the rest goes on.
    """
    from ..aggregators import names as our_rules
    from ..attacks import names as our_attacks
    from ..audit.screen import show_audit, show_inspections
    from ..audit.standing import Audit
    from ..core.grammar import split_list
    from ..report.table import Table
    from ..report.verdict import remarks
    from ..runs.settings import make_runs
    from ..runs.sweeps import FailedRuns

    asked = {kind: _listed(kind, texts) for kind, texts in (("rule", rules), ("attack", attacks))}
    check(any(asked.values()), "name what to audit: --rule package.module:name, or --attack package.module:name")
    check_number("limit", limit, above=0, at_most=86_400)
    company = our_rules() if against is None else split_list(against, "against")
    sent = ["none", *(our_attacks() if under is None else split_list(under, "under"))]

    chosen = choose_workers(options, workers)
    _check_attacked([*sent, *asked["attack"]])

    def make(judges: Sequence[str], senders: Sequence[str]) -> list[Run]:
        lists = {"aggregators": ",".join(dict.fromkeys(judges)), "attacks": ",".join(dict.fromkeys(senders))}
        return make_runs({**options, **lists})

    with stoppable():
        inspected, costs = _inspect(asked, company, make(company, sent)[0], limit, options["preset"])
    show_inspections(inspected.values())
    for name, failed in inspected.items():
        if failed.failure is not None:
            asked[failed.kind].remove(failed.name)
            warn(f"gradskew: the {failed.kind} {name} is not played: {failed.trouble}")
    if not any(asked.values()):
        click.get_current_context().exit(2)
    _check_attacked([*sent, *asked["attack"]])
    runs = make([*asked["rule"], *company], [*sent, *asked["attack"]])
    swept = run_sweep(runs[0].source.name, runs, out, chosen)
    others = _note(swept.failures, inspected)
    if swept.records:
        found = Audit(Table(swept.records), inspected, costs)
        show_audit(found, [*found.verdict, *remarks(found.table), swept.summary])
        with swept.published():
            click.echo(f"{', '.join(publish([found.table], out, out, found))}: in {out}.")
    for name, failed in inspected.items():
        if failed.failed_in_play:
            warn(f"gradskew: the {failed.kind} {name} failed in play: {failed.trouble}")
    if others:
        raise FailedRuns(others)
    if swept.failure is not None and not swept.failures:
        raise swept.failure
    if any(inspection.trouble for inspection in inspected.values()):
        click.get_current_context().exit(2)


def _check_attacked(attacks: Sequence[str]) -> None:
    """An audit without an attack would say nothing."""
    check(set(attacks) > {"none"}, "at least one attack is wanted beside none: in --under, or --attack")


def _note(failures: Failures, inspected: Mapping[str, Inspection]) -> Failures:
    """Add to what was found on a rule or an attack that runs of it failed; returns the failures of others.

    Where both of a run are audited, it is held against the one that the error names, or else against both.
    """
    from ..audit import BAD, PLAY, Finding
    from ..runs.sweeps import FailedRuns

    blamed: dict[str, list[tuple[Run, Exception]]] = {}
    for run, error in failures:
        both = {"attack": run.attack.name, "rule": run.aggregator.name}
        audited = [name for kind, name in both.items() if name in inspected and inspected[name].kind == kind]
        said = str(error).removeprefix("the attack ")
        named = [
            name for name in audited if said.startswith(tuple(name.rpartition("+")[2] + end for end in (" ", "'s ")))
        ]
        for name in named or audited or [""]:
            blamed.setdefault(name, []).append((run, error))
    others = blamed.pop("", [])
    for name, failed in blamed.items():
        inspected[name].findings.append(Finding(PLAY, BAD, f"{FailedRuns.describe(failed)}."))
    return others


def _listed(kind: str, texts: Sequence[str]) -> list[str]:
    """The names in an option that may be given several times, each with several names."""
    from ..core.grammar import split_list

    return list(dict.fromkeys(name for text in texts for name in split_list(text, kind)))


def _inspect(
    asked: dict[str, list[str]], company: Sequence[str], run: Run, limit: float, preset: str | None
) -> tuple[dict[str, Inspection], dict[str, float | None]]:
    """Check what is asked for, and measure the cost of all rules; by the names that the table will have."""
    from .. import aggregators, attacks
    from ..audit import COST, Task, inspect, tasks_of
    from ..audit.screen import checking
    from ..runs.settings import COMMON

    n, preset = run.num_sampled, preset or COMMON["preset"]
    f = -(-run.num_byzantine * n // run.clients)
    tasks = [task for kind, names in asked.items() for name in names for task in tasks_of(kind, name)]
    tasks += [Task("rule", name, COST) for name in company if name not in asked["rule"]]
    with checking() as tell:
        found = inspect(tasks, n=n, f=f, limit=limit, preset=preset, tell=tell)
    makers = {"rule": aggregators.make, "attack": attacks.make}
    named = {
        one.name if one.failure is not None else makers[one.kind](one.name, preset=preset).name: one
        for one in found.values()
    }
    costs = {name: one.cost for name, one in named.items() if one.kind == "rule"}
    return {name: one for name, one in named.items() if one.name in asked[one.kind]}, costs
