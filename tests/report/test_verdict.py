"""The verdict beside the plain mean, over common seeds, and between versions of a rule: records made by hand."""

import re
from dataclasses import replace

import pytest
from made_records import record

from gradskew import attacks
from gradskew.core.errors import InputError
from gradskew.report.table import Table
from gradskew.report.verdict import scope, statements, verdict
from gradskew.runs.record import Record


def runs(attack, seeds=range(3), **accuracies):
    """Runs of rules by name, each with one accuracy a seed."""
    return [record(attack, rule, a, seed=s) for rule, of in accuracies.items() for s, a in zip(seeds, of, strict=True)]


@pytest.fixture
def searching(monkeypatch):
    """lie stands for the attacks that search, without which no rule is recommended."""
    monkeypatch.setattr(attacks, "ADAPTIVE", ("lie",))


LOW, MIDDLE, HIGH = (60.0, 61.0, 62.0), (70.0, 71.1, 72.0), (80.0, 81.0, 82.1)


def test_the_mean_stands_beside_the_defences(searching):
    said = statements(Table(runs("lie", mean=LOW, rfa=MIDDLE, dnc=HIGH)))
    assert said[0] == "Recommended for a federation like this: dnc, 81.0 ±1.1 %, worst found in 3 federations (lie)."
    assert said[1] == "The plain mean kept 61.0 ±1.0 %, worst found in 3 federations (lie); better: all rules."
    said = statements(Table(runs("lie", mean=MIDDLE, rfa=LOW, dnc=HIGH)))
    assert said[1] == "The plain mean kept 71.0 ±1.0 %, worst found in 3 federations (lie); better: dnc."


def test_no_rule_is_recommended_that_is_not_better_than_the_mean(searching):
    """dnc is told apart from rfa; the mean is above both, or between 5 below and 6 above dnc."""
    said = statements(Table(runs("lie", mean=HIGH, rfa=LOW, dnc=MIDDLE)))
    assert said[0] == (
        "dnc leads with 71.0 ±1.0 %, worst found in 3 federations (lie); it is not recommended, since it cannot be "
        "told apart as better than mean."
    )
    assert said[1] == "The plain mean kept 81.0 ±1.1 %, worst found in 3 federations (lie); no rule kept more."
    said = statements(Table(runs("lie", mean=(65.0, 77.1, 69.0), rfa=LOW, dnc=MIDDLE)))
    assert "not recommended" in said[0]
    assert said[1].endswith("worst found in 3 federations (lie); no rule can be told apart as better.")
    assert "Recommended" not in " ".join(said)
    assert statements(Table(runs("lie", rfa=LOW, dnc=MIDDLE)))[0].startswith("Recommended")


def with_test(records, counts):
    return [replace(each, test_size=sum(counts), test_counts=counts) for each in records]


def test_no_rule_is_recommended_that_keeps_no_more_than_the_largest_class(searching):
    """800 of 1,000 inputs: 80 % up to 1.96 sqrt(0.8 0.2 / 1004) = 2.5 points, so that 81.0 is no more and 90 is."""
    balanced, unbalanced = [100] * 10, [800, 200]
    rules = runs("lie", rfa=LOW, dnc=HIGH)
    plain = statements(Table(rules))
    assert statements(Table(with_test(rules, balanced))) == [
        each.replace("Number of test inputs: not in these records.", "Tested on 1000 inputs.") for each in plain
    ]
    said = statements(Table(with_test(rules, unbalanced)))
    assert said[0] == (
        "dnc leads with 81.0 ±1.1 %, worst found in 3 federations (lie); it is not recommended, since a model that "
        "always answers the largest class has as much."
    )
    known = "A model that always answers the largest class reaches 80.0 %"
    assert f"{known}; no more was left, in the worst found, of all rules." in said
    said = statements(Table(with_test(runs("lie", rfa=LOW, dnc=(90.0, 91.0, 92.0)), unbalanced)))
    assert said[0].startswith("Recommended for a federation like this: dnc")
    assert f"{known}; no more was left, in the worst found, of rfa." in said
    said = statements(Table(with_test(runs("lie", rfa=(85.0, 85.1, 85.2), dnc=(90.0, 91.0, 92.0)), unbalanced)))
    assert f"{known}." in said


def test_one_seed_does_not_tell_whether_a_rule_is_better_than_the_mean():
    said = statements(Table(runs("lie", range(1), mean=[50.0], rfa=[90.0])))
    kept = "The plain mean kept 50.0 %, worst found in 1 federation (lie)"
    assert said[0] == f"{kept}; one seed cannot tell whether a rule is better."


def test_the_mean_is_compared_over_the_same_attacks_only():
    said = statements(Table(runs("lie", mean=LOW, rfa=HIGH) + runs("strike", rfa=MIDDLE)))
    assert said[0] == "The plain mean kept 61.0 ±1.0 %, worst found in 3 federations (lie)."


def test_two_sentences_of_one_verdict_agree():
    """Nobody is called best or worst where all are level; dnc is where it is told apart."""
    level = statements(Table(runs("lie", rfa=(70.0, 75.0, 71.0), dnc=(71.0, 74.0, 71.5), median=(69.0, 75.5, 72.0))))
    assert level[0].startswith(
        "dnc leads with 72.2 ±1.6 %, worst found in 3 federations (lie); level with it: all others"
    )
    assert not any(re.search(r"Best|Worst|Highest|Lowest", line) for line in level)


