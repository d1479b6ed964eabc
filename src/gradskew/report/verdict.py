"""Describe a table in sentences: a verdict on attacks and rules, and remarks on the runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..attacks import ATTACKS
from .comparison import differ, level_with
from .standing import RISING, Standing, level_rules
from .table import Table, count

MOST_NAMES = 3  # attacks that a sentence names one by one


def statements(table: Table) -> list[str]:
    """Return all that the table says: advice, verdict and scope. Terminal, page and Markdown have these sentences."""
    said = [*filter(None, [advice(table.ranked)]), *verdict(table)]
    if table.standings and not said:
        said = ["No attack lowered the accuracy of a rule that can be judged."]
    return [*said, *scope(table)]


def advice(ranked: Sequence[Standing]) -> str:
    """Return a sentence on the rule of the best worst case, and those level with it.

    ranked: best worst case first. A rule is recommended if it can be told from another rule; else it leads. "" if all
    are equal, or did not meet the same attacks.
    """
    if len(ranked) < 2 or ranked[0].worst.mean == ranked[-1].worst.mean or not met_the_same(ranked):
        return ""
    best, level = ranked[0], level_rules(ranked)
    if len({seed for standing in ranked for seed in standing.worst.by_seed}) < 2:
        return f"In its worst case {best.rule} leads; one seed cannot tell it from the others."
    if len(level) == len(ranked) - 1:
        return f"In its worst case {best.rule} leads{_level(level, ranked)}; more seeds may tell them apart."
    return f"Recommended for a federation like this: {best.rule}{_level(level, ranked)}."


def met_the_same(ranked: Sequence[Standing]) -> bool:
    """Return whether all rules met the same attacks, so that their worst cases can be compared."""
    return len({frozenset(standing.attacked) for standing in ranked}) < 2


def _level(level: Sequence[str], ranked: Sequence[Standing]) -> str:
    every = 1 < len(level) == len(ranked) - 1
    return f"; level with it: {'all others' if every else ', '.join(level)}" if level else ""


def verdict(table: Table) -> list[str]:
    """Return the verdict on attacks and rules, in a few sentences; none without an attack."""
    worst = {rule: attack for rule, attack in table.worst_attacks.items() if rule in table.defences}
    lines = []
    for attack, times in Counter(worst.values()).most_common():
        rules = [rule for rule in worst if worst[rule] == attack]
        lost = [f"{rule} ({_lost(table.standings[rule])})" for rule in rules]
        lines.append(
            f"{attack} is the worst attack on {times} of {count(len(table.defences), 'rule')}: {', '.join(lost)}."
        )
    ranked, seeds = table.ranked, len({record.spec["seed"] for record in table.records})
    comparable = lines and met_the_same(ranked)
    if comparable and ranked[0].worst.mean > ranked[-1].worst.mean:
        best, last = (f"{each.rule}, {each.worst.text} % under {each.attack}" for each in (ranked[0], ranked[-1]))
        lines.append(f"Best in its worst case: {best}. Worst: {last}.")
    if comparable and len(table.attacks) > 2 and len({round(each.average, 9) for each in ranked}) > 1:
        averages = sorted(ranked, key=lambda each: -each.average)
        best, last = (f"{each.rule}, {each.average_text} %" for each in (averages[0], averages[-1]))
        columns = {each.rule: [each.average_by_seed] for each in averages}
        level = level_with(averages[0].rule, columns, averages[0].test_size) if seeds > 1 else []
        lines.append(f"Best on average over the attacks: {best}{_level(level, averages)}. Worst: {last}.")
    if lines and seeds == 1:
        lines.append("One seed: differences of a few points may be chance; run --seeds 5.")
    return lines


def _lost(standing: Standing) -> str:
    """Return the points lost under the worst attack, else the accuracy, and the attacks level with it."""
    worst, usual = standing.worst, standing.usual
    lost = f"{worst.text} %" if standing.damage is None else f"{-standing.damage:+.1f}"
    if len(worst.by_seed) < 2:
        return lost
    columns = {attack: [cell.by_seed] for attack, cell in standing.attacked.items()}
    names = level_with(standing.attack, columns, standing.test_size)
    if len(names) > MOST_NAMES:
        names = [f"{len(names)} other attacks"]
    if usual and not differ(standing.columns, [usual.by_seed], standing.test_size):
        names.append("no attack")
    return f"{lost}, level with {_list(names)}" if names else lost


def _list(names: Sequence[str]) -> str:
    """Return names as text: `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def scope(table: Table) -> list[str]:
    """Return what the verdict rests on: test images, attacks that were played, known ones that were not."""
    played = [attack for attack in table.attacks if attack != "none"]
    if not played:
        return ["No attack was played: there is no verdict."]
    keys = {record.spec["attack"]["name"] for record in table.records} | {"none"}
    missing = [name for name in ATTACKS if name not in keys]
    size = next((record.test_size for record in table.records if record.test_size is not None), None)
    images = "Number of test images: not in these records." if size is None else f"Tested on {count(size, 'image')}."
    others = f" Known and not played: {', '.join(missing)}." if missing else ""
    met = {standing.rule: len(standing.attacked) for standing in table.ranked}
    few = [] if met_the_same(table.ranked) else [f"{rule} {n}" for rule, n in met.items() if n < len(played)]
    unequal = f"Not every rule met all {len(played)} attacks ({', '.join(few)}), so that none is called best."
    return [f"{images} Attacks played: {', '.join(played)}.{others}", *([unequal] if few else [])]


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
    if rising := sum(cell.rises for cell in table.cells.values()):
        where = f"in {rising} of {count(len(table.cells), 'cell')}"
        sentences.append(f"Accuracy still rises at the end ({RISING}) {where}: no cost is read off; run more rounds.")
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
