"""Accuracies beside the paper's: what is printed, which is lowest, where STRIKE stands."""

import io

import pytest
from rich.console import Console

from gradskew.paper.screen import show_sheets
from gradskew.paper.sheets import Printed, Sheet, caption, conclusions, markdown, published
from gradskew.report import terminal
from gradskew.runs.record import Record


def record(accuracy: float, seed: int = 0) -> Record:
    return Record({"seed": seed}, [{"accuracy": accuracy}], "0" * 64)


def sheet(accuracies: dict[str, list[float]], paper: dict[str, list[float]] | None = None) -> Sheet:
    """Columns A, B, ...; a NaN is a cell that is not there."""
    records = {
        (row, "ABC"[i]): [record(accuracy)] if accuracy == accuracy else []
        for row, values in accuracies.items()
        for i, accuracy in enumerate(values)
    }
    figures = {
        (row, "ABC"[i]): Printed(value, 0.5) for row, values in (paper or {}).items() for i, value in enumerate(values)
    }
    return Sheet("", "attack", "rule", records, figures)


def test_the_papers_figures_are_those_of_its_tables() -> None:
    cifar = published("table1", "cifar10")
    assert len(cifar) == 49
    assert cifar["STRIKE", "Multi-Krum"] == Printed(42.90, 1.97)
    assert published("table1", "femnist")["STRIKE", "RBTM"] == Printed(39.33, 11.98)
    assert published("table2", "imagenet12")["Mimic", "NNM + DnC"] == Printed(69.35, None)
    assert len(published("table2", "imagenette")) == 12
    assert published("table1", "imagenette") == published("table1", "imagenet12")


@pytest.mark.parametrize(("table", "dataset"), [("table1", "digits"), ("table2", "cifar10"), ("figure4", "imagenet12")])
def test_what_the_paper_does_not_print_is_not_there(table: str, dataset: str) -> None:
    assert published(table, dataset) == {}


def test_strike_is_lowest_in_all_21_columns_of_the_papers_table_1() -> None:
    for dataset in ("cifar10", "imagenet12", "femnist"):
        figures = published("table1", dataset)
        for rule in {rule for _, rule in figures}:
            assert min(figures, key=lambda key: (key[1] != rule, figures[key].mean)) == ("STRIKE", rule)


def test_a_cell_shows_ours_and_the_papers() -> None:
    both = Sheet(
        "",
        "attack",
        "rule",
        {("LIE", "A"): [record(40.0), record(44.0, seed=1)], ("STRIKE", "A"): [record(30.0)]},
        {("LIE", "A"): Printed(57.89, 0.22), ("STRIKE", "A"): Printed(42.9, None)},
    )
    assert list(both.lines()) == [
        ("LIE", [("42.0 ±2.8 / 57.9 ±0.2", False)]),
        ("STRIKE", [("30.0 / 42.9", True)]),
        ("rank of STRIKE", [("1 of 2 / 1 of 2", False)]),
    ]


def test_the_rank_counts_attacks_that_leave_less_and_not_the_unattacked_run() -> None:
    made = sheet({"none": [5.0, 90.0], "LIE": [20.0, 50.0], "IPM": [30.0, 60.0], "STRIKE": [25.0, 50.0]})
    assert list(made.lines())[-1] == ("rank of STRIKE", [("2 of 3", False), ("1 of 3", False)])
    assert conclusions(made) == [
        "STRIKE is lowest in 0 of 2 columns here, level with the lowest in 1 (B).",
        "One seed: differences of a few points may be chance.",
    ]
    bold = {(row, column) for row, line in made.lines() for column, (_, low) in enumerate(line) if low}
    assert bold == {("LIE", 0), ("LIE", 1), ("STRIKE", 1)}


def test_attacks_that_were_not_played_do_not_count_in_the_papers_rank() -> None:
    made = sheet({"LIE": [20.0], "STRIKE": [25.0]}, {"LIE": [60.0], "STRIKE": [40.0], "IPM": [30.0]})
    assert list(made.lines())[-1] == ("rank of STRIKE", [("2 of 2 / 1 of 2", False)])


