"""The charts of the page: the ranking, the views of the heatmap, curves across cells, and their numbers."""

from __future__ import annotations

import csv
import io
import re

import pytest
from made_records import record
from markupsafe import Markup

from gradskew.report.page import svg
from gradskew.report.page.curves import by_attack, by_rule
from gradskew.report.page.findings import comparison, findings
from gradskew.report.page.parts import describe_plane, plane
from gradskew.report.page.ranking import ranked, ranking
from gradskew.report.page.views import views
from gradskew.report.table import Table
from gradskew.skew import Picture

HOSTILE = '=cmd|"<b>,x'


def numbers(chart: Markup) -> list[list[str]]:
    """The CSV that a chart carries."""
    (text,) = re.findall(r'data-csv="(.*?)"', chart, flags=re.DOTALL)
    return list(csv.reader(io.StringIO(Markup(text).unescape())))


@pytest.fixture
def table() -> Table:
    """Accuracies at the end of two seeds; every curve is flat."""
    cells = {
        ("none", "mean"): (90, 92),
        ("lie", "mean"): (30, 40),
        ("strike", "mean"): (60, 62),
        ("none", "median"): (86, 88),
        ("lie", "median"): (80, 82),
        ("strike", "median"): (50, 56),
        ("none", "rbtm"): (85, 85),
        ("lie", "rbtm"): (70, 74),
        ("strike", "rbtm"): (71, 79),
    }
    shares = {"lie": 0.3, "strike": 0.1, "none": 0.2}
    return Table(
        record(attack, rule, [value] * 6, seed=seed, byzantine_share=shares[attack])
        for (attack, rule), values in cells.items()
        for seed, value in enumerate(values)
    )


def test_the_ranking_by_hand(table: Table) -> None:
    """The highest worst found first; the mean is no defence and comes last, though it is better than nothing else."""
    rules = ranked(table)
    assert [(each.standing.rule, each.remark) for each in rules] == [
        ("rbtm", ""),
        ("median", ""),
        ("mean", "no defence"),
    ]
    assert [each.standing.attack for each in rules] == ["lie", "strike", "lie"]
    assert [each.cost for each in rules] == [6, 4, 0]  # 91 of the mean, less 85, 87 and 91
    for each in rules:
        low, high = each.interval
        worst, half = each.standing.worst.mean, each.standing.half_width
        assert (low, high) == (max(0, worst - half), min(100, worst + half))


def test_the_ranking_carries_and_shows_its_numbers(table: Table) -> None:
    chart, caption = ranking(table)
    head, first, *_, last = numbers(chart)
    assert head[:4] == ["rule", "remark", "found by", "federations"]
    row = dict(zip(head, first, strict=True))
    assert (row["rule"], row["found by"], row["federations"]) == ("rbtm", "lie", "4")
    shown = (row["worst found"], row["without attack"], row["cost without attack"], row["mean over attacks"])
    assert shown == ("72", "85", "6", "73.5")
    assert last[:2] == ["mean", "no defence"]
    for text in (">rbtm<", "72.0 %", "85.0 % without attack (cost 6.0)", ">73.5 % on average<"):
        assert text in chart
    assert ">worst found in 4 federations: lie<" in chart
    assert "test accuracy, %" in chart
    assert "Cost: points below that of mean without an attack." in caption


def test_one_seed_without_known_test_images_has_no_interval() -> None:
    table = Table(record(attack, "median", value) for attack, value in (("none", 90), ("lie", 60)))
    chart, _ = ranking(table)
    assert "whisker" not in chart
    assert numbers(chart)[1][5:7] == ["", ""]
    assert ranking(Table([record("none", "median", 90)])) is None


def test_the_bars_mark_what_still_rises() -> None:
    """Of six rounds, the last two count: 65 of the curve that rises. Of the two, only the mean over attacks has it."""
    rising = [20.0, 30.0, 40.0, 50.0, 60.0, 70.0]
    flat = [record(attack, "median", [value] * 6) for attack, value in (("none", 90.0), ("lie", 40.0))]
    climbing = [record("strike", "median", rising), record("strike", "rbtm", rising), record("none", "rbtm", rising)]
    chart, caption = ranking(Table([*flat, *climbing, record("lie", "rbtm", [80.0] * 6)]))
    for text in (">40.0 %<", ">90.0 % without attack (cost 0.0)<", ">52.5↑ % on average<"):
        assert text in chart
    for text in (">65.0↑ %<", ">65.0↑ % without attack<", ">72.5↑ % on average<"):
        assert text in chart
    assert "↑: still rising at the end." in caption
    assert [row[-1] for row in numbers(chart)] == ["worst found still rises", "1", "0"]
    assert "↑" not in ranking(Table(flat))[1]


