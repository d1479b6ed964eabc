"""What a table says in words: a verdict on attacks and rules, and remarks on the runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from .table import Cell, Table, count, never_clipped, never_moved


@dataclass(frozen=True)
class Standing:
    """How a rule stands: the attack that leaves it least, that cell, and its accuracy averaged over all attacks.

    average_std: over seeds, divided by their count.
    """

    rule: str
    attack: str
    worst: Cell
    average: float
    average_std: float

    @property
    def average_text(self) -> str:
        """The average as a cell prints its own."""
        many = len(self.worst.records) > 1
        return f"{self.average:.1f} ±{self.average_std:.1f}" if many else f"{self.average:.1f}"


def standings(table: Table) -> list[Standing]:
    """How each rule that a verdict may judge stands under attack, best worst case first."""
    found = []
    for rule in table.defences:
        attacked = {attack: cell for attack, cell in table.column(rule).items() if attack != "none"}
        if attacked:
            attack, worst = min(attacked.items(), key=lambda item: item[1].mean)
            by_seed: dict[int, list[float]] = {}
            for cell in attacked.values():
                for record in cell.records:
                    by_seed.setdefault(record.spec["seed"], []).append(record.accuracy)
            averages = [fmean(accuracies) for accuracies in by_seed.values()]
            average = fmean(cell.mean for cell in attacked.values())
            found.append(Standing(rule, attack, worst, average, pstdev(averages)))
    return sorted(found, key=lambda standing: -standing.worst.mean)


def advice(ranked: Sequence[Standing]) -> str:
    """Which rule to take, by the worst case, and which others cannot be told from it; empty if there is no choice."""
    if len(ranked) < 2 or ranked[0].worst.mean == ranked[-1].worst.mean:
        return ""
    best = ranked[0]
    level = [
        standing.rule
        for standing in ranked[1:]
        if best.worst.mean - standing.worst.mean < max(best.worst.std, standing.worst.std)
    ]
    told = f"; {' and '.join(level)} cannot be told from it by these seeds" if level else ""
    return f"If you must pick one for a federation like this, take {best.rule}{told}."


def verdict(table: Table) -> list[str]:
    """What the table says of attacks and rules, in a few sentences."""
    worst = {rule: attack for rule, attack in table.worst_attacks.items() if rule in table.defences}
    lines = []
    for attack, times in Counter(worst.values()).most_common():
        rules = [rule for rule in worst if worst[rule] == attack]
        lost = [f"{rule} ({_lost(table, attack, rule)})" for rule in rules]
        lines.append(
            f"{attack} is the worst attack on {times} of {count(len(table.defences), 'rule')}: {', '.join(lost)}."
        )
    ranked = standings(table)
    if lines and ranked[0].worst.mean > ranked[-1].worst.mean:
        best, last = (f"{each.rule}, {each.worst.text} % under {each.attack}" for each in (ranked[0], ranked[-1]))
        lines.append(f"Best in its worst case: {best}. Worst: {last}.")
    if lines and len(table.attacks) > 2 and len({round(each.average, 9) for each in ranked}) > 1:
        best, last = (
            f"{each.rule}, {each.average_text} %"
            for each in (max(ranked, key=lambda each: each.average), min(ranked, key=lambda each: each.average))
        )
        lines.append(f"Best on average over the attacks: {best}. Worst: {last}.")
    if lines and len({record.spec["seed"] for record in table.records}) == 1:
        lines.append("One seed: differences of a few points may be chance; --seeds 5 tells more.")
    return lines


def _lost(table: Table, attack: str, rule: str) -> str:
    """Points lost against the same rule without attack (else the accuracy), and who else comes within the spread."""
    cells = table.column(rule)
    worst = cells[attack]
    lost = f"{worst.mean - cells['none'].mean:+.1f}" if "none" in cells else f"{worst.text} %"
    level = [
        other
        for other, cell in cells.items()
        if other not in (attack, "none") and cell.mean - worst.mean < max(cell.std, worst.std)
    ]
    return f"{lost}, within the spread of {' and '.join(level)}" if level else lost


def remarks(table: Table) -> list[str]:
    """What a reader should know about the runs, each said once."""
    said: dict[str, None] = {}
    for rule in table.rules:
        if never_clipped(table.column(rule).values()):
            said[f"{rule} clipped no row in any round: with this tau it is the mean."] = None
        if never_moved(table.column(rule).values()):
            said[f"{rule} never moved the model: no aggregate was finite, so it is not judged."] = None
    for attack in table.attacks:
        played = [m["attack"]["called"] for r in table.records if r.spec["attack_name"] == attack for m in r.rounds]
        if attack != "none" and (idle := played.count(False)):
            why = "no Byzantine row, or no honest row that it knows"
            said[f"{attack} was not played in {idle} of {count(len(played), 'round')}: {why}."] = None
    for record in table.records:
        spec, rounds = record.spec, record.rounds
        cell = f"{spec['attack_name']} against {spec['aggregator_name']}, seed {spec['seed']}"
        if rejected := sum(metrics["rejected"] for metrics in rounds):
            said[f"{cell}: {count(rejected, 'row')} not finite, rejected."] = None
        if skipped := sum(not metrics["stepped"] for metrics in rounds):
            said[f"{cell}: the model stayed as it was in {count(skipped, 'round')}."] = None
        if any(metrics["clamped"] for metrics in rounds):
            said[f"{spec['aggregator_name']} was told a smaller f than there were Byzantine rows: its bound."] = None
        noted = [metrics["attack"].get("z") for metrics in rounds]
        if low := [z for z in noted if type(z) in (int, float) and z <= 0]:
            said[f"{spec['attack_name']}: z_max = {low[0]:.3g} is not above 0, so it perturbs nothing outwards."] = None
    return list(said)
