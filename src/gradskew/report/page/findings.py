"""Why each rule stands as it does, in sentences made of what the records measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from ...aggregators import MIXINGS, RULES
from ..standing import Cell, Standing
from ..table import Table

COORDINATEWISE = ("median", "rbtm")


@dataclass(frozen=True)
class Finding:
    """A rule under the attack that is worst for it. lost: points of accuracy, None without an unattacked run."""

    rule: str
    how: str
    attack: str
    lost: float | None
    sentences: Sequence[str]


@dataclass(frozen=True)
class Comparison:
    """One attack, rule by rule: points lost, the weight of the Byzantine rows, honest rows shut out, kappa."""

    attack: str
    rows: Sequence[tuple[str, Sequence[tuple[str, float]]]]


def findings(table: Table) -> list[Finding]:
    """Return for each rule that an attack hurts its worst attack, the rule that loses most first."""
    made = []
    for rule, standing in table.standings.items():
        if standing.is_hurt:
            sentences = [sentence for sentence in _sentences(table, standing) if sentence]
            made.append(Finding(rule, how_it_works(table, rule), standing.attack, standing.damage, sentences))
    return sorted(made, key=lambda finding: -(finding.lost or 0))


def comparison(table: Table) -> Comparison | None:
    """Compare the rules under STRIKE if it was run, else under the attack that is worst for most; None without one."""
    worst = list(table.worst_attacks.values())
    strikes = [attack for attack in table.attacks if attack.partition("(")[0] == "strike"]
    if not worst and not strikes:
        return None
    attack = strikes[0] if strikes else max(sorted(set(worst)), key=worst.count)
    rows = []
    for rule, standing in table.standings.items():
        cell = standing.attacked.get(attack)
        if cell is None:
            continue
        lost, share = standing.damage_by(attack), cell.average("byzantine_share")
        shut_out, kappa = cell.lens_average("shut_out"), cell.lens_average("kappa")
        numbers = [
            ("" if lost is None else f"{lost:.1f}", lost or 0.0),
            ("weighs no rows" if share is None else f"{100 * share:.0f} %", share or 0.0),
            ("–" if shut_out is None else f"{shut_out:.1f}", shut_out or 0.0),
            ("–" if kappa is None else f"{kappa:.2f}", kappa or 0.0),
        ]
        rows.append((rule, numbers))
    return Comparison(attack, sorted(rows, key=lambda row: -row[1][0][1]))


def class_accuracies(cell: Cell | None) -> list[float | None]:
    """Return the accuracy on each class at the end, averaged over seeds; empty if no record has it."""
    of_seeds = [lens.class_accuracies() for lens in cell.lenses] if cell else []
    columns = zip(*(accuracies for accuracies in of_seeds if accuracies is not None), strict=True)
    return [fmean(known) if (known := [v for v in column if v is not None]) else None for column in columns]


def how_it_works(table: Table, rule: str) -> str:
    """The first line of what each stage of a rule is documented as; empty for a user's own."""
    stage = next(record.spec["aggregator"] for record in table.records if record.spec["aggregator_name"] == rule)
    said = []
    while isinstance(stage, dict):
        mixing = stage.get("mixing")
        known = (MIXINGS if mixing else RULES).classes.get((mixing or stage).get("name", ""))
        said.append(((known.__doc__ if known else "") or "").strip().split("\n")[0])
        stage = stage.get("rule") if mixing else None
    return " Then: ".join(said) if all(said) else ""


def _sentences(table: Table, standing: Standing) -> Iterable[str]:
    cell, usual, lost = standing.worst, standing.usual, standing.damage
    below = "" if lost is None or usual is None else f", {lost:.1f} points below its {usual.text} % without an attack"
    yield f"Under {standing.attack} it ends at {cell.text} %{below}."
    yield from _weights(table, standing)
    kappas = cell.series("kappa")
    if kappas:
        kappa, worst = fmean(kappas), max(kappas)
        alone = usual.lens_average("kappa") if usual else None
        before = "" if alone is None else f"; {alone:.2f} without an attack"
        yield (
            f"Its result missed the mean of the honest updates by kappa = {kappa:.2f} on average ({worst:.2f} at most"
            f"{before}), where 1 is as far off as a typical honest client."
        )
        yield _bound(cell)
    yield _class_hit(class_accuracies(usual), class_accuracies(cell))


def _weights(table: Table, standing: Standing) -> Iterable[str]:
    """Describe the weights of Byzantine and honest clients under the worst attack, and who was shut out."""
    cell, share, even = standing.worst, standing.share, table.expected_share
    if share is None:
        if cell.records[0].spec["aggregator_name"].rpartition("+")[2].partition("(")[0] not in COORDINATEWISE:
            return
        yield "It weighs no clients, but takes the middle of each coordinate by itself: a forged value can only move"
        yield "the result among honest values near the middle, and nobody is shut out whole."
        return
    if not even:
        return
    ratio, got = 100 * share / even, f"they got {100 * share:.0f} % of the weight, where an even share is {even:.0f} %"
    shut_out = standing.shut_out
    if abs(ratio - 1) < 1e-6 and not shut_out:
        yield "It gives every client the same weight, the Byzantine ones too."
    elif ratio < 0.25:
        yield f"It saw through most of the Byzantine clients: {got}."
    elif ratio < 0.9:
        yield f"It gave the Byzantine clients less than their share: {got}."
    elif ratio <= 1.3:
        yield f"It took the Byzantine clients for honest: {got}."
    else:
        yield f"It trusted the Byzantine clients more than the honest ones: {got}."
    if shut_out is not None and shut_out >= 0.5:
        spec = cell.records[0].spec
        honest = round(spec["sampled"] * (1 - spec["byzantine"] / spec["clients"]))
        yield f"It shut out {shut_out:.0f} of {honest} honest clients in a typical round.{_classes_lost(cell)}"


def _classes_lost(cell: Cell) -> str:
    """Which class the clients that were shut out hold most of."""
    found = [lost for lens in cell.lenses if (lost := lens.classes_shut_out()) is not None]
    if not found:
        return ""
    lost = [fmean(column) for column in zip(*found, strict=True)]
    worst = max(range(len(lost)), key=lambda label: lost[label])
    part, usual = 100 * lost[worst], 100 * fmean(lost)
    return f" With them went {part:.0f} % of the honest images of class {worst} ({usual:.0f} % of a typical class)."


def _bound(cell: Cell) -> str:
    """What theory promises of kappa."""
    known = [value for lens in cell.lenses for value in lens.series("kappa_bound") if value is not None]
    if not known:
        return "No bound on its kappa is proven."
    if math.isinf(max(known)):
        return "Its kappa has no finite bound."
    return f"Theory bounds its kappa by {max(known):.2g}."


def _class_hit(usual: Sequence[float | None], attacked: Sequence[float | None]) -> str:
    """The class that loses most."""
    both = [(i, a, b) for i, (a, b) in enumerate(zip(usual, attacked, strict=False)) if a is not None and b is not None]
    if not both:
        return ""
    label, before, after = max(both, key=lambda each: each[1] - each[2])
    return f"Class {label} suffers most: from {before:.0f} to {after:.0f} %." if before - after >= 1 else ""