def test_a_curve_of_one_round_has_no_cost() -> None:
    """Nobody knows whether it has ended."""
    cells = {("none", "mean"): 90.0, ("none", "median"): 80.0, ("lie", "median"): 70.0}
    (alone,) = ranked(Table(record(*key, [value]) for key, value in cells.items()))
    (ended,) = ranked(Table(record(*key, [value] * 6) for key, value in cells.items()))
    assert (alone.cost, ended.cost) == (None, 10.0)


def test_points_lost_by_hand(table: Table) -> None:
    lost = {view.name: view for view in views(table)}["points lost"]
    texts = {key: text for key, (text, _) in lost.panel.entries.items()}
    assert texts == {
        ("lie", "mean"): "56.0",
        ("strike", "mean"): "30.0",
        ("lie", "median"): "6.0",
        ("strike", "median"): "34.0",
        ("lie", "rbtm"): "13.0",
        ("strike", "rbtm"): "10.0",
    }
    assert lost.legend == ["0", "28", "56"]
    assert lost.entry("none", "mean").level is None
    assert (lost.entry("lie", "mean").level, lost.entry("strike", "rbtm").level) == (16, round(16 * 10 / 56))


def test_each_view_marks_its_own_worst_attack(table: Table) -> None:
    """By accuracy STRIKE is the worst on the median, by weight LIE is, which gets 30 % of it."""
    shown = {view.name: view for view in views(table)}
    assert list(shown) == ["accuracy", "points lost", "Byzantine weight"]
    assert shown["accuracy"].worst == {"mean": "lie", "median": "strike", "rbtm": "lie"}
    assert shown["Byzantine weight"].worst == dict.fromkeys(("mean", "median", "rbtm"), "lie")
    assert shown["Byzantine weight"].entry("lie", "median").worst
    assert not shown["Byzantine weight"].entry("strike", "median").worst


def test_a_view_in_which_no_attack_does_harm_marks_none() -> None:
    table = Table(record(attack, "median", value) for attack, value in (("none", 60), ("lie", 70)))
    accuracy, lost = views(table)
    assert accuracy.worst == {}
    assert lost.worst == {}  # the only attack costs -10 points
    assert lost.entry("lie", "median").text == "-10.0"
    assert lost.entry("lie", "median").level == 0


def test_why_each_rule_ranks_is_in_the_order_of_the_ranking(table: Table) -> None:
    """rbtm keeps 72, median 53; the mean is no defence. Under strike they lose 10, 34 and 30 points."""
    assert [finding.standing.rule for finding in findings(table)] == ["rbtm", "median", "mean"]
    curves = {"strike": [20.0, 30.0, 40.0, 50.0, 60.0, 70.0], "none": [90.0] * 6}
    rising = [record(attack, "rfa", curve, seed=seed) for attack, curve in curves.items() for seed in (0, 1)]
    compared = comparison(Table([*(each for each in table.records if each.spec["attack_name"] != "lie"), *rising]))
    assert compared.attack == "strike"
    assert [row[:2] for row in compared.sheet.rows] == [
        ["rbtm", "10.0"],
        ["rfa", "–"],
        ["median", "34.0"],
        ["mean", "30.0"],
    ]
    assert all(text for row in compared.sheet.rows for text in row)


def test_no_attack_is_marked_as_the_worst_where_one_is_unknown() -> None:
    """The curve under strike still rises, so that its points are a dash: it may cost more than the 20 of lie."""
    rising = record("strike", "median", [20.0, 30.0, 40.0, 50.0, 60.0, 70.0])
    others = [record(attack, "median", [value] * 6) for attack, value in (("none", 90.0), ("lie", 70.0))]
    shown = {view.name: view for view in views(Table([*others, rising]))}
    assert shown["points lost"].entry("strike", "median").text == "–"
    assert shown["points lost"].worst == {}
    assert shown["accuracy"].worst == {"median": "strike"}


def test_the_legends_have_the_numbers_of_their_colours(table: Table) -> None:
    """The palest blue of accuracy is the best cell, 91 %, the darkest red the worst, 35 %."""
    shown = {view.name: view for view in views(table)}
    assert shown["accuracy"].legend == ["91 %", "63 %", "35 %"]
    assert shown["accuracy"].entry("none", "mean").level == 0
    assert shown["accuracy"].entry("lie", "mean").level == 16
    assert shown["Byzantine weight"].legend == ["0 %", "20 %", "40 %+"]
    assert shown["Byzantine weight"].entry("none", "mean").level == 8


