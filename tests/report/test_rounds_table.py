"""The rounds of records as one table: its columns and types, Parquet, CSV, pandas, and the command."""

import csv
import math
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet
import pytest
from made_records import made, one_round, record
from tiny_sweeps import BASE

import gradskew as gs
from gradskew.core.errors import InputError
from gradskew.report import rounds
from gradskew.report.rounds import RUN, rounds_table
from gradskew.runs.record import Record


def noted(rule, *notes, **changes):
    """A record whose rounds have these notes of the rule, and settings."""
    spec = {**record("lie", rule, 50).spec, "rounds": len(notes), **changes}
    return Record(spec, [{"round": i, **one_round(50.0, rule=each)} for i, each in enumerate(notes)], "sha")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs of two federations, of different learning rates."""
    where = tmp_path_factory.mktemp("runs")
    made(where, seeds=1)
    gs.sweep([BASE], where)
    return where


def test_a_row_a_round_with_the_numbers_of_the_records(folder):
    records = gs.Store(folder).newest()
    assert len(records) == 5
    rows = rounds_table(records).to_pylist()
    assert [(row["digest"], row["round"]) for row in rows] == [
        (each.digest, number) for each in records for number in range(len(each.rounds))
    ]
    played = [(each, metrics) for each in records for metrics in each.rounds]
    for row, (each, metrics) in zip(rows, played, strict=True):
        spec = each.spec
        assert (row["attack"], row["rule"], row["seed"]) == (spec["attack_name"], spec["aggregator_name"], spec["seed"])
        assert row["partition"] == "dirichlet(beta=0.5,min_samples=2)"
        assert (row["accuracy"], row["distance"]) == (metrics["accuracy"], metrics["distance"])
        assert (row["kappa"], row["progress"]) == (metrics["lens"]["kappa"], metrics["lens"]["progress"])
        assert (row["batch"], row["rounds"]) == (spec["sgd"]["batch"], spec["rounds"])
        assert row["model"] == ("linear" if spec["clients"] == 6 else "mlp(hidden=8)")
        assert row["skewness"] == pytest.approx(gs.Lens(each).series("skewness")[metrics["round"]])


def test_only_settings_that_differ_are_columns():
    first, second = noted("median", {}), noted("median", {}, sgd={"name": "sgd", "lr": 0.5})
    assert rounds_table([first]).column_names[: len(RUN) + 1] == [*RUN, "round"]
    both = rounds_table([first, second])
    assert both.column_names[len(RUN) : len(RUN) + 3] == ["epochs", "batch", "lr"]
    assert both["lr"].to_pylist() == [0.2, 0.5]
    assert both["epochs"].to_pylist() == [2, None]


def test_notes_have_one_type_a_column(monkeypatch):
    monkeypatch.setattr(rounds, "PART", 1)  # each record is a part
    table = rounds_table(
        [
            noted("a", {"kept": 1, "word": "x", "big": 1}, {"kept": 2, "big": 2**70}),
            noted("b", {"kept": 0.5, "word": True, "alone": False}, {"list": [1], "word": 2}),
            noted("c", {}),
        ]
    )
    assert table.schema.field("rule_kept").type == pa.float64()
    assert table["rule_kept"].to_pylist() == [1, 2, 0.5, None, None]
    assert table["rule_word"].to_pylist() == ["x", None, "true", "2", None]
    assert table["rule_big"].to_pylist() == ["1", str(2**70), None, None, None]
    assert table["rule_alone"].to_pylist() == [None, None, False, None, None]
    assert table.schema.field("accuracy").type == pa.float64()
    assert "rule_list" not in table.column_names


def test_a_note_does_not_hide_a_column_of_the_run():
    table = rounds_table([noted("median", {"": "no rule"})])
    assert table["rule"].to_pylist() == ["median"]


def test_parquet_is_the_table_and_csv_has_no_formula(folder, tmp_path):
    table = rounds_table([noted("=1+2", {"x": 0.1, "w": "-a"}, {}), *gs.Store(folder).newest()])
    (tmp_path / "x").write_bytes(rounds.parquet(table))
    assert pyarrow.parquet.read_table(tmp_path / "x").equals(table)
    rows = list(csv.DictReader(rounds.csv(table).decode().splitlines()))
    assert len(rows) == table.num_rows
    assert [row["rule"] for row in rows[:2]] == ["'=1+2"] * 2
    assert [(row["rule_x"], row["rule_w"]) for row in rows[:2]] == [("0.1", "'-a"), ("", "")]
    assert [float(row["accuracy"]) for row in rows] == table["accuracy"].to_pylist()
    assert {row["kappa_bound"] for row in rows if row["rule"] == "mean"} == {"inf"}


def test_no_records_is_one_line():
    with pytest.raises(InputError, match="a table of rounds needs at least one record"):
        rounds_table([])


def test_pandas_has_the_same_rows(folder):
    pandas = pytest.importorskip("pandas")
    records = gs.Store(folder).newest()
    frame = gs.rounds_to_pandas(records)
    table = rounds_table(records)
    assert list(frame.columns) == table.column_names
    assert frame["accuracy"].tolist() == table["accuracy"].to_pylist()
    assert frame["attack"].tolist() == table["attack"].to_pylist()
    one = gs.Table(each for each in records if each.spec["clients"] == 12)
    assert len(one.to_pandas(rows="rounds")) == sum(len(each.rounds) for each in one.records)
    assert len(one.to_pandas()) == len(one.records)
    assert math.isinf(frame["kappa_bound"].max()) or pandas.isna(frame["kappa_bound"]).any()
    with pytest.raises(InputError, match="rows must be one of runs, rounds, not 'round'"):
        one.to_pandas(rows="round")


def test_the_command_writes_the_file(folder, call, tmp_path):
    outcome = call("export", folder, "--out", tmp_path / "new" / "a.parquet")
    assert outcome.code == 0
    expected = rounds_table(gs.Store(folder).newest())
    assert f"{expected.num_rows} rounds of 5 runs, {expected.num_columns} columns" in outcome.out
    read = pyarrow.parquet.read_table(tmp_path / "new" / "a.parquet")
    key = [("digest", "ascending"), ("round", "ascending")]
    assert read.sort_by(key).to_pylist() == expected.sort_by(key).to_pylist()
    assert call("export", folder, "--to", "csv", "--out", tmp_path).code == 0
    assert len((tmp_path / "rounds.csv").read_text().splitlines()) == expected.num_rows + 1


def test_the_leaderboard_passes_an_export_over(folder, call, tmp_path):
    assert call("report", folder).code == 0
    assert call("export", folder, "--to", "csv").code == 0
    assert (folder / "rounds.csv").exists()
    assert call("report", folder, "--leaderboard", tmp_path / "page.md").code == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["missing"], "no folder 'missing': name the --out of the runs"),
        (["."], "no runs in '.': `gradskew bench --out .` makes some"),
        ([".", "--to", "xls"], "'xls' is not one of 'parquet', 'csv'"),
    ],
)
def test_what_cannot_be_exported_is_one_line(words, says, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = call("export", *words)
    assert outcome.code == 2
    assert says in outcome.error()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_one_line(folder, call):
    outcome = call("export", folder, "--out", "/dev/null/x.parquet")
    assert outcome.code == 2
    assert "/dev/null" in outcome.error()


def test_runs_of_another_version_of_the_lens_are_in_the_table(tmp_path):
    gs.sweep([BASE, replace(BASE, lens=False)], tmp_path)
    table = rounds_table(gs.Store(tmp_path).newest())
    assert sorted(table["kappa"].is_null().to_pylist()) == [False, False, True, True]
