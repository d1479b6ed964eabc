"""Describe a table in sentences: a verdict on attacks and rules, and remarks on the runs.

What is said of a rule is the worst found in a number of federations: no rule is recommended unless the attacks that
search for its worst were played.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from ..aggregators import RULES
from ..attacks import ATTACKS
from ..federation.curve import RISING
from ..federation.schedule import rounds_of
from .comparison import differ, level_with
from .described import count
from .guessing import guessing, reference
from .holders import deals, held_by_few
from .idle import had_no_rows
from .standing import Standing, better_rules, level_rules
from .successes import successes
from .table import Table, stages
from .tries import on_tries
from .worst import found, is_bistable, not_asked

MOST_NAMES = 3  # attacks that a sentence names one by one
NAMED = 8  # attacks that were not played, named one by one


def statements(table: Table) -> list[str]:
    """Return all that the table says: advice, verdict and scope. Terminal, page and Markdown have these sentences."""
    sentences = [*filter(None, [advice(table), beside_the_mean(table)]), *verdict(table)]
    if table.standings and not sentences:
        sentences = ["No attack lowered the accuracy of a rule that can be judged."]
    return [*sentences, *scope(table)]


def advice(table: Table) -> str:
    """Return a sentence on the rule of the highest worst found, and those level with it.

    A rule is recommended if all attacks that search were played, and if it can be told from another rule and, where the
    plain mean was attacked too, as better than the mean; else it leads. "" if all are equal, or cannot be compared.
    """
    ranked = table.ranked
    if len(ranked) < 2 or ranked[0].worst.mean == ranked[-1].worst.mean or not table.comparable:
        return ""
    best = ranked[0]
    leads = f"{best.rule} leads with {found(best)}"
    if len(table.common_seeds) < 2:
        return f"{leads}; one seed cannot tell it from the others."
    level = level_rules(ranked)
    leads += _level(level, ranked)
    if len(level) == len(ranked) - 1:
        return f"{leads}; more seeds may tell them apart."
    if table.baseline in table.standings and best.rule not in better_than_the_mean(table):
        return f"{leads}; it is not recommended, since it cannot be told apart as better than {table.baseline}."
    if best.rule in guessing(table):
        return f"{leads}; it is not recommended, since a model that always answers the largest class has as much."
    if not_asked(table):
        return f"{leads}; it is not recommended, since not all attacks that search were played."
    return f"Recommended for a federation like this: {best.rule}, {found(best)}{_level(level, ranked)}."


def better_than_the_mean(table: Table) -> list[str]:
    """Return the defences that can be told apart as better than the plain mean, under the same attacks."""
    mean = table.standings.get(table.baseline or "")
    return better_rules(mean, table.ranked) if mean is not None and _comparable_with(mean, table) else []


def _comparable_with(mean: Standing, table: Table) -> bool:
    return table.comparable and all(each.attacked.keys() == mean.attacked.keys() for each in table.ranked)


def beside_the_mean(table: Table) -> str:
    """Return a sentence on the worst found of the plain mean and the defences that are better; "" without either."""
    mean, ranked = table.standings.get(table.baseline or ""), table.ranked
    if mean is None or not ranked:
        return ""
    kept = f"The plain mean kept {found(mean)}"
    if not _comparable_with(mean, table):
        return f"{kept}."
    if ranked[0].worst.mean <= mean.worst.mean:
        return f"{kept}; no rule kept more."
    if len(table.common_seeds) < 2:
        return f"{kept}; one seed cannot tell whether a rule is better."
    better = better_than_the_mean(table)
    if not better:
        return f"{kept}; no rule can be told apart as better."
    return f"{kept}; better: {'all rules' if 1 < len(better) == len(ranked) else ', '.join(better)}."


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
    if lines and table.comparable and len(table.ranked) > 1:
        lines += _extremes(table)
    if is_bistable(table):
        seeds = count(len(table.common_seeds), "seed")
        lines.append(f"{seeds}: under attacks that search a federation is held or escapes, by seed; run 3 or more.")
    elif lines and len(table.common_seeds) == 1:
        lines.append("One seed: differences of a few points may be chance; run --seeds 5.")
    return lines


def _extremes(table: Table) -> list[str]:
    """Return the rule of the lowest worst found, and the best and the worst on average, if they can be told apart.

    With one seed, which tells none apart, the latter are called the highest and the lowest here.
    """
    averages = sorted(table.ranked, key=lambda each: -each.average)
    columns = {each.rule: [each.average_by_seed] for each in averages}
    seeds, size = len(table.common_seeds), averages[0].test_size
    best, worst = ("Highest here", "Lowest") if seeds < 2 else ("Best", "Worst")
    lines = []
    first, last = table.ranked[0], table.ranked[-1]
    if round(first.worst.mean - last.worst.mean, 9) and (seeds < 2 or last.rule not in level_rules(table.ranked)):
        lines.append(f"Lowest: {last.rule}, {found(last)}.")
    first, last = averages[0], averages[-1]
    level = level_with(first.rule, columns, size) if seeds > 1 else []
    if len(table.attacks) > 2 and round(first.average - last.average, 9) and last.rule not in level:
        ends = [f"{each.rule}, {each.average_text} %" for each in (first, last)]
        lines.append(f"{best} on average over the attacks: {ends[0]}{_level(level, averages)}. {worst}: {ends[1]}.")
    return lines


def _lost(standing: Standing) -> str:
    """Return the points lost under the worst attack, else the accuracy, and the attacks level with it."""
    worst, usual, damage = standing.attacked[standing.attack], standing.usual, standing.damage_by(standing.attack)
    lost = f"{worst.text} %" if damage is None else f"{-damage:+.1f}"
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
    """Return what the verdict rests on: test inputs, attacks that were played, known ones that were not."""
    played = [attack for attack in table.attacks if attack not in ("none", *table.never_run)]
    if not played:
        return ["No attack was played: there is no verdict."]
    keys = {record.spec["attack"]["name"] for record in table.records if record.spec["attack_name"] in played}
    size = next((record.test_size for record in table.records if record.test_size is not None), None)
    part = " held out of the training inputs" if table.records[0].spec.get("validation") else ""
    unknown = "Number of test inputs: not in these records."
    tested = unknown if size is None else f"Tested on {count(size, 'input')}{part}."
    attacks = f"{tested} Attacks played: {', '.join(played)}.{not_played(keys)}"
    return [*filter(None, [reference(table), attacks, not_asked(table)]), *_not_compared(table, len(played))]


def not_played(keys: Collection[str]) -> str:
    """Return which known attacks are not among these, as a sentence with a space before it; "" if all are."""
    missing = [name for name in ATTACKS if name not in keys and name != "none"]
    if len(missing) > NAMED:
        missing[NAMED:] = [f"{len(missing) - NAMED} more"]
    return f" Known and not played: {_list(missing)}." if missing else ""


def _not_compared(table: Table, played: int) -> list[str]:
    """Return why worst cases cannot be compared, or on which seeds they are if cells have others. played: attacks."""
    sentences = []
    met = {each.rule: len(each.attacked) for each in table.standings.values() if each.rule in table.defences}
    few = [f"{rule} {n}" for rule, n in met.items() if n < played]
    if few and len(few) < len(met):
        sentences.append(f"Not every rule met all {played} attacks ({', '.join(few)}), so that none is called best.")
    seeds = {cell.seeds for cell in table.compared.values()}
    common = ", ".join(map(str, sorted(table.common_seeds)))
    if not common:
        sentences.append("No seed is common to all cells, so that no rule is called best: run all with the same seeds.")
    elif len(seeds) > 1:
        sentences.append(
            f"Not all cells have the same seeds: attacks and rules are compared on the common ones ({common})."
        )
    return sentences


def remarks(table: Table) -> list[str]:
    """Return remarks on idle methods, skipped rounds, rejected rows and who holds the classes, each sentence once."""
    sentences: list[str] = []
    for rule in table.rules:
        if rule in table.idle:
            sentences.append(table.idle[rule])
        if rule in table.unmoved:
            why = "no aggregate was finite, so it is not judged"
            if had_no_rows(table, rule):
                why = "no row was finite, so it is not judged; try a smaller lr"
            sentences.append(f"{rule} never moved the model: {why}.")
        sentences += on_tries(rule, (record for cell in table.column(rule).values() for record in cell.records))
        if rule in table.unasked:
            attacks = _list(table.unasked[rule])
            sentences.append(f"{rule} failed on most tries of {attacks}, which tells nothing of its worst: not judged.")
    for attack in table.attacks:
        called = [
            notes["called"]
            for record in table.records
            if record.spec["attack_name"] == attack
            for rounds in [rounds_of(record.spec.get("attack_rounds"))]
            for notes in record.columns["attack"][rounds.start : rounds.stop : rounds.step]
        ]
        if attack != "none" and (idle := called.count(False)):
            why = "no Byzantine row, or no known honest row"
            sentences.append(f"{attack} was not run in {idle} of {count(len(called), 'round')}: {why}.")
    sentences += successes(table)
    if rising := sum(cell.rises for cell in table.cells.values()):
        where = f"in {rising} of {count(len(table.cells), 'cell')}"
        sentences.append(f"Accuracy still rises at the end ({RISING}) {where}: no cost is given; run more rounds.")
    elif any(each.usual and each.damage is None for each in table.standings.values()):
        sentences.append("One test does not tell whether accuracy still rises: no cost is given; run more rounds.")
    for record in table.records:
        spec, columns = record.spec, record.columns
        cell = f"{spec['attack_name']} against {spec['aggregator_name']}, seed {spec['seed']}"
        if rejected := sum(columns["rejected"]):
            sentences.append(f"{cell}: {count(rejected, 'row')} not finite, rejected.")
        if skipped := columns["stepped"].count(False):
            sentences.append(f"{cell}: the model stayed as it was in {count(skipped, 'round')}.")
        if any(columns["clamped"]):
            actual = spec.get("told", "actual") == "actual"
            wanted = "the number of Byzantine rows" if actual else "that which the server expects"
            sentences.append(f"{spec['aggregator_name']} got its largest possible f, which is below {wanted}.")
        attack = spec["attack"]
        method = ATTACKS.find((attack["model"] if attack["name"] == "combined" else attack)["name"])
        if method and (sentence := method.idle(spec["attack_name"], columns["attack"])):
            sentences.append(sentence)
    sentences += [*filter(None, [held_by_few(deals(table.records))])]
    methods = [RULES.find(name) for record in table.records for name in stages(record.spec["aggregator"])]
    sentences += [method.remark for method in methods if method and method.remark]
    return list(dict.fromkeys(sentences))
