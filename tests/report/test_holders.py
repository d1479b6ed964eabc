"""Who holds what: counts by hand, the digits' counts, the sentence, and the picture of the page."""

import csv
import io
import re

import pytest
from made_records import record
from markupsafe import Markup

from gradskew.data import Digits, partition
from gradskew.report.holders import Deal, deals, held_by_few
from gradskew.report.page.holdings import MOST_DRAWN, holdings
from gradskew.report.table import Table
from gradskew.report.verdict import remarks
from gradskew.runs.record import Record

# Two Byzantine clients of six; honest ones have 8, 1 and 1 of class 0, and 3, 3, 3, 3 of class 1.
COUNTS = [[9, 0], [0, 9], [8, 3], [1, 3], [1, 3], [0, 3]]


def dealt(seed: int, counts=COUNTS, byzantine: int = 2) -> Record:
    made = record("none", "mean", 50.0, seed=seed)
    spec = {**made.spec, "clients": len(counts), "byzantine": byzantine}
    return Record(spec, made.rounds, made.params_sha256, counts)


def test_holders_by_hand() -> None:
    """Byzantine clients do not count: two hold 9 of 10 images of class 0, and four 90 % of 12, which is 10.8."""
    deal = Deal(0, COUNTS, 2)
    assert (deal.f, deal.half, deal.most, deal.few) == (2, [1, 2], [2, 4], [0])
    assert Deal(0, [[1]] * 11, 0).f == 2  # a fifth is supposed


def test_the_sentence_by_hand() -> None:
    assert held_by_few([]) == ""
    ranges = "(90 % of a class are held by 2 to 4 honest clients, half by 1 to 2)"
    promise = "no rule that treats clients alike can promise more than about half of these"
    assert held_by_few([Deal(0, COUNTS, 2)]) == f"Classes that at most f = 2 clients hold: 0 {ranges}; {promise}."
    several = f"Classes that at most f = 2 clients hold: 2 of 4 in 2 seeds {ranges}; {promise}."
    assert held_by_few([Deal(0, COUNTS, 2), Deal(1, COUNTS, 2)]) == several
    even = Deal(0, [[5], [5], [5], [5]], 1)
    ranges = "(90 % of a class are held by 3 honest clients, half by 2)"
    assert held_by_few([even]) == f"Classes that at most f = 1 clients hold: none {ranges}."
    empty = Deal(0, [[5, 0], [5, 0], [5, 0], [5, 0]], 1)  # nobody has class 1
    assert held_by_few([empty]) == held_by_few([even])
    many = held_by_few([Deal(0, [[1] * 20, [0] * 20, [0] * 20], 1)])
    assert "hold: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 8 more (" in many


@pytest.mark.parametrize(
    ("beta", "few", "ranges"),
    [(0.1, "59 of 60 in 6 seeds", ("3 to 11", "1 to 5")), (0.5, "none", ("14 to 23", "2 to 9"))],
)
def test_the_digits_are_held_as_they_were_counted(beta: float, few: str, ranges: tuple[str, str]) -> None:
    """50 clients, 10 Byzantine, seeds 0 to 5, counted before by another program."""
    labels = Digits().load().train.labels
    made = []
    for seed in range(6):
        parts = partition.make(f"dirichlet(beta={beta})", min_samples=2)(Digits().load(), 50, seed)
        made.append(Deal(seed, [labels[part].bincount(minlength=10).tolist() for part in parts], 10))
    sentence = held_by_few(made)
    assert f"f = 10 clients hold: {few} (" in sentence
    assert f"held by {ranges[0]} honest clients, half by {ranges[1]})" in sentence


def test_deals_are_those_of_each_seed_once() -> None:
    records = [dealt(1), dealt(0), dealt(1), record("none", "mean", 50.0, seed=2)]
    assert [(deal.seed, deal.byzantine) for deal in deals(records)] == [(0, 2), (1, 2)]
    assert deals([record("none", "mean", 50.0)]) == []


def test_every_report_says_it() -> None:
    assert held_by_few([Deal(0, COUNTS, 2)]) in remarks(Table([dealt(0)]))
    assert not any("hold" in remark for remark in remarks(Table([record("none", "mean", 50.0)])))


def numbers(chart: Markup) -> list[list[str]]:
    (text,) = re.findall(r'data-csv="(.*?)"', chart, flags=re.DOTALL)
    return list(csv.reader(io.StringIO(Markup(text).unescape())))


def test_the_picture_separates_byzantine_clients() -> None:
    (picture,) = holdings([dealt(0)], 3)
    chart, caption = picture.figure
    assert (picture.anchor, picture.name) == ("deal-3-0", "0")
    assert numbers(chart)[0] == ["client", "kind", "class 0", "class 1"]
    assert numbers(chart)[1:4] == [
        ["0", "Byzantine", "9", "0"],
        ["1", "Byzantine", "0", "9"],
        ["2", "honest", "8", "3"],
    ]
    cells = {style: path.count("M") for style, path in re.findall(r'<path class="(\w+ o\d)" d="(.*?)"', chart)}
    assert cells == {"bad o7": 2, "good o7": 1, "good o2": 4, "good o0": 2}  # 8/9, 3/9 and 1/9 of eight levels
    assert re.findall(r'class="r strong">(\d+)<', chart) == ["0", "1", "2"]  # class 0, held by at most two
    assert ">4 honest clients<" in chart
    assert ">2 Byzantine clients<" in chart
    assert "the more inputs, up to 9." in caption
    assert "Inputs of each class by client" in chart
    assert "hold: 0 (" in caption


def test_without_byzantine_clients_there_is_one_kind() -> None:
    ((chart, _),) = [picture.figure for picture in holdings([dealt(0, byzantine=0)], 0)]
    assert "Byzantine clients" not in chart
    assert chart.count("<rect") == 1


def test_many_clients_are_thinned_and_many_classes_named_sparsely() -> None:
    counts = [[(i + c) % 3 for c in range(62)] for i in range(3 * MOST_DRAWN)]
    ((chart, caption),) = [picture.figure for picture in holdings([dealt(0, counts, 10)], 0)]
    assert "One client in 3 is drawn, and the records have all, which these numbers count." in caption
    clients = [int(row[0]) for row in numbers(chart)[1:]]
    assert clients == [0, 3, 6, 9, *range(10, 3 * MOST_DRAWN, 3)]  # ten are Byzantine
    assert numbers(chart)[5] == ["10", "honest", *(str(count) for count in counts[10])]
    assert 10 < len(re.findall(r'x="34" y="[\d.]+" class="r', chart)) < 32
    drawn = sum(path.count("M") for path in re.findall(r'<path class="\w+ o\d" d="(.*?)"', chart))
    assert drawn <= 62 * (MOST_DRAWN + 1)


@pytest.mark.parametrize(("clients", "classes"), [(26_000, 10), (260, 1000)])
def test_the_picture_of_the_most_counts_that_a_record_has_is_small(clients: int, classes: int) -> None:
    """A record has 2^18 class counts at most: as many numbers and cells would be megabytes, once for each seed."""
    counts = [[1 + (i + c) % 9 for c in range(classes)] for i in range(clients)]
    ((chart, _),) = [picture.figure for picture in holdings([dealt(0, counts, clients // 10)], 0)]
    assert len(numbers(chart)) * classes <= 20_000 + 3 * classes  # a head, and one more client of each kind
    assert len(chart) < 1_000_000
