"""Describe a table in sentences: a verdict on attacks and rules, and remarks on the runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..attacks import ATTACKS
from .standing import Standing
from .table import Table, count


def advice(ranked: Sequence[Standing]) -> str:
    """Return a sentence on the rule of the best worst case and the rules within its spread; "" if all are equal."""
    if len(ranked) < 2 or ranked[0].worst.mean == ranked[-1].worst.mean:
        return ""
    best = ranked[0]
    level = [
        standing.rule
        for standing in ranked[1:]
        if best.worst.mean - standing.worst.mean < max(best.worst.std, standing.worst.std)
    ]
    tied = f"; within its spread over seeds: {', '.join(level)}" if level else ""
    return f"Recommended for a federation like this: {best.rule}{tied}."


def verdict(table: Table) -> list[str]:
    """Return the verdict on attacks and rules, in a few sentences."""
    worst = {rule: attack for rule, attack in table.worst_attacks.items() if rule in table.defences}
    lines = []
    for attack, times in Counter(worst.values()).most_common():
        rules = [rule for rule in worst if worst[rule] == attack]
        lost = [f"{rule} ({_lost(table.standings[rule])})" for rule in rules]
        lines.append(
            f"{attack} is the worst attack on {times} of {count(len(table.defences), 'rule')}: {', '.join(lost)}."
        )
    ranked = table.ranked
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
        lines.append("One seed: differences of a few points may be chance; run --seeds 5.")
    return lines


def _lost(standing: Standing) -> str:
    """Return the points lost under the worst attack, else the accuracy, and the attacks within its spread."""
    worst = standing.worst
    lost = f"{worst.text} %" if standing.usual is None else f"{worst.mean - standing.usual.mean:+.1f}"
    level = [
        other
        for other, cell in standing.attacked.items()
        if other != standing.attack and cell.mean - worst.mean < max(cell.std, worst.std)
    ]
    return f"{lost}, within the spread of {' and '.join(level)}" if level else lost


def remarks(table: Table) -> list[str]:
    """Return remarks on idle methods, skipped rounds and rejected rows, each sentence once."""
    sentences: list[str] = []
    for rule in table.rules:
        if rule in table.idle:
            sentences.append(table.idle[rule])
        if rule in table.unmoved:
            sentences.append(f"{rule} never moved the model: no aggregate was finite, so it is not judged.")
    for attack in table.attacks:
        called = [m["attack"]["called"] for r in table.records if r.spec["attack_name"] == attack for m in r.rounds]
        if attack != "none" and (idle := called.count(False)):
            why = "no Byzantine row, or no known honest row"
            sentences.append(f"{attack} was not run in {idle} of {count(len(called), 'round')}: {why}.")
    for record in table.records:
        spec, rounds = record.spec, record.rounds
        cell = f"{spec['attack_name']} against {spec['aggregator_name']}, seed {spec['seed']}"
        if rejected := sum(metrics["rejected"] for metrics in rounds):
            sentences.append(f"{cell}: {count(rejected, 'row')} not finite, rejected.")
        if skipped := sum(not metrics["stepped"] for metrics in rounds):
            sentences.append(f"{cell}: the model stayed as it was in {count(skipped, 'round')}.")
        if any(metrics["clamped"] for metrics in rounds):
            sentences.append(
                f"{spec['aggregator_name']} got its largest possible f, which is below the number of Byzantine rows."
            )
        method = ATTACKS.find(spec["attack"]["name"])
        if method and (sentence := method.idle(spec["attack_name"], [metrics["attack"] for metrics in rounds])):
            sentences.append(sentence)
    return list(dict.fromkeys(sentences))
