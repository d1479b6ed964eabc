"""Say in sentences where the audited rules and attacks stand among the built-in ones."""

from __future__ import annotations

from collections.abc import Sequence

from ..federation.curve import RISING
from ..report.comparison import level_with
from ..report.described import count
from ..report.idle import had_no_rows
from ..report.standing import Standing, level_rules
from ..report.worst import found
from .ranking import Ranking


def statements(ranking: Ranking) -> list[str]:
    """Return the ranks of the audited rules and attacks; one seed gives none, and rules that cannot be compared."""
    return [*_on_rules(ranking), *_on_unranked(ranking), *_on_attacks(ranking)]


def _on_rules(ranking: Ranking) -> list[str]:
    """Return a sentence on each audited rule that has a rank, with the plain mean as its baseline."""
    table = ranking.table
    judged = [each for each in ranking.standings if each.rule not in ranking.unranked]
    builtin = [each for each in judged if not ranking.is_audited("rule", each.rule)]
    mean = next((each for each in ranking.standings if each.rule == table.baseline), None)
    sentences = []
    for each in judged:
        if ranking.is_audited("rule", each.rule):
            text = f"{each.rule} keeps {found(each)}{_lost(each)}."
            if builtin and table.comparable:
                rank = 1 + sum(other.worst.mean > each.worst.mean for other in judged)
                best = f"{builtin[0].rule} with {builtin[0].worst.mean_text} %"
                if len(table.common_seeds) < 2:
                    text += f" One seed gives no rank; the highest built-in rule here is {best}."
                else:
                    level = level_rules([each, *(other for other in judged if other is not each)])
                    text += f" By the worst found it ranks {rank} of {len(judged)}{_level(level)}"
                    text += f"; the best built-in rule is {best}."
            if mean is not None:
                text += f" The plain mean keeps {mean.worst.mean_text} %."
            sentences.append(text)
    return sentences


def _on_unranked(ranking: Ranking) -> list[str]:
    """Return the reason for each audited rule or attack that has no rank."""
    table, sentences = ranking.table, []
    for name, inspection in ranking.inspections.items():
        if ranking.has_failed(name):
            sentences.append(f"{name} is not ranked: runs of it failed. {inspection.reason}")
        elif inspection.kind == "rule" and name in table.unmoved:
            none = "no client's row was finite: try a smaller lr"
            why = none if had_no_rows(table, name) else "it gave a finite aggregate in no round, so no model moved"
            sentences.append(f"{name} is not ranked: {why}.")
        elif inspection.kind == "rule" and name in table.idle:
            sentences.append(f"{name} is not ranked: it was the mean in all of its runs.")
        elif inspection.ignores_its_rows:
            sentences.append(f"{name} is not ranked: it gives one result whatever its rows are.")
        elif inspection.is_the_mean:
            sentences.append(f"{name} is not ranked: it is the mean on every matrix that was tried.")
        elif inspection.kind == "rule" and name in table.unasked:
            attacks = ", ".join(table.unasked[name])
            sentences.append(f"{name} is not ranked: it failed on most tries of {attacks}.")
    why = "there is no built-in rule for which the cost of every attack is known (of curves that still rise none is)"
    if ranking.judges and not table.common_seeds:
        why = "no seed is common to all runs"
    ranked = [each.attack for each in ranking.attack_standings]
    lost = [name for name in table.attacks if name not in ranked and not ranking.has_failed(name)]
    return sentences + [f"{name} is not ranked: {why}." for name in lost if ranking.is_audited("attack", name)]


def _on_attacks(ranking: Ranking) -> list[str]:
    """Return a sentence on each audited attack that has a rank."""
    ranked, sentences = ranking.attack_standings, []
    columns = {each.attack: [ranking.left_by(each.attack)] for each in ranked}
    for each in ranked:
        if each.audited:
            text = f"{each.attack} costs the built-in rules {each.average_damage:.1f} points on average"
            text += f", {each.rule} most ({each.damage:.1f})."
            builtin = next((other for other in ranked if not other.audited), None)
            if builtin:
                worst = f"is {builtin.attack} with {builtin.average_damage:.1f} points"
                if len(ranking.table.common_seeds) < 2:
                    text += f" One seed gives no rank; the most harmful built-in attack here {worst}."
                else:
                    rank = 1 + sum(other.average_damage > each.average_damage for other in ranked)
                    level = level_with(each.attack, columns, ranking.judges[0].test_size)
                    text += f" It ranks {rank} of {count(len(ranked), 'attack')}{_level(level)}"
                    text += f"; the most harmful built-in attack {worst}."
            sentences.append(text)
    return sentences


def _lost(standing: Standing) -> str:
    """Return the points that a rule loses, as the end of a sentence; why they are unknown, if they are."""
    if standing.damage is None or standing.usual is None:
        rises = standing.worst.rises or (standing.usual is not None and standing.usual.rises)
        why = f"accuracy still rises at the end ({RISING})" if rises else "there was one test only"
        return f"; no cost is given, since {why}"
    text = f", {standing.damage:.1f} points below its own {standing.usual.mean:.1f} % without an attack"
    average = standing.average_damage
    return text if average is None else f"{text}; over all attacks it loses {average:.1f} points on average"


def _level(names: Sequence[str]) -> str:
    return f" (level with {', '.join(names)})" if names else ""
