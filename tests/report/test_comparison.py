"""Paired comparisons against SciPy's tests and by hand; how often equal rules are called different."""

import math
from itertools import product

import numpy as np
import pytest
from made_records import record
from scipy import stats

from gradskew.report.cell import Cell
from gradskew.report.comparison import better_than, differ, half_width, holm, level_with, p_above, p_pairs
from gradskew.report.table import Table
from gradskew.report.verdict import advice

FIRST, SECOND = np.array([80.0, 84.0, 79.0, 86.0]), np.array([78.0, 79.0, 80.0, 80.0])


def column(*accuracies):
    return dict(enumerate(accuracies))


def test_the_p_value_is_that_of_the_paired_student_test() -> None:
    for first, second in ((FIRST, SECOND), (SECOND, FIRST)):
        wanted = stats.ttest_rel(first, second, alternative="greater").pvalue
        assert p_above(first, second, None) == pytest.approx(wanted)
    (both,) = p_pairs({"a": [column(*FIRST)], "b": [column(*SECOND)]}, None).values()
    assert both == pytest.approx(stats.ttest_rel(FIRST, SECOND).pvalue)


def test_a_difference_by_hand() -> None:
    """Differences 2 and 4: mean 3, s = sqrt 2, t = 3 / (sqrt 2 / sqrt 2) = 3; for one degree of freedom the upper tail
    is 1/2 - atan(3) / pi."""
    assert p_above(np.array([82.0, 84.0]), np.array([80.0, 80.0]), None) == pytest.approx(0.5 - math.atan(3) / math.pi)


def test_the_test_images_by_hand() -> None:
    """60 against 50 % on 99 images, the same for each seed, so that Student's test sees no chance at all.

    p + q = 1.1 and 2 - p - q = 0.9: v = 0.9 - 0.01 = 0.89, the error sqrt(0.89 / 99) = 0.0948, z = 1.0547.
    """
    first, second = np.full(3, 60.0), np.full(3, 50.0)
    assert p_above(first, second, None) < 1e-12
    assert p_above(first, second, 99) == pytest.approx(stats.norm.sf(0.1 / math.sqrt(0.89 / 99)))
    assert p_above(second, first, 99) > 0.5
    assert p_above(first, first, 99) == p_above(first, first, None) == 0.5


def test_the_bound_holds_for_any_dependence_of_the_two_models() -> None:
    """All joint distributions of two hits on a grid: the variance of their difference is never above the bound."""
    grid = [each for each in product(np.linspace(0, 1, 11), repeat=3) if sum(each) <= 1]
    assert len(grid) > 200
    for both, only_first, only_second in grid:
        p, q = both + only_first, both + only_second
        variance = only_first + only_second - (only_first - only_second) ** 2
        assert variance <= min(1, p + q, 2 - p - q) - (p - q) ** 2 + 1e-12


def test_seeds_are_paired_and_those_without_a_partner_are_left_out() -> None:
    """Both vary by tens over seeds, and differ by 1 to 1.2 in each."""
    first, second = {3: 90.0, 1: 50.0, 2: 71.2, 9: 0.0}, {1: 49.0, 2: 70.0, 3: 88.9, 4: 99.0}
    assert level_with("a", {"a": [first], "b": [second]}, None) == []
    assert level_with("a", {"a": [first], "b": [{9: 1.0, 4: 3.0}]}, None) == ["b"]  # one common seed


def test_one_seed_tells_nothing_apart() -> None:
    assert p_above(np.array([99.0]), np.array([1.0]), 10_000) == 1
    assert level_with("a", {"a": [column(99.0)], "b": [column(1.0)]}, 10_000) == ["b"]


def test_differences_from_rounding_are_none() -> None:
    first = np.array([80.0, 81.0, 82.0])
    assert p_above(first + 1e-13, first, None) == 0.5


