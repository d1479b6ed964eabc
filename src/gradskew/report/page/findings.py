"""Why each rule ranks as it does, in sentences made from the numbers of the records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ...aggregators import MIXINGS, RULES
from ..lens import Lens
from ..table import Cell, Table
from .parts import Sheet

Lenses = Mapping[str, Lens]


@dataclass(frozen=True)
class Finding:
    """A rule under its worst attack. lost: points of accuracy, None without a run without attack."""

    rule: str
    how: str
    attack: str
    lost: float | None
    sentences: Sequence[str]


@dataclass(frozen=True)
class Comparison:
    """One attack, rule by rule: the rule that loses most first."""

    attack: str
    sheet: Sheet


def findings(table: Table, lenses: Lenses) -> list[Finding]:
    """Return each rule under its worst attack, the rule that loses most first."""
    made = []
    for rule in table.rules:
        attack = table.worst_attacks.get(rule)
        if attack is not None:
            lost = _lost(table, attack, rule)
            sentences = [sentence for sentence in _sentences(table, attack, rule, lenses) if sentence]
            made.append(Finding(rule, how_it_works(table, rule), attack, lost, sentences))
    return sorted(made, key=lambda finding: -(finding.lost or 0))


def hardest_attack(table: Table) -> str | None:
    """Return the attack that is worst for most rules, of several the one with the lowest accuracy on average.

    None without an attack.
    """
    worst = list(table.worst_attacks.values())

    def rank(attack: str) -> tuple[int, float]:
        return worst.count(attack), -fmean(cell.mean for key, cell in table.cells.items() if key[0] == attack)

    return max((attack for attack in table.attacks if attack != "none"), key=rank, default=None)


def comparison(table: Table, lenses: Lenses) -> Comparison | None:
    """Compare the rules under the attack that is worst for most of them; None without an attack."""
    attack = hardest_attack(table)
    if attack is None:
        return None
    head = ["rule", "points of accuracy lost", f"weight of the Byzantine clients (even: {table.expected_share:.0f} %)"]
    head += ["honest clients shut out a round", "kappa"]
    rows = []
    for rule in table.rules:
        if (attack, rule) not in table.cells:
            continue
        cell = table.cells[attack, rule]
        lost, share = _lost(table, attack, rule), cell.average("byzantine_share")
        shut_out, kappa = average(cell, lenses, "shut_out"), average(cell, lenses, "kappa")
        texts = [
            rule,
            "" if lost is None else f"{lost:.1f}",
            "weighs no rows" if share is None else f"{100 * share:.0f} %",
            "–" if shut_out is None else f"{shut_out:.1f}",
            "–" if kappa is None else f"{kappa:.2f}",
        ]
        rows.append((lost or 0.0, texts))
    return Comparison(attack, Sheet(head, [texts for _, texts in sorted(rows, key=lambda row: -row[0])]))


def average(cell: Cell, lenses: Lenses, name: str) -> float | None:
    """Return the mean of a series of the lens over the rounds and seeds that have it."""
    values = list(_finite(value for record in cell.records for value in lenses[record.digest].series(name)))
    return fmean(values) if values else None


def largest(cell: Cell, lenses: Lenses, name: str) -> float | None:
    """Return the largest value of a series of the lens over rounds and seeds."""
    return max(_finite(value for record in cell.records for value in lenses[record.digest].series(name)), default=None)


def class_accuracies(cell: Cell | None, lenses: Lenses) -> list[float | None]:
    """Return the accuracy on each class at the end in percent, averaged over seeds; empty if no record has it."""
    of_seeds = [lenses[record.digest].class_accuracies() for record in cell.records] if cell else []
    columns = zip(*(accuracies for accuracies in of_seeds if accuracies is not None), strict=True)
    return [fmean(known) if (known := list(_finite(column))) else None for column in columns]


def how_it_works(table: Table, rule: str) -> str:
    """Return the first line of the docstring of each stage of a rule; empty for a user's own rule."""
    stage = next(record.spec["aggregator"] for record in table.records if record.spec["aggregator_name"] == rule)
    lines = []
    while isinstance(stage, dict):
        mixing = stage.get("mixing")
        known = (MIXINGS if mixing else RULES).classes.get((mixing or stage).get("name", ""))
        lines.append(((known.__doc__ if known else "") or "").strip().split("\n")[0])
        stage = stage.get("rule") if mixing else None
    return " Then: ".join(lines) if all(lines) else ""


