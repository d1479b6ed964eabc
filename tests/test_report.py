"""Tables, Markdown, CSV, heatmap and terminal output from records made by hand."""

import csv
import io
import re
import warnings

import pytest
from rich.console import Console

from gradskew import terminal
from gradskew.figures import heatmap, shade
from gradskew.records import Record
from gradskew.report import Cell, Table, markdown, remarks, results_csv, verdict
from gradskew.terminal import ProgressLine, show

SPEC = {
    "dataset": "digits",
    "clients": 10,
    "sampled": 10,
    "byzantine": 2,
    "partition": "IID()",
    "rounds": 1,
    "seed": 0,
}


def one_round(accuracy, **changes):
    metrics = {
        "accuracy": accuracy,
        "byzantine_share": None,
        "distance": None,
        "rejected": 0,
        "clamped": False,
        "stepped": True,
        "attack": {"called": True},
        "rule": {},
    }
    return {**metrics, **changes}


def record(attack, rule, accuracy, /, *, seed=0, **changes):
    """A record of one round, or of several: accuracy may be a list."""
    accuracies = accuracy if isinstance(accuracy, list) else [accuracy]
    spec = {**SPEC, "attack_name": attack, "aggregator_name": rule, "seed": seed, "rounds": len(accuracies)}
    return Record(spec, [one_round(each, **changes) for each in accuracies], f"sha of {attack} {rule} {seed}")


RECORDS = [
    record("none", "mean", 90.0, byzantine_share=0.2),
    record("none", "median", 86.0),
    record("lie", "mean", 50.0, byzantine_share=0.2),
    record("lie", "median", 70.0),
    record("strike", "mean", 60.0, byzantine_share=0.25),
    record("strike", "median", 40.0),
]