def test_holm_by_hand() -> None:
    """Sorted 0.01, 0.02, 0.03, 0.5, times 4, 3, 2, 1: 0.04, 0.06, 0.06, 0.5, none below an earlier one."""
    assert holm({"a": 0.03, "b": 0.5, "c": 0.01, "d": 0.02}) == pytest.approx(
        {"c": 0.04, "d": 0.06, "a": 0.06, "b": 0.5}
    )
    assert holm({"a": 0.4, "b": 0.4, "c": 0.9}) == {"a": 1.0, "b": 1.0, "c": 1.0}


def test_all_pairs_count_since_the_best_is_chosen_from_the_same_accuracies() -> None:
    """a and b are told apart alone, and not beside two more rules: six pairs."""
    a, b = column(80.0, 84.0, 79.0, 86.0), column(75.0, 79.6, 77.2, 79.0)
    (p,) = p_pairs({"a": [a], "b": [b]}, None).values()
    assert 0.05 / 6 < p < 0.05
    assert level_with("a", {"a": [a], "b": [b]}, None) == []
    others = {"c": [column(79.0, 80.0, 83.0, 82.0)], "d": [column(83.0, 79.0, 82.0, 79.0)]}
    assert "b" in level_with("a", {"a": [a], "b": [b], **others}, None)


def test_the_worst_case_is_no_better_than_the_worst_of_its_attacks() -> None:
    """first is 20 above second under one attack, and level with it under the other."""
    low, high = column(60.0, 61.0, 62.0, 60.5), column(80.0, 81.5, 82.0, 80.0)
    assert differ([high], [low], None)
    assert not differ([high, column(60.2, 61.1, 61.8, 60.6)], [low], None)


def test_of_the_attacks_that_may_be_the_worst_each_counts() -> None:
    """Four equal ones: four times the p-value of one. One that is far above them does not count."""
    first, second = column(80.0, 84.0, 79.0, 86.0), column(78.0, 79.0, 80.0, 80.0)
    (one,) = p_pairs({"a": [first], "b": [second]}, None).values()
    (four,) = p_pairs({"a": [first], "b": [second] * 4}, None).values()
    (with_high,) = p_pairs({"a": [first], "b": [second, column(98.0, 99.0, 100.0, 99.5)]}, None).values()
    assert (four, with_high) == pytest.approx((4 * one, one))


def test_the_interval_of_a_cell_is_the_wider_of_two() -> None:
    """Student: 4.3027 * sqrt(7) / sqrt(3) for three seeds. Binomial: p = (0.8 * 96 + 2) / 100 = 0.788 for 96 images."""
    few = column(80.0, 82.0, 77.0)
    values = list(few.values())
    student = stats.t(2).ppf(0.975) * stats.sem(values)
    assert half_width(few, None) == pytest.approx(student)
    assert half_width(few, 10_000) == pytest.approx(student)
    binomial = 100 * stats.norm.ppf(0.975) * math.sqrt(0.788 * 0.212 / 100)
    assert half_width(column(80.0, 80.0, 80.0), 96) == half_width(column(80.0), 96) == pytest.approx(binomial)
    assert half_width(column(80.0), None) is None
    assert half_width(column(100.0, 100.0), 96) > 0  # no error of zero where all images are right
    cell = Cell([record("lie", "mean", accuracy, seed=seed) for seed, accuracy in few.items()])
    assert cell.half_width == pytest.approx(student)


