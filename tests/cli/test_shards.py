"""Grids that are dealt to several jobs, and reports on several folders."""

import json
import re
import shutil

import pytest
from command import TINY, records

from gradskew import Record
from gradskew.runs import execution

pytestmark = pytest.mark.usefixtures("pictures_as_texts")


@pytest.fixture
def bench(call, tmp_path):
    """A grid of four runs of two rounds."""

    def run(*more, out="out"):
        return call("bench", *TINY.split(), "--aggregators", "mean,median", "--out", tmp_path / out, *more)

    return run


def test_shards_are_the_grid_and_each_shows_what_is_stored_so_far(bench, tmp_path):
    whole = bench(out="whole")
    first = bench("--shard", "1/3")
    assert first.code == 0
    assert "digits, shard 1/3 of 4 runs: 2 runs of 2 rounds, 1 worker" in first.err
    assert "2 runs done" in first.out
    assert len((tmp_path / "out" / "results.csv").read_text().splitlines()) == 1 + 2
    before = records(tmp_path / "out")
    second = bench("--shard", "2/3")
    assert "1 run done" in second.out
    assert "2 stored already" in second.out
    third = bench("--shard", "3/3")
    assert third.code == 0
    assert before.items() < records(tmp_path / "out").items()
    assert records(tmp_path / "out") == records(tmp_path / "whole")
    assert (tmp_path / "out" / "results.csv").read_bytes() == (tmp_path / "whole" / "results.csv").read_bytes()
    assert third.out.count("lie") == whole.out.count("lie")


def test_more_jobs_than_runs(bench, tmp_path):
    empty = bench("--shard", "5/9")
    assert empty.code == 0
    assert re.fullmatch(r"0 runs done in \d+\.\d s, 0 stored already\.\n", empty.out)
    assert empty.err.splitlines()[0].startswith("digits, shard 5/9 of 4 runs: 0 runs, ")
    assert records(tmp_path / "out") == {}


def test_a_shard_is_a_setting_of_the_file_too(call, tmp_path):
    (tmp_path / "bench.toml").write_text('shard = "2/2"\n')
    outcome = call("bench", tmp_path / "bench.toml", *TINY.split(), "--out", tmp_path / "out")
    assert "shard 2/2 of 2 runs: 1 run of 2 rounds" in outcome.err
    assert len(records(tmp_path / "out")) == 1


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/", "/2", "1/0", "-1/2", "a/b", "1/2/3", "1.0/2", "²/3", ""])
def test_what_is_no_shard_is_one_line(text, bench, tmp_path, monkeypatch):
    monkeypatch.setattr(execution, "simulate", None)
    assert "is not I/N" in bench("--shard", text).error()
    assert not (tmp_path / "out").exists()


def test_an_experiment_of_the_paper_has_shards(call, tmp_path):
    given = [
        "--rounds",
        "1",
        "--attacks",
        "lie",
        "--aggregators",
        "median,cclip",
        "--dataset",
        "digits",
        "--seeds",
        "1",
    ]
    outcome = call("paper", "table1", *given, "--workers", "1", "--shard", "2/2", "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert ", shard 2/2 of " in outcome.err


def test_a_report_on_several_folders(bench, call, tmp_path):
    for out, shard in (("a", "1/2"), ("b", "2/2"), ("c", "1/2")):
        bench("--shard", shard, out=out)
    outcome = call("report", tmp_path / "a", tmp_path / "b", tmp_path / "c")
    assert outcome.code == 0
    assert outcome.err == ""
    assert outcome.out.startswith("4 runs of 1 federation. report.html, results.csv")
    assert f": in {tmp_path / 'a'}.\nThe harder question: " in outcome.out
    bench(out="whole")
    assert lines(tmp_path / "a" / "results.csv") == lines(tmp_path / "whole" / "results.csv")


def lines(csv):
    """The header of a CSV file, and its rows whatever their order."""
    header, *rows = csv.read_text().splitlines()
    return header, set(rows)


def test_of_two_different_records_of_one_run_the_first_counts_and_a_line_says_so(bench, call, tmp_path):
    bench()
    shutil.copytree(tmp_path / "out", tmp_path / "other")
    digest = min(records(tmp_path / "out"))
    path = tmp_path / "other" / "runs" / digest / "record.json"
    record = Record.from_json(path.read_text())
    changed = json.loads(record.to_json())
    path.write_text(Record(changed["spec"], record.rounds, "0" * 64, record.class_counts).to_json())
    outcome = call("report", tmp_path / "out", tmp_path / "other", "--out", tmp_path / "both")
    assert outcome.code == 0
    (line,) = outcome.err.splitlines()
    assert line.startswith(
        f"gradskew: {digest[:12]} in {tmp_path / 'other'} differs from the same run in an earlier folder"
    )
    assert record.params_sha256 in (tmp_path / "both" / "results.csv").read_text()
    assert "0" * 64 not in (tmp_path / "both" / "results.csv").read_text()


def test_a_folder_that_is_missing_or_empty_is_one_line(bench, call, tmp_path):
    bench()
    assert "no folder" in call("report", tmp_path / "out", tmp_path / "nowhere").error()
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
    assert "no runs in" in call("report", tmp_path / "x", tmp_path / "y").error()