def rows_of(text):
    """The cells of a Markdown table, row by row, without the rule below the head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [cells[0], *cells[2:]]


def printed(table, width=200):
    """What the terminal shows, without colours."""
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False)
    for title, grid in terminal.tables(table):
        console.print(title)
        console.print(grid)
    return console.file.getvalue()


def test_mean_and_std_over_seeds_by_hand():
    cell = Cell([record("lie", "mean", accuracy, seed=seed) for seed, accuracy in enumerate([10.0, 20.0, 60.0])])
    assert cell.mean == 30.0
    assert cell.std == pytest.approx((1400 / 3) ** 0.5)  # deviations -20, -10, 30; divided by the count
    assert cell.text == "30.0 ±21.6"
    assert Cell(cell.records[:1]).text == "10.0"
    assert Cell(cell.records[:1]).std == 0


def test_the_share_is_the_mean_of_what_there_is():
    first = record("lie", "mean", [1.0, 1.0], byzantine_share=0.1)
    first.rounds[1]["byzantine_share"] = None
    second = record("lie", "mean", 1.0, seed=1, byzantine_share=0.3)
    assert Cell([first, second]).share == pytest.approx(20.0)
    assert Cell([record("lie", "median", 1.0)]).share is None


def test_the_table_by_hand():
    table = Table(RECORDS)
    assert (table.attacks, table.rules) == (["none", "lie", "strike"], ["mean", "median"])
    assert table.reference == 90.0
    assert table.damage(table.cells["strike", "median"]) == 50.0
    assert table.worst_attacks() == {"mean": "lie", "median": "strike"}
    assert table.expected_share == 20.0
    assert Table(RECORDS[1:]).reference == 86.0  # no unattacked mean: the best cell


def test_the_order_is_that_of_the_records():
    table = Table(RECORDS[::-1])
    assert (table.attacks, table.rules) == (["strike", "lie", "none"], ["median", "mean"])


def test_markdown_by_hand():
    head, *rows = rows_of(markdown(Table(RECORDS)))
    assert head == ["attack", "mean", "median"]
    assert rows == [["none", "90.0", "86.0"], ["lie", "**50.0**", "70.0"], ["strike", "60.0", "**40.0**"]]


def test_seeds_share_a_cell():
    records = [*RECORDS, record("lie", "mean", 40.0, seed=1)]
    assert rows_of(markdown(Table(records)))[2][1] == "**45.0 ±5.0**"
    assert "2 seeds" in Table(records).federation


def test_csv_columns_and_values_by_hand():
    accuracies = [95.0, 0.0, 10.0, 20.0, 30.0, 41.0]
    first = record("lie", "median", accuracies, seed=7, byzantine_share=0.25, distance=0.5, rejected=2)
    first.rounds[0].update(clamped=True, stepped=False, byzantine_share=0.75, rejected=0)
    text = results_csv([first, record("none", "mean", 3.0)])
    assert text.startswith("dataset,attack,aggregator,seed,accuracy,best_accuracy,params_sha256,")
    assert "\r" not in text
    lie, none = csv.DictReader(io.StringIO(text))
    assert [lie["dataset"], lie["attack"], lie["aggregator"], lie["seed"]] == ["digits", "lie", "median", "7"]
    assert float(lie["accuracy"]) == 20.2  # (0 + 10 + 20 + 30 + 41) / 5: the last five of six
    assert float(lie["best_accuracy"]) == 95.0
    assert lie["params_sha256"] == "sha of lie median 7"
    assert float(lie["byzantine_share"]) == pytest.approx((0.75 + 5 * 0.25) / 6, rel=1e-5)
    assert float(lie["distance"]) == 0.5
    assert [lie["rejected"], lie["clamped_rounds"], lie["skipped_rounds"]] == ["10", "1", "1"]
    assert lie["digest"] == first.digest
    assert none["byzantine_share"] == none["distance"] == ""
    assert [none["rejected"], none["clamped_rounds"], none["skipped_rounds"]] == ["0", "0", "0"]


@pytest.mark.parametrize(("rounds", "accuracy"), [(1, 1.0), (4, 2.5), (5, 3.0), (6, 4.0), (8, 6.0)])
def test_accuracy_is_the_mean_of_the_last_five_rounds_or_fewer(rounds, accuracy):
    made = record("lie", "mean", [float(each) for each in range(1, rounds + 1)])
    assert float(next(csv.DictReader(io.StringIO(results_csv([made]))))["accuracy"]) == accuracy


def test_the_verdict_judges_by_hand():
    said = " ".join(verdict(Table([*RECORDS, *(record(a, "rfa", v) for a, v in (("lie", 80.0), ("strike", 65.0)))])))
    assert "strike" in said
    assert "rfa" in said  # the best worst case, 65 against 40
    assert "65.0" in said
    assert "90.0" in said


def test_remarks_say_what_happened_once():
    records = [record("lie", "median", [1.0, 1.0], rejected=3), record("ipm", "median", 1.0, stepped=False)]
    records += [record("ipm", "rfa", 1.0, seed=seed, clamped=True) for seed in (0, 1)]
    said = remarks(records)
    assert len(said) == 3
    assert "lie against median" in said[0]
    assert "6 rows" in said[0]
    assert "1 rounds" in said[1]
    assert "rfa" in said[2]
    assert remarks(RECORDS) == []


TABLES = {
    "full": RECORDS,
    "one cell": [record("lie", "median", 55.5)],
    "one cell unattacked": [record("none", "mean", 55.5)],
    "one cell with a share": [record("strike", "nnm+mean", 55.5, byzantine_share=0.0)],
    "no none": RECORDS[2:],
    "none alone": RECORDS[:2],
    "missing": [RECORDS[0], RECORDS[3], RECORDS[4]],
    "all equal": [record(attack, rule, 10.0) for attack in ("none", "lie") for rule in ("mean", "rfa")],
    "all wrong": [record(attack, rule, 0.0) for attack in ("none", "lie") for rule in ("mean", "rfa")],
    "no Byzantine": [
        Record({**each.spec, "byzantine": 0}, [one_round(50.0, byzantine_share=0.0)], "") for each in RECORDS
    ],
    "seeds": [record("lie", rule, 10.0 * seed, seed=seed) for rule in ("mean", "median") for seed in range(3)],
    "many": [
        record(f"attack{i}(option={i})", f"bucketing(s={j})+multikrum(m={j})", float(i + j), byzantine_share=i / 10)
        for i in range(9)
        for j in range(12)
    ],
    "attack never called": [record("strike", "mean", 1.0, attack={"called": False})],
}


@pytest.mark.parametrize("records", TABLES.values(), ids=TABLES)
def test_every_table_is_shown_everywhere(records, capsys):
    table = Table(records)
    text = markdown(table)
    assert len(rows_of(text)) == 1 + len(table.attacks)
    assert {len(row) for row in rows_of(text)} == {1 + len(table.rules)}
    for (_, rule), cell in table.cells.items():
        column = rows_of(text)[0].index(rule)
        assert any(row[column].strip("*") == cell.text for row in rows_of(text)[1:])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = heatmap(table)
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    assert heatmap(table) == image
    show(table, verdict(table))
    shown = capsys.readouterr().out
    for cell in table.cells.values():
        assert cell.text in shown


def test_a_missing_cell_stays_empty():
    assert rows_of(markdown(Table(TABLES["missing"])))[1:] == [
        ["none", "90.0", ""],
        ["lie", "", "**70.0**"],
        ["strike", "**60.0**", ""],
    ]


def test_the_weights_are_shown_only_for_rules_that_have_them():
    table = Table(RECORDS)
    assert table.weighted_rules == ["mean"]
    _, (_, weights) = terminal.tables(table)
    assert len(weights.columns) == 2
    assert len(terminal.tables(Table(RECORDS[3:4]))) == 1


HOSTILE = [
    "$x_1$",
    "$\\frac{1}{",
    "[red]x[/red]",
    "[/]",
    "=cmd|' /C calc'!A0",
    'a,b"c',
    "a\\b",
    "*x*",
    "λ" * 60,
    "%s{0}",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_only_text(name, capsys):
    records = [record("none", "mean", 90.0), record(name, name, 50.0, byzantine_share=0.5), record(name, "mean", 70.0)]
    table = Table(records)
    row = list(csv.DictReader(io.StringIO(results_csv(records))))[1]
    assert (row["attack"], row["aggregator"], row["accuracy"]) == (name, name, "50.0000")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        assert heatmap(table).startswith(b"\x89PNG")
    assert name in printed(table, width=1000)
    show(table, verdict(table))
    assert name in capsys.readouterr().out.replace("\n", "")
    assert isinstance(markdown(table), str)


def test_colours_grow_with_harm_and_stay_in_range():
    assert shade(-1.0) == shade(0.0) != shade(0.5) != shade(1.0) == shade(7.0)
    assert re.fullmatch(r"#[0-9a-f]{6}", shade(0.3))


def test_the_progress_line_says_what_was_played(capsys):
    line = ProgressLine()
    with line:
        assert "0 runs played" in line.summary(6)
        line(terminal.Progress(0, 4, 0, 40))
        line(terminal.Progress(4, 4, 40, 40))
    assert line.summary(6).startswith("4 runs played")
    assert "2 were stored before" in line.summary(6)
    assert capsys.readouterr().out == ""