def called_different(rules: int, attacks: int, seeds: int, draws: int, size: int | None = None) -> float:
    """Return how often, in %, one of equal rules is told apart from the best; attacks differ in scatter."""
    generator, wrong = np.random.default_rng(rules * 100 + attacks * 10 + seeds), 0
    for _ in range(draws):
        of_seed = 3 * generator.normal(size=(1, 1, seeds))  # a seed's partition is hard or easy for all
        scatter = generator.choice([0.5, 1, 4], size=(rules, attacks, 1)) if attacks > 1 else 1
        accuracies = 70 + of_seed + scatter * generator.normal(size=(rules, attacks, seeds))
        best = int(accuracies.mean(-1).min(-1).argmax())
        rivals = {rule: [column(*each) for each in accuracies[rule]] for rule in range(rules)}
        wrong += len(level_with(best, rivals, size)) < rules - 1
    return 100 * wrong / draws


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
@pytest.mark.parametrize(("rules", "attacks", "draws"), [(2, 1, 800), (5, 1, 150), (2, 4, 400)])
def test_equal_rules_are_called_different_in_five_of_a_hundred_cases_at_most(rules, attacks, draws, seeds) -> None:
    """5 % is the probability; with so few draws, two and a half standard errors above it are chance."""
    assert called_different(rules, attacks, seeds, draws) <= 5 + 2.5 * 100 * math.sqrt(0.05 * 0.95 / draws)


def test_better_than_the_mean_by_hand() -> None:
    """One rival: the two-sided paired test. Two equal ones: Holm doubles the p-value. A lower one is not better."""
    mean, rival = column(*SECOND), column(*FIRST)
    p = stats.ttest_rel(FIRST, SECOND).pvalue
    assert p > 0.05
    assert better_than("mean", {"mean": [mean], "a": [rival]}, None) == []
    clear = {"mean": [mean], "a": [column(81.0, 82.2, 83.0, 83.1)], "b": [column(70.0, 71.1, 72.0, 72.0)]}
    assert better_than("mean", clear, None) == ["a"]
    close = {"mean": [mean], "a": [column(79.5, 82.5, 80.8, 83.5)]}
    p = stats.ttest_rel([79.5, 82.5, 80.8, 83.5], SECOND).pvalue
    assert 0.025 < p < 0.05
    assert better_than("mean", close, None) == ["a"]
    assert better_than("mean", close | {"b": close["a"]}, None) == []


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_rules_that_equal_the_mean_are_called_better_in_five_of_a_hundred_cases_at_most(seeds) -> None:
    generator, wrong = np.random.default_rng(seeds), 0
    for _ in range(400):
        accuracies = 70 + 3 * generator.normal(size=(1, seeds)) + generator.normal(size=(6, seeds))
        wrong += bool(better_than(0, {rule: [column(*each)] for rule, each in enumerate(accuracies)}, None))
    assert wrong / 400 <= 0.05 + 2.5 * math.sqrt(0.05 * 0.95 / 400)


def test_the_advice_on_two_equal_rules() -> None:
    """The same through records, tables and words, for three seeds."""
    generator, wrong = np.random.default_rng(0), 0
    for _ in range(200):
        made = [
            record("lie", rule, float(70 + generator.normal()), seed=seed)
            for rule in ("rfa", "dnc")
            for seed in range(3)
        ]
        wrong += "Recommended" in advice(Table(made))
    assert wrong / 200 <= 0.09


@pytest.mark.parametrize("seeds", [3, 5])
def test_rules_that_are_far_apart_are_told_apart(seeds) -> None:
    rivals = {
        name: [column(*(accuracy + 0.3 * (seed * step % 3) for seed in range(seeds))) for step in (1, 2)]
        for name, accuracy in (("a", 90.0), ("b", 60.0), ("c", 30.0))
    }
    assert level_with("a", rivals, 10_000) == []


def test_pairs_of_many_rivals_are_those_of_two() -> None:
    """Rivals with different numbers of attacks, and a seed that one of them lacks."""
    rivals = {
        "a": [column(80.0, 84.0, 79.0, 86.0), column(81.0, 82.0, 80.0, 83.0)],
        "b": [column(75.0, 79.6, 77.2, 79.0)],
        "c": [column(79.0, 80.0, 83.0), column(70.0, 75.0, 71.0, 78.0), column(70.5, 74.0, 71.0, 78.5)],
    }
    every = p_pairs(rivals, 360)
    for pair in every:
        assert every[pair] == pytest.approx(*p_pairs({key: rivals[key] for key in rivals if key in pair}, 360).values())
