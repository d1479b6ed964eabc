"""`gradskew paper` from the command line, on the embedded digits."""

import csv
import json
from pathlib import Path

import pytest
from places import without_places

from gradskew.cli import main

DIGITS = ["--dataset", "digits", "--rounds", "1", "--workers", "1"]


def call(out: Path, *arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["paper", *arguments, "--out", str(out)])
    return ended.value.code


def test_a_table_is_played_once_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = ["table1", *DIGITS, "--attacks", "lie,strike", "--aggregators", "median,rfa"]
    assert call(tmp_path, *table) == 0
    first = capsys.readouterr()
    assert "table1 on digits, scale small: 4 runs of 1 round, 1 worker" in first.err
    assert "By a measured round, about" in first.err
    assert "rank of STRIKE" in first.out
    assert "4 runs done" in first.out
    with (tmp_path / "table1-digits-small-part.csv").open() as file:
        assert [(row["attack"], row["aggregator"]) for row in csv.DictReader(file)] == [
            (attack, rule)
            for attack in ("lie", "strike(middle=upper,max_alpha=10.0,few=extrapolate)")
            for rule in ("median(middle=upper)", "rfa")
        ]
    assert "| STRIKE |" in (tmp_path / "table1-digits-small-part.md").read_text()
    assert "@inproceedings" in (tmp_path / "table1-digits-small-part.bib").read_text()

    assert call(tmp_path, *table) == 0
    again = capsys.readouterr()
    assert "4 stored already" in again.err
    assert "measured" not in again.err
    assert "0 runs done" in again.out


@pytest.mark.parametrize(
    ("figure", "part"), [("figure4", "bucketing+rfa"), ("figure7", "rfa"), ("figure8", "median,rfa")]
)
def test_charts_are_vector_and_picture_and_the_same_each_time(figure: str, part: str, tmp_path: Path) -> None:
    small = [figure, *DIGITS, "--aggregators", part, *([] if figure == "figure7" else ["--attacks", "lie,strike"])]
    assert call(tmp_path, *small) == 0
    drawn = {kind: (tmp_path / f"{figure}-digits-small-part.{kind}").read_bytes() for kind in ("pdf", "png")}
    assert drawn["pdf"].startswith(b"%PDF")
    assert drawn["png"].startswith(b"\x89PNG")
    assert call(tmp_path, *small) == 0
    assert {kind: (tmp_path / f"{figure}-digits-small-part.{kind}").read_bytes() for kind in drawn} == drawn


