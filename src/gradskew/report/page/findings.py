"""Why each rule ranks as it does, in sentences made from the numbers of the records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar

from ...aggregators import MIXINGS, RULES
from ..cell import Cell, number_text
from ..standing import Standing
from ..table import Table
from ..worst import found
from .parts import Sheet
from .ranking import ranked


@dataclass(frozen=True)
class Finding:
    """A rule in the worst found. how: the rule's method, empty for a user's own rule."""

    standing: Standing
    how: str
    sentences: Sequence[str]

    HEAD: ClassVar[Sequence[str]] = (
        *(
            "rule",
            "found by",
            "worst found %",
            "points lost",
            "Byzantine weight %",
            "honest shut out a round",
            "kappa",
        ),
    )

    @property
    def numbers(self) -> list[str]:
        """The accuracy, the points lost, the weights and kappa in the worst found, as texts."""
        standing = self.standing
        share, kappa = standing.share, standing.worst.lens_average("kappa")
        values = [(standing.damage, 1), (None if share is None else 100 * share, 0), (standing.shut_out, 1)]
        texts = ["–" if value is None else f"{value:.{digits}f}" for value, digits in values]
        return [standing.worst.text, *texts, "–" if kappa is None else number_text(kappa)]


@dataclass(frozen=True)
class Comparison:
    """One attack, rule by rule, in the order of the ranking."""

    attack: str
    sheet: Sheet


def findings(table: Table) -> list[Finding]:
    """Return for each rule that is hurt its worst found, in the order of the ranking."""
    hurt = [each.standing for each in ranked(table) if each.standing.is_hurt]
    return [Finding(each, how_it_works(table, each.rule), [*filter(None, _sentences(table, each))]) for each in hurt]


def hardest_attack(table: Table) -> str | None:
    """Return the attack that is worst for most rules, of several the one with the lowest accuracy on average.

    None without an attack.
    """
    worst = list(table.worst_attacks.values())

    def rank(attack: str) -> tuple[int, float]:
        return worst.count(attack), -fmean(cell.mean for key, cell in table.cells.items() if key[0] == attack)

    return max((attack for attack in table.attacks if attack != "none"), key=rank, default=None)


def comparison(table: Table) -> Comparison | None:
    """Compare the rules under the attack that is worst for most of them; None without an attack."""
    attack = hardest_attack(table)
    if attack is None:
        return None
    head = ["rule", "points of accuracy lost", f"weight of the Byzantine clients (even: {table.expected_share:.0f} %)"]
    head += ["honest clients shut out a round", "kappa"]
    rows = []
    for standing in [each.standing for each in ranked(table) if attack in each.standing.attacked]:
        cell, lost = standing.attacked[attack], standing.damage_by(attack)
        share, (shut_out, kappa) = cell.average("byzantine_share"), map(cell.lens_average, ("shut_out", "kappa"))
        texts = [
            standing.rule,
            "–" if lost is None else f"{lost:.1f}",
            "weighs no rows" if share is None else f"{100 * share:.0f} %",
            "–" if shut_out is None else f"{shut_out:.1f}",
            "–" if kappa is None else number_text(kappa),
        ]
        rows.append(texts)
    return Comparison(attack, Sheet(head, rows))


def class_accuracies(cell: Cell | None) -> list[float | None]:
    """Return the accuracy on each class at the end in percent, averaged over seeds; empty if no record has it."""
    of_seeds = [lens.class_accuracies() for lens in cell.lenses] if cell else []
    columns = zip(*(accuracies for accuracies in of_seeds if accuracies is not None), strict=True)
    return [fmean(known) if (known := [v for v in column if v is not None]) else None for column in columns]


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


def _sentences(table: Table, standing: Standing) -> Iterable[str]:
    cell, usual, lost = standing.worst, standing.usual, standing.damage
    below = "" if lost is None or usual is None else f", {lost:.1f} points below its {usual.text} % without an attack"
    yield f"It ends at {found(standing)}{below}."
    yield from _weights(table, standing)
    kappas = cell.series("kappa")
    if kappas:
        alone = usual.lens_average("kappa") if usual else None
        before = "" if alone is None else f"; {number_text(alone)} without an attack"
        yield (
            f"Its result missed the mean of the honest updates by kappa = {number_text(fmean(kappas))} on average "
            f"({number_text(max(kappas))} at most{before})."
        )
        yield _bound(cell)
    yield _class_hit(class_accuracies(usual), class_accuracies(cell))


def _weights(table: Table, standing: Standing) -> Iterable[str]:
    """Say how much weight the Byzantine clients got in the worst found, and how many honest ones were shut out."""
    share, shut_out, even = standing.share, standing.shut_out, table.expected_share
    if share is None:
        yield "It reports no weights of clients, so none counts as trusted or as shut out."
        return
    if not even:
        return
    ratio, got = 100 * share / even, f"they got {100 * share:.0f} % of the weight, where an even share is {even:.0f} %"
    if abs(ratio - 1) < 1e-6 and not shut_out:
        yield "It gives every client the same weight, the Byzantine ones too."
    elif ratio < 0.25:
        yield f"It gave most of the Byzantine clients little or no weight: {got}."
    elif ratio < 0.9:
        yield f"It gave the Byzantine clients less than their share: {got}."
    elif ratio <= 1.3:
        yield f"It did not distinguish the Byzantine clients from honest ones: {got}."
    else:
        yield f"It trusted the Byzantine clients more than the honest ones: {got}."
    if shut_out is not None and shut_out >= 0.5:
        spec = standing.worst.records[0].spec
        honest = round(spec["sampled"] * (1 - spec["byzantine"] / spec["clients"]))
        lost = _classes_lost(standing.worst)
        yield f"It shut out {shut_out:.0f} of {honest} honest clients in a typical round.{lost}"


def _classes_lost(cell: Cell) -> str:
    """Say of which class most inputs are with clients that were shut out."""
    by_record = [lost for lens in cell.lenses if (lost := lens.classes_shut_out()) is not None]
    if not by_record:
        return ""
    lost = [fmean(column) for column in zip(*by_record, strict=True)]
    worst = max(range(len(lost)), key=lambda label: lost[label])
    part, usual = 100 * lost[worst], 100 * fmean(lost)
    return f" They hold {part:.0f} % of the honest inputs of class {worst} ({usual:.0f} % of a typical class)."


def _bound(cell: Cell) -> str:
    """Say which bound on kappa is proven."""
    known = [value for lens in cell.lenses for value in lens.series("kappa_bound") if value is not None]
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