def _sentences(table: Table, attack: str, rule: str, lenses: Lenses) -> Iterable[str]:
    cell, usual = table.cells[attack, rule], table.cells.get(("none", rule))
    lost = _lost(table, attack, rule)
    below = "" if lost is None or usual is None else f", {lost:.1f} points below its {usual.text} % without an attack"
    yield f"Under {attack} it ends at {cell.text} %{below}."
    yield from _weights(table, cell, lenses)
    kappa, worst = average(cell, lenses, "kappa"), largest(cell, lenses, "kappa")
    if kappa is not None and worst is not None:
        alone = average(usual, lenses, "kappa") if usual else None
        before = "" if alone is None else f"; {alone:.2f} without an attack"
        yield (
            f"Its result missed the mean of the honest updates by kappa = {kappa:.2f} on average ({worst:.2f} at most"
            f"{before}), where 1 is as far off as a typical honest client."
        )
        yield _bound(cell, lenses)
    yield _class_hit(class_accuracies(usual, lenses), class_accuracies(cell, lenses))


def _weights(table: Table, cell: Cell, lenses: Lenses) -> Iterable[str]:
    """Say how much weight the rule gave the Byzantine clients, and how many honest ones it shut out."""
    share, even = cell.average("byzantine_share"), table.expected_share
    if share is None:
        yield "It reports no weights of clients, so none counts as trusted or as shut out."
        return
    if not even:
        return
    ratio, got = 100 * share / even, f"they got {100 * share:.0f} % of the weight, where an even share is {even:.0f} %"
    shut_out = average(cell, lenses, "shut_out")
    if abs(ratio - 1) < 1e-6 and not shut_out:
        yield "It gives every client the same weight, the Byzantine ones too."
    elif ratio < 0.25:
        yield f"It gave most of the Byzantine clients little or no weight: {got}."
    elif ratio < 0.9:
        yield f"It gave the Byzantine clients less than their share: {got}."
    elif ratio <= 1.3:
        yield f"It could not tell the Byzantine clients from honest ones: {got}."
    else:
        yield f"It trusted the Byzantine clients more than the honest ones: {got}."
    if shut_out is not None and shut_out >= 0.5:
        spec = cell.records[0].spec
        honest = round(spec["sampled"] * (1 - spec["byzantine"] / spec["clients"]))
        yield f"It shut out {shut_out:.0f} of {honest} honest clients in a typical round.{_classes_lost(cell, lenses)}"


def _classes_lost(cell: Cell, lenses: Lenses) -> str:
    """Say of which class most images are with clients that were shut out."""
    by_record = [lost for record in cell.records if (lost := lenses[record.digest].classes_shut_out()) is not None]
    if not by_record:
        return ""
    lost = [fmean(column) for column in zip(*by_record, strict=True)]
    worst = max(range(len(lost)), key=lambda label: lost[label])
    part, usual = 100 * lost[worst], 100 * fmean(lost)
    return f" They hold {part:.0f} % of the honest images of class {worst} ({usual:.0f} % of a typical class)."


def _bound(cell: Cell, lenses: Lenses) -> str:
    """Say which bound on kappa is proven."""
    bounds = [value for record in cell.records for value in lenses[record.digest].series("kappa_bound")]
    known = [value for value in bounds if value is not None]
    if not known:
        return "No bound on its kappa is proven."
    if math.isinf(max(known)):
        return "Its kappa has no finite bound."
    return f"Theory bounds its kappa by {max(known):.2g}."


def _class_hit(usual: Sequence[float | None], attacked: Sequence[float | None]) -> str:
    """Say which class loses most accuracy."""
    both = [(i, a, b) for i, (a, b) in enumerate(zip(usual, attacked, strict=False)) if a is not None and b is not None]
    if not both:
        return ""
    label, before, after = max(both, key=lambda each: each[1] - each[2])
    return f"Class {label} suffers most: from {before:.0f} to {after:.0f} %." if before - after >= 1 else ""


def _lost(table: Table, attack: str, rule: str) -> float | None:
    """Return the points of accuracy that the attack costs the rule."""
    usual = table.cells.get(("none", rule))
    return None if usual is None else usual.mean - table.cells[attack, rule].mean


def _finite(values: Iterable[float | None]) -> Iterable[float]:
    return (value for value in values if value is not None and math.isfinite(value))