def test_alone_an_attack_has_no_rank_and_is_not_lowest() -> None:
    made = sheet({"STRIKE": [25.0]}, {"STRIKE": [40.0]})
    assert list(made.lines()) == [("STRIKE", [("25.0 / 40.0 ±0.5", False)])]
    assert conclusions(made) == []


def test_the_order_is_kendalls_tau_by_hand() -> None:
    """Three pairs of attacks: in A all three agree, in B one of three, so (1 - 2) / 3."""
    paper = {"LIE": [10.0, 10.0], "IPM": [20.0, 20.0], "STRIKE": [5.0, 5.0]}
    made = sheet({"LIE": [50.0, 30.0], "IPM": [60.0, 20.0], "STRIKE": [40.0, 25.0]}, paper)
    assert (made.order("A"), made.order("B")) == (pytest.approx(1.0), pytest.approx(-1 / 3))
    assert conclusions(made)[-2].endswith("+0.33 (A +1.00, B -0.33).")


def test_equal_accuracies_have_no_order() -> None:
    assert sheet({"LIE": [50.0], "STRIKE": [50.0]}, {"LIE": [1.0], "STRIKE": [2.0]}).order("A") is None


def test_the_caption_names_the_data_set_that_the_papers_figures_are_of() -> None:
    rows = {"LIE": [50.0], "STRIKE": [40.0]}
    assert "; ours / the paper's on ImageNet-12;" in caption([sheet(rows, rows)], "imagenette")
    assert "the paper's" not in caption([sheet(rows)], "digits")


def test_markdown_shows_hostile_names_as_they_are_and_leaves_a_missing_cell_empty() -> None:
    text = markdown(sheet({"a|b*": [10.0, float("nan")], "STRIKE": [20.0, 30.0]}))
    assert text.splitlines()[:4] == [
        r"| attack \\ rule | A | B |",
        "|---|---|---|",
        r"| a\|b\* | **10.0** |  |",
        "| STRIKE | 20.0 | 30.0 |",
    ]


def test_a_narrow_terminal_shows_every_column_name_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(
        terminal, "Console", lambda **options: Console(file=file, width=40, force_terminal=True, **options)
    )
    long = {("STRIKE", f"{letter}BCDEFGHI"): [record(25.0)] for letter in "UVWXYZ"}
    show_sheets([Sheet("", "attack", "rule", long, {})], "", [])
    assert "…" not in file.getvalue()


def test_the_worst_found_is_the_least_of_each_seed() -> None:
    """By hand: 40 and 20 of seeds 0 and 1, mean 30, sd sqrt(200) = 14.1; no attack and the paper do not count."""

    def runs(attack: str, *accuracies: float) -> list[Record]:
        return [
            Record({"seed": seed, "attack": {"name": attack}}, [{"accuracy": accuracy}], f"{attack} {seed}")
            for seed, accuracy in enumerate(accuracies)
        ]

    played = {
        ("none", "A"): runs("none", 10.0, 10.0),
        ("STRIKE", "A"): runs("strike", 40.0, 60.0),
        ("adaptive(aim=stop)", "A"): runs("adaptive", 50.0, 20.0),
        ("STRIKE", "B"): runs("strike", 70.0, 80.0),
        ("none", "C"): runs("none", 90.0),
    }
    searched = Sheet("", "attack", "rule", played, {("STRIKE", "A"): Printed(5.0, None)})
    lines = dict(searched.lines())
    assert [*lines] == ["none", "STRIKE", "adaptive(aim=stop)", "worst found", "rank of STRIKE"]
    assert lines["worst found"] == [("30.0 ±14.1", False), ("75.0 ±7.1", False), ("", False)]
    assert "| worst found | 30.0 ±14.1 | 75.0 ±7.1 |  |" in markdown(searched)
    assert "; worst found: the least of each seed over the attacks; rank 1" in caption([searched], "cifar10")
    fixed = Sheet("", "attack", "rule", {key: of for key, of in played.items() if key[0] != "adaptive(aim=stop)"}, {})
    assert "worst found" not in dict(fixed.lines())
    assert "worst found" not in caption([fixed], "cifar10")