def test_best_and_worst_are_named_where_they_are_told_apart():
    attacked = runs("lie", rfa=LOW, dnc=HIGH) + runs("strike", rfa=LOW, dnc=HIGH)
    usual = runs("none", rfa=(90.0, 90.0, 90.0), dnc=(90.0, 90.0, 90.0))
    said = verdict(Table(usual + attacked))
    assert "Lowest: rfa, 61.0 ±1.0 %, worst found in 6 federations (lie)." in said
    assert "Best on average over the attacks: dnc, 81.0 ±1.1 %. Worst: rfa, 61.0 ±1.0 %." in said


def test_rules_are_compared_on_the_seeds_that_all_cells_have():
    """rfa has the easy seed 7 beside 0 and 1: on these it is below dnc, in each."""
    table = Table(runs("lie", (0, 1, 7), rfa=(70.0, 72.0, 99.0)) + runs("lie", (0, 1, 2), dnc=(75.0, 77.1, 60.0)))
    assert [each.rule for each in table.ranked] == ["dnc", "rfa"]
    assert table.ranked[1].worst.mean == 71.0
    assert scope(table)[-1] == (
        "Not all cells have the same seeds: attacks and rules are compared on the common ones (0, 1)."
    )
    assert table.cells["lie", "rfa"].mean == pytest.approx((70 + 72 + 99) / 3)
    assert table.federation.endswith("; 3 seeds a cell, not the same in all")


def test_a_rule_that_nobody_attacked_narrows_no_comparison():
    """Such as the mean without an attack on one seed, which `gradskew skew` leaves in a folder."""
    attacked = [
        *runs("none", median=(90.0, 91.0, 92.0), dnc=(91.0, 92.0, 93.0)),
        *runs("ipm", median=(80.0, 81.0, 82.0), dnc=(85.0, 86.0, 87.0)),
    ]
    alone = Table(attacked)
    for seeds in ([0], [7]):
        table = Table([*attacked, *runs("none", seeds, mean=[95.0])])
        assert table.common_seeds == alone.common_seeds == {0, 1, 2}
        assert [(each.rule, each.worst.mean) for each in table.ranked] == [("dnc", 86.0), ("median", 81.0)]
        assert "same seeds" not in table.verdict


def test_rules_without_a_common_seed_are_not_ranked():
    table = Table(runs("lie", (7,), rfa=[90.0]) + runs("lie", range(4), dnc=(70.0, 71.0, 72.0, 73.0), mean=[50.0] * 4))
    said = statements(table)
    assert said[-1] == "No seed is common to all cells, so that no rule is called best: run all with the same seeds."
    assert not any(re.search(r"leads|Best|Highest|Recommended|better", line) for line in said)
    assert [each.rule for each in table.ranked] == ["rfa", "dnc"], "the order of the rules"
    assert "worst case" not in repr(table)
    assert table.federation.endswith("; 1 to 4 seeds a cell")


def test_the_cost_of_an_attack_is_that_on_common_seeds():
    """Seed 1 alone is in both: 90 - 60. The seeds 0 and 2 would give 80 - 55."""
    table = Table(runs("none", (0, 1), rfa=(70.0, 90.0)) + runs("lie", (1, 2), rfa=(60.0, 50.0)))
    assert table.standings["rfa"].damage == 30.0


def of_version(code, accuracy, **changes):
    made = record("lie", "own:rule", accuracy, **changes)
    return replace(made, spec={**made.spec, "user_code": {"own:rule": code * 64}})


def test_a_table_refuses_two_versions_of_a_rule():
    with pytest.raises(InputError, match=r"records of two versions of own:rule \(the file was changed\): Store"):
        Table([of_version("a", 80.0), of_version("b", 20.0)])
    assert Table([of_version("a", 80.0), of_version("a", 20.0, seed=1)]).cells["lie", "own:rule"].mean == 50.0


def test_mean_and_spread_are_by_seed():
    cell = Table(runs("lie", rfa=HIGH)).cells["lie", "rfa"]
    twice = replace(cell, records=[*cell.records, cell.records[0]])
    assert (twice.mean, twice.std, twice.text) == (cell.mean, cell.std, cell.text)


def test_a_run_of_one_test_gives_no_cost():
    records = [record("none", "rfa", [50.0]), record("lie", "rfa", [42.0])]
    table = Table(records)
    assert table.standings["rfa"].damage is None
    said = " ".join(statements(table))
    assert "rfa (42.0 %)" in said
    assert "-8" not in said


def test_a_record_shows_that_its_curve_still_rises():
    climbing = record("lie", "rfa", [33.0, 43.0, 53.0, 63.0, 73.0, 83.0])
    assert repr(climbing) == "Record(lie against rfa, seed 0: 78.0↑ % after 6 rounds)"
    assert "78.00↑ %" in climbing._repr_html_()
    assert "↑" not in repr(record("lie", "rfa", [80.0] * 6))
    assert "↑" not in repr(Record(climbing.spec, climbing.rounds[:1], ""))
