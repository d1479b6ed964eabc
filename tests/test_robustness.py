"""The federations of the leaderboard: what a table has is not played again, and what is played is added to it."""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gradskew as gs
from gradskew import InputError, attacks

ROOT = Path(__file__).parent.parent
SMALL = {"clients": 6, "byzantine": 1, "rounds": 1, "epochs": 1, "model": "linear"}
DIGITS = ROOT / "results" / "robustness" / "digits.csv"


@pytest.fixture
def robustness(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """The script as a module, with a small part."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import parts
    import robustness

    chosen = [attacks.make(name) for name in ("none", "lie")]
    part = parts.Part(rules=["mean", "median"], attacks=chosen, seeds="3,4", federations=[SMALL])
    monkeypatch.setitem(parts.PARTS, "small", part)
    yield robustness
    for name in ("robustness", "parts"):
        sys.modules.pop(name)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, int]]:
    """The runs that were swept: rule, attack and seed."""
    runs: list[tuple[str, str, int]] = []
    sweep = gs.sweep

    def seen(left, out, **options):
        runs.extend((run.aggregator.name, run.attack.name, run.seed) for run in left)
        return sweep(left, out, **options)

    monkeypatch.setattr(gs, "sweep", seen)
    return runs


def play(robustness, tmp_path: Path, *options: str) -> list[str]:
    folders = ["--out", str(tmp_path / "out"), "--tables", str(tmp_path / "tables")]
    assert robustness.main(["--part", "small", "--workers", "1", *folders, *options]) == 0
    return (tmp_path / "tables" / "small.csv").read_text().splitlines()


def test_a_part_goes_on_from_its_table_without_the_records(robustness, played, tmp_path: Path) -> None:
    """One rule with one seed, then, with the records lost, the rest: the lines are those of all at once."""
    first = play(robustness, tmp_path, "--rules", "mean", "--seeds", "4,")
    assert played == [("mean", "none", 4), ("mean", "lie", 4)]
    shutil.rmtree(tmp_path / "out")
    played.clear()
    second = play(robustness, tmp_path)
    assert len(played) == 6
    assert not {("mean", "none", 4), ("mean", "lie", 4)} & {*played}
    assert len(second) == 9
    assert {*first} < {*second}
    assert second[1:] == sorted(second[1:])
    played.clear()
    assert play(robustness, tmp_path) == second
    assert played == []
    assert play(robustness, tmp_path / "other") == second


def test_a_trial_with_other_rounds_leaves_the_committed_table_alone(robustness, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["--part", "small", "--workers", "1", "--out", "out", "--rules", "mean", "--seeds", "4,"]
    assert robustness.main([*command, "--rounds", "2"]) == 0
    assert not Path("results").exists()
    assert [line["rounds"] for line in robustness.read_lines(Path("out/small.csv")).values()] == ["2", "2"]
    assert robustness.main(command) == 0
    lines = robustness.read_lines(Path("results/robustness/small.csv")).values()
    assert [line["rounds"] for line in lines] == ["1", "1"]


def test_what_was_played_before_a_failure_is_kept(robustness, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(gs.aggregators.Median, "outcome", lambda self, rows, f, generator: 1 / 0)
    folders = ["--out", str(tmp_path / "out"), "--tables", str(tmp_path / "tables")]
    assert robustness.main(["--part", "small", "--workers", "1", *folders]) == 1
    lines = list(csv.DictReader((tmp_path / "tables" / "small.csv").open()))
    assert {line["aggregator"] for line in lines} == {"mean"}
    assert len(lines) == 4
    assert "ZeroDivisionError" in capsys.readouterr().out


def test_another_result_of_a_run_is_reported_and_does_not_replace_the_first(robustness, tmp_path: Path) -> None:
    lines = play(robustness, tmp_path, "--rules", "mean", "--seeds", "3,")
    table = tmp_path / "tables" / "small.csv"
    records = list(gs.Store(tmp_path / "out" / "small").all())
    assert robustness.add_lines(table, records) == []
    changed = table.read_text().replace(f"{records[0].accuracy:.4f}", "99.0000")
    table.write_text(changed)
    (said,) = robustness.add_lines(table, records[:1])
    assert records[0].digest in said
    assert table.read_text() == changed
    assert len(lines) == 3


@pytest.mark.skipif(not DIGITS.exists(), reason="no table in results/robustness")
def test_a_table_that_gets_no_line_keeps_its_bytes(robustness, tmp_path: Path) -> None:
    copied = tmp_path / "digits.csv"
    shutil.copy(DIGITS, copied)
    assert robustness.add_lines(copied, []) == []
    assert copied.read_bytes() == DIGITS.read_bytes()


def test_what_is_no_table_is_one_line(robustness, tmp_path: Path) -> None:
    (path := tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"notes.csv' is no results.csv of a bench"):
        robustness.read_lines(path)