def test_curves_are_means_over_seeds() -> None:
    curves = {("lie", "mean"): ([10, 20], [30, 50]), ("lie", "median"): ([40, 60], [42, 64])}
    table = Table(
        record(*key, values, seed=seed) for key, of_seeds in curves.items() for seed, values in enumerate(of_seeds)
    )
    (chart,) = by_attack(table, 3)
    assert (chart.anchor, chart.name, chart.shown) == ("attack-3-0", "lie", True)
    drawn, caption = chart.figure
    assert numbers(drawn) == [["round", "mean", "median"], ["1", "20", "41"], ["2", "35", "62"]]
    assert caption == "Test accuracy of all rules under lie, by round, mean over seeds."
    mean, median = by_rule(table, 3)
    assert (mean.name, mean.shown, median.shown) == ("mean", False, True)  # the defence is shown first
    assert numbers(median.figure[0]) == [["round", "lie"], ["1", "41"], ["2", "62"]]


def test_lines_of_sixteen_rules_look_different() -> None:
    assert len({svg.line_style(number) for number in range(16)}) == 16


def test_long_names_in_a_legend_are_whole_and_below_each_other() -> None:
    names = ["mean", "nnm+bucketing(s=2)+multikrum(m=3)"]
    chart = svg.lines("x", [svg.Line(name, svg.line_style(0), [0], [1.0]) for name in names], legend=True)
    places = [re.search(rf'x="(.*?)" y="(.*?)" class="">{re.escape(name)}</text>', chart).groups() for name in names]
    assert places[0][0] == places[1][0]
    assert places[0][1] != places[1][1]


def test_every_chart_names_its_axes_and_units() -> None:
    line = svg.Line("seed 0", svg.line_style(0), [0, 1, 2], [10.0, None, 30.0])
    charts = {
        svg.lines("x", [line], unit="test accuracy, %"): ("round", "test accuracy, %"),
        svg.bars("x", [("0", 50.0, 40.0)], below="class", unit="accuracy, %"): ("class", "accuracy, %"),
        svg.shading("x", ["10", "11"], 3, [(0, 1)]): ("round", "client"),
    }
    for chart, names in charts.items():
        assert all(f">{name}</text>" in chart for name in names)


def test_charts_carry_exact_numbers_that_no_spreadsheet_takes_for_a_formula() -> None:
    line = svg.Line(HOSTILE, svg.line_style(0), [0, 2], [1 / 3, None])
    band = svg.Band([0, 1], [(0.25, 0.5), None])
    chart = svg.lines("x", [line], [band], legend=True)
    assert numbers(chart) == [
        ["round", f"'{HOSTILE}", "low", "high"],
        ["1", "0.333333", "0.25", "0.5"],
        ["2", "", "", ""],
        ["3", "", "", ""],
    ]
    assert "<b>" not in chart
    shut_out = svg.shading("x", ["10", "11"], 9, [(1, 2), (1, 3), (1, 7), (0, 0)])
    assert numbers(shut_out)[1:] == [["10", "1", "1"], ["11", "3", "4"], ["11", "8", "8"]]
    assert numbers(svg.bars("x", [("7", None, 12.5)], below="class", unit="%"))[1] == ["7", "", "12.5"]
    assert numbers(svg.points("x", [("honest", "other", [(0.5, -1.0)])]))[1:] == [["honest", "0.5", "-1"]]


def picture(method: str, byzantine: tuple[tuple[float, float], ...]) -> Picture:
    return Picture(6, method, ((0.0, 0.0), (4.0, 2.0)), (True, False), (2.0, 1.0), byzantine)


def test_a_picture_says_what_it_shows() -> None:
    equal = describe_plane(picture("pca", ((1.0, 1.0),) * 10), "strike", "multikrum")
    assert equal == (
        "Round 7, principal components (in honest spreads): strike against multikrum. "
        "The cross is 10 Byzantine updates, all equal."
    )
    assert "The crosses are 2 Byzantine updates." in describe_plane(picture("lle", ((1.0, 1.0), (2.0, 1.0))), "a", "b")
    alone = describe_plane(picture("lle", ()), "none", "mean")
    assert alone == "Round 7, LLE (distances mean little): no attack against mean."
    assert describe_plane(picture("pca", ((1.0, 1.0),)), "lie", "mean").endswith("The cross is 1 Byzantine update.")


def test_only_distances_that_are_real_have_a_scale() -> None:
    """The plane is 4 spreads wide: a third of it is 1.33, and the bar shows 1."""
    components, embedded = plane(picture("pca", ())), plane(picture("lle", ()))
    assert ">1 × spread<" in components
    assert "principal component 1" in components
    assert "spread" not in embedded
    assert "LLE 1 (no scale)" in embedded
