"""Folders side by side: what is compared with what, and the paired differences."""

import csv
import io
import math
from statistics import stdev
from typing import Any

import pytest
from test_sweep import DIRICHLET, T_1, by_beta, record

from gradskew.report.beside import beside
from gradskew.report.comparison import difference
from gradskew.report.page import render
from gradskew.report.sweep import WORST
from gradskew.report.table import group
from gradskew.runs.record import Record

Z = 1.959963984540054


def runs(lift: float = 0, seeds: tuple[int, ...] = (0, 1), **changes: Any) -> list[Record]:
    """Two seeds, of which the second gains twice the lift."""
    return [
        record(attack, "median", accuracy + lift * (seed + 1), seed=seed, **changes)
        for attack, accuracy in (("none", 80), ("lie", 60))
        for seed in seeds
    ]


def compared(**folders: list[Record]) -> Any:
    return beside({name: group(records) for name, records in folders.items()})


def test_a_difference_is_paired_by_seeds() -> None:
    mean, half = difference({0: 50.0, 1: 60.0, 2: 1.0}, {0: 53.0, 1: 67.0, 5: 99.0}, None, None, same_inputs=True)
    assert mean == 5
    assert half == pytest.approx(T_1 * stdev([3, 7]) / math.sqrt(2))


def test_a_difference_is_no_surer_than_the_test_inputs() -> None:
    """Two seeds agree that 90 % is 2 points above 88 %: on 100 inputs that is chance."""
    first, other = {0: 88.0, 1: 88.0}, {0: 90.0, 1: 90.0}
    mean, half = difference(first, other, 100, 100, same_inputs=True)
    assert mean == 2
    assert half == pytest.approx(100 * Z * math.sqrt((0.22 - 0.02**2) / 100))
    _, apart = difference(first, other, 100, 400, same_inputs=False)
    assert apart == pytest.approx(100 * Z * math.sqrt(0.88 * 0.12 / 100 + 0.9 * 0.1 / 400))


def test_one_seed_has_a_difference_without_an_interval() -> None:
    assert difference({0: 50.0, 1: 3.0}, {0: 51.5, 2: 3.0}, 100, 100, same_inputs=True) == (1.5, None)


def test_folders_of_two_federations_have_a_column_each() -> None:
    made = compared(plain=runs(momentum=0.0), with_momentum=runs(3, momentum=0.9))
    assert made.panels == [WORST, "none", "lie"]
    head, rows = made.sheet("lie")
    names = ["plain (momentum 0)", "with_momentum (momentum 0.9)"]
    assert head == ["rule", *names, f"{names[1]} − {names[0]}"]
    half = T_1 * stdev([3, 6]) / math.sqrt(2)
    assert rows == [["median", "60.0 ±0.0", f"64.5 ±{half:.1f}", f"+4.5 ±{half:.1f}"]]
    (line,) = [row for row in csv.DictReader(io.StringIO(made.to_csv())) if row["attack"] == WORST]
    assert (line["seeds"], line["first_mean"], line["other_mean"]) == ("2", "60.0000", "64.5000")
    assert (line["first"], line["other"], line["difference"]) == (*names, "4.5000")
    assert float(line["half_width"]) == pytest.approx(half, abs=1e-4)


def test_sweeps_are_compared_value_by_value() -> None:
    made = compared(old=by_beta([0.1, 0.5, "iid"], semantics=9), new=by_beta([0.5, "iid", 2.0], semantics=10))
    assert [axis.name for axis in made.axes] == ["beta"]
    head, rows = made.sheet("none")
    assert head[:3] == ["beta", "rule", "old (semantics 9)"]
    assert [(row[0], row[1], row[-1].split()[0]) for row in rows] == [
        ("0.5", "mean", "+2.0"),
        ("0.5", "median", "+2.0"),
        ("iid", "mean", "+2.0"),
        ("iid", "median", "+2.0"),
    ]


def test_three_folders_are_compared_with_the_first() -> None:
    made = compared(a=runs(), b=runs(1, rounds=2), c=runs(-1, rounds=3))
    assert [row[-2:] for row in made.sheet("none")[1]] == [["+1.5 ±6.4", "-1.5 ±6.4"]]


def test_two_versions_of_a_users_rule_are_compared() -> None:
    old, new = ({"user_code": {"mine:rule": digit * 64}} for digit in "ab")
    made = compared(old=runs(**old), new=runs(2, **new))
    assert [row[-1] for row in made.sheet("lie")[1]] == [f"+3.0 ±{T_1:.1f}"]


@pytest.mark.parametrize(
    "folders",
    [
        {"a": runs(seeds=(0,)), "b": runs(seeds=(1,))},  # shards by seed
        {"a": runs(), "b": runs()},  # the same runs
        {"a": by_beta([0.1, 0.5])[::2], "b": by_beta([0.1, 0.5])[1::2]},  # shards of a sweep
        {"a": runs(seeds=(0,)), "b": runs(seeds=(1,), rounds=2)},  # no common seed
        {"a": runs(), "b": []},
        {"a": runs()},
    ],
)
def test_parts_of_one_grid_are_not_compared(folders: dict[str, list[Record]]) -> None:
    assert compared(**folders) is None


def test_other_data_are_compared_as_other_inputs() -> None:
    data = [{"dataset": name, "data_sha256": digit * 64} for name, digit in (("digits", "a"), ("mnist", "b"))]
    made = compared(one=runs(**data[0]), two=runs(**data[1]))
    assert [row.same_inputs for row in made.rows] == [[True, False]] * 3
    assert [*made.names] == ["one (dataset digits)", "two (dataset mnist)"]


def test_a_validation_part_is_compared_as_other_inputs() -> None:
    made = compared(one=runs(data_sha256="a" * 64), two=runs(data_sha256="a" * 64, validation=0.2))
    assert [row.same_inputs for row in made.rows] == [[True, False]] * 3


def test_the_page_has_the_table() -> None:
    made = compared(**{"<b>": runs(), "other": runs(1, partition={**DIRICHLET, "beta": 0.1})})
    text = render([], title="", lead="", compared=made)
    assert "Side by side" in text
    assert "+1.5 ±6.4" in text
    assert "<b> (" not in text
    assert 'id="compared"' not in render([], title="", lead="")
