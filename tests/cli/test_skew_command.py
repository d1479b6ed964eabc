"""`gradskew skew` and `gradskew report`: what they print and write, and one line for whatever is wrong."""

import csv
import json

import numpy as np
import pytest
from command import TINY

pytestmark = pytest.mark.usefixtures("pictures_as_texts")
ROWS = np.random.default_rng(0).exponential(size=(15, 30)).astype(np.float32)
PLAYED = TINY.replace("--attacks none,lie --aggregators mean", "")


@pytest.fixture
def matrix(tmp_path):
    np.save(tmp_path / "rows.npy", ROWS)
    return tmp_path / "rows.npy"


def test_a_matrix_by_itself(call, matrix, tmp_path):
    outcome = call("skew", matrix, "--out", tmp_path / "out")
    assert outcome.code == 0
    assert "15 rows of 30 float32" in outcome.out
    assert "f = 3, the default: a fifth of 15 rows" in outcome.out
    assert "The references are of 40 honest updates a round and f = 10: these have other numbers" in outcome.out
    assert "[" in outcome.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["skew.json", "skew.pdf", "skew.png"]
    content = json.loads((tmp_path / "out" / "skew.json").read_text())
    assert (content["rows"], content["f"], content["trials"]) == (15, 3, [])
    assert (
        content["skew"]["skewness"]["low"]
        <= content["skew"]["skewness"]["value"]
        <= content["skew"]["skewness"]["high"]
    )


def test_a_matrix_under_attack(call, matrix, tmp_path):
    before = matrix.read_bytes()
    asked = [
        "--attack",
        "strike,lie(z=1.0)",
        "--aggregator",
        "multikrum,nnm+rfa",
        "--f",
        "3",
        "--out",
        tmp_path / "out",
    ]
    outcome = call("skew", matrix, *asked)
    assert outcome.code == 0
    trials = json.loads((tmp_path / "out" / "skew.json").read_text())["trials"]
    pairs = {(trial["attack"], trial["aggregator"]) for trial in trials}
    assert pairs == {(a, r) for a in ("none", "strike", "lie(z=1.0)") for r in ("multikrum", "nnm+rfa")}
    assert "f = 3; S is 12 of 15 honest rows." in outcome.out
    assert "No rule can guarantee a kappa below f / (n - 2 f) = 0.25." in outcome.out  # 3 of 18
    assert "Mean cosine of two updates" in outcome.out
    assert matrix.read_bytes() == before


def test_a_matrix_that_cannot_be_drawn_leaves_no_other_ones_picture(call, matrix, tmp_path):
    assert call("skew", matrix, "--out", tmp_path / "out").code == 0
    np.save(matrix, ROWS[:1])
    outcome = call("skew", matrix, "--out", tmp_path / "out")
    assert outcome.code == 0
    assert "No picture" in outcome.out
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["skew.json"]


def test_a_federation(call, tmp_path):
    asked = [*PLAYED.split(), "--attack", "strike", "--aggregator", "median", "--out", tmp_path / "out"]
    outcome = call("skew", *asked)
    assert outcome.code == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names >= {"report.html", "results.csv", "skew.json", "skew.png", "skew.pdf", "runs"}
    assert "2 runs done" in outcome.out
    assert "means over the rounds of median under none" in outcome.out
    assert "In every round mean |g|² ≤ G² + B² |mean|²: B = " in outcome.out
    assert "Mean total variation of labels" in outcome.out
    assert "Length of the mean direction" in outcome.out
    assert "Classes that at most f = " in outcome.out
    assert json.loads((tmp_path / "out" / "skew.json").read_text())["skew"]["effective_classes"]["value"] >= 1
    assert "0 runs done" in call("skew", *asked).out


def test_the_report_is_that_of_the_bench(call, tmp_path):
    out = tmp_path / "out"
    assert call("bench", *TINY.split(), "--out", out).code == 0
    made = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    for name in made:
        (out / name).unlink()
    outcome = call("report", out)
    assert outcome.code == 0
    assert "2 runs of 1 federation" in outcome.out
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == made
    assert call("report", out, "--out", tmp_path / "else" / "where").code == 0
    assert (tmp_path / "else" / "where" / "report.html").read_bytes() == made["report.html"]


def test_the_report_of_two_federations_has_two_sections(call, tmp_path):
    out = tmp_path / "out"
    for rounds in ("1", "2"):
        assert call("bench", *TINY.split(), "--rounds", rounds, "--out", out).code == 0
    outcome = call("report", out)
    assert "4 runs of 2 federations" in outcome.out
    page = (out / "report.html").read_text()
    assert page.count('class="federation"') == 2
    assert len(list(csv.DictReader((out / "results.csv").read_text().splitlines()))) == 4
    labels = [line for line in (out / "table.tex").read_text().splitlines() if line.startswith(r"\label")]
    assert len(set(labels)) == len(labels) == 2


def test_a_damaged_record_is_left_out_of_the_report(call, tmp_path):
    out = tmp_path / "out"
    assert call("bench", *TINY.split(), "--out", out).code == 0
    first = next(iter(sorted(out.glob("runs/*/record.json"))))
    first.write_text(first.read_text()[:-20])
    outcome = call("report", out)
    assert outcome.code == 0
    assert "1 run of 1 federation" in outcome.out
    assert "set aside a damaged record" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["skew", "nothere.npy"], "No such file"),
        (["skew", "{rows}", "--attack", "labelflip"], "labelflip needs training"),
        (["skew", "{rows}", "--attack", "strick"], "did you mean 'strike'"),
        (["skew", "{rows}", "--aggregator", "nnm"], "stands before a rule"),
        (["skew", "{rows}", "--f", "99"], "at most 14"),
        (["skew", "{rows}", "--rounds", "3"], "--rounds applies to a simulated federation"),
        (["skew", "{rows}", "--no-lens"], "--lens applies to a simulated federation"),
        (["skew", "{rows}", "--seeds", "x"], "seeds is a count"),
        (["skew", "--f", "3"], "apply to a matrix"),
        (["skew", "--no-lens"], "remove --no-lens"),
        (["report", "nothere"], "no folder"),
        (["report", "{empty}"], "no runs in"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_one_line_for_what_is_wrong(arguments, said, call, matrix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    filled = [argument.format(rows=matrix, empty=tmp_path / "empty") for argument in arguments]
    assert said in call(*filled).error()


def test_a_command_in_a_message_is_quoted(call, tmp_path):
    (tmp_path / "my runs").mkdir()
    assert f"`gradskew bench --out '{tmp_path}/my runs'` makes some" in call("report", tmp_path / "my runs").error()
