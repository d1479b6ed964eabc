"""The committed results: every record is sound, and every table says what the records say."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from statistics import fmean

import pytest

from gradskew.report.leaderboard import leaderboard
from gradskew.report.played import read_runs
from gradskew.runs.record import Record
from gradskew.runs.store import Store

RESULTS = Path(__file__).parent.parent / "results"
TABLES = sorted(RESULTS.glob("*.csv"))
PLAYED = [*sorted(RESULTS.glob("robustness/*.csv")), *sorted(RESULTS.glob("trial/*.csv"))]


@cache
def records() -> dict[str, Record]:
    return {record.digest: record for record in Store(RESULTS).all()}


def test_no_record_is_damaged() -> None:
    assert len(records()) == len(list((RESULTS / "runs").iterdir())) > 0


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_a_table_says_what_its_records_say(path: Path) -> None:
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert rows
    for row in rows:
        record = records()[row["digest"]]
        assert float(row["accuracy"]) == pytest.approx(record.accuracy, abs=1e-4)
        assert (row["attack"], row["aggregator"]) == (record.spec["attack_name"], record.spec["aggregator_name"])
        assert row["params_sha256"] == record.params_sha256


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_a_page_prints_the_means_of_its_table(path: Path) -> None:
    page = path.with_suffix(".md").read_text()
    cells: dict[tuple[str, str, str], list[float]] = {}
    with path.open() as file:
        for row in csv.DictReader(file):
            accuracy = records()[row["digest"]].accuracy
            cells.setdefault((row["partition"], row["attack"], row["aggregator"]), []).append(accuracy)
    for accuracies in cells.values():
        assert f"{fmean(accuracies):.1f}" in page


@pytest.mark.skipif(not PLAYED, reason="no table in results/robustness")
def test_the_leaderboard_is_made_of_its_tables() -> None:
    assert (RESULTS.parent / "docs" / "robustness.md").read_text() == leaderboard(read_runs(PLAYED)[0])


def test_the_numbers_of_runs_are_those_of_the_tables() -> None:
    page = (RESULTS / "README.md").read_text()
    for folder in ("robustness", "trial", "field"):
        runs = sum(len(path.read_text().splitlines()) - 1 for path in RESULTS.glob(f"{folder}/*.csv"))
        assert f"{runs:,} runs" in page, folder