def test_table_1_under_the_attacks_that_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The ensemble beside the paper's attacks, and a row for the worst found of each rule; three seeds unless told."""
    assert call(tmp_path, "table1", *DIGITS, "--attacks", "worst", "--rules", "median,multikrum") == 0
    assert "worst found" in capsys.readouterr().out
    page = (tmp_path / "table1-digits-small-part.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in page.splitlines() if line[:1] == "|"]
    assert {"BitFlip", "STRIKE", "adaptive(aim=loss,cap=None)", "rank of STRIKE"} <= {row[0] for row in rows}
    (head, worst) = (next(row for row in rows if row[0] == name) for name in (r"attack \\ rule", "worst found"))
    assert head[1:] == ["Median", "Multi-Krum"]
    with (tmp_path / "table1-digits-small-part.csv").open() as file:
        lines = [line for line in csv.DictReader(file) if line["attack"] != "none"]
    for rule, cell in zip(("median", "multikrum"), worst[1:], strict=True):
        of_rule = [line for line in lines if line["aggregator"].startswith(rule)]
        left = {seed: [float(line["accuracy"]) for line in of_rule if line["seed"] == seed] for seed in "012"}
        assert float(cell.split(" ")[0]) == pytest.approx(sum(map(min, left.values())) / 3, abs=0.051)


def test_the_csv_tells_the_partitions_apart(tmp_path: Path) -> None:
    assert call(tmp_path, "figure8", *DIGITS, "--attacks", "lie", "--aggregators", "median") == 0
    with (tmp_path / "figure8-digits-small-part.csv").open() as file:
        parts = [row["partition"] for row in csv.DictReader(file)]
    assert parts == [*(f"dirichlet(beta={beta},min_samples=2)" for beta in (0.1, 0.2, 0.5, 0.7, 0.9)), "iid"]


def test_a_figure_is_made_from_the_stored_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure = ["figure1", "--dataset", "digits", "--rounds", "2"]
    assert call(tmp_path, *figure) == 0
    drawn = (tmp_path / "figure1-digits-small-part-seed0.png").read_bytes()
    assert (tmp_path / "figure1-digits-small-part-seed0.pdf").read_bytes().startswith(b"%PDF")
    (stored,) = tmp_path.glob("runs/*/pictures.json")
    by_lle = json.loads(stored.read_text())[0]
    assert (by_lle["method"], len(by_lle["honest"]), len(by_lle["byzantine"])) == ("lle", 80, 20)
    assert call(tmp_path, *figure, "--attacks", "none") == 0
    assert (tmp_path / "figure1-digits-small-part-none-seed0.png").read_bytes() != drawn

    capsys.readouterr()
    (tmp_path / "figure1-digits-small-part-seed0.png").unlink()
    assert call(tmp_path, *figure) == 0
    captured = capsys.readouterr()
    assert "1 stored already" in captured.err
    assert "measured" not in captured.err
    assert "0 runs done" in captured.out
    assert (tmp_path / "figure1-digits-small-part-seed0.png").read_bytes() == drawn

    stored.write_text("[")
    assert call(tmp_path, *figure) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"gradskew: no pictures in {stored.parent}: ")
    assert (tmp_path / "figure1-digits-small-part-seed0.png").read_bytes() == drawn


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table9"], "unknown experiment 'table9'; did you mean 'table"),
        (["table1", "--scale", "huge"], "scale must be one of small, paper, not 'huge'"),
        (["table1", "--dataset", "digits", "--scale", "paper"], "digits is not in the paper"),
        (["figure1", "--dataset", "digits", "--attacks", "lie,ipm"], "figure1 shows one attack and one rule: see"),
        (["figure1", "--dataset", "digits", "--aggregators", "mean,rfa"], "figure1 shows one attack and one rule: see"),
        (["figure2", "--dataset", "digits", "--no-lens"], "figure2 draws its rounds from the seed: --pictures and"),
        (["table1", "--dataset", "cifar10", "--data", "nowhere"], "nowhere"),
        (["table1", "--dataset", "digits", "--data", "nowhere"], "the digits are embedded"),
        (["table1", "--dataset", "digits", "--rounds", "0"], "rounds must be at least 1"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(tmp_path, *arguments) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


@pytest.mark.parametrize("command", [["table1", "--aggregators", "median"], ["figure1"]])
def test_ctrl_c_says_how_to_go_on(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gradskew.federation.rounds import Federation

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Federation, "round", interrupted)
    assert call(tmp_path, *command, *DIGITS) == 130
    assert capsys.readouterr().err.endswith("the same command resumes from there.\n")


@pytest.mark.parametrize("rules", ["median,rfa", "rfa,median"])
def test_a_run_that_fails_leaves_the_others_and_says_so(
    rules: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gradskew.aggregators import RFA

    def broken(self: RFA, *_: object) -> None:
        raise RuntimeError("a stone in the works")

    monkeypatch.setattr(RFA, "weigh", broken)
    table = ["table1", *DIGITS, "--attacks", "strike", "--aggregators", rules]
    assert call(tmp_path, *table) == 2
    said = capsys.readouterr()
    assert "a stone in the works; the other runs are stored" in without_places(said.err.splitlines()[-1])
    assert "STRIKE" in said.out
    assert len((tmp_path / "table1-digits-small-part.csv").read_text().splitlines()) == 2
