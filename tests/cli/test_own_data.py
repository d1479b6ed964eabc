"""A user's own data in every command: from the command line, TOML and Python, to the verdict, the page and back."""

import json
import pickle
import re
import shlex

import numpy as np
import pytest

import gradskew as gs
from gradskew.data import base
from gradskew.federation.simulation import received, simulate
from gradskew.runs.store import Store

pytestmark = pytest.mark.usefixtures("pictures_as_texts")

TINY = ["--rounds", "2", "--pictures", "none", "--workers", "1"]
METHODS = ["--attacks", "none,strike", "--rules", "mean,median"]
OPTIONS = "(label=died,client=site)"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A hospital's table: five sites, two columns of numbers and one of texts."""
    path = tmp_path_factory.mktemp("my data, all") / "visits (2024).csv"
    generator = np.random.default_rng(0)
    lines = ["site,age,bmi,sex,died"]
    for i in range(200):
        age, bmi = generator.normal(60, 10), generator.normal(25, 4)
        lines.append(f"{'ABCDE'[i % 5]},{age:.1f},{bmi:.1f},{'FM'[i % 2]},{'yes' if age > 62 else 'no'}")
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("out")


@pytest.fixture
def benched(call, file, out):
    return call("bench", "--dataset", f"csv:{file}{OPTIONS}", *METHODS, *TINY, "--out", out)


def test_a_table_goes_to_the_verdict(benched, file, out):
    assert benched.code == 0
    head = benched.err.splitlines()
    assert head[0].startswith("csv(label=died,client=site): 4 runs of 2 rounds")
    notes = [line.strip() for line in head if line.startswith("  ")]
    assert notes[0] == f"read from {file.name!r}"
    assert notes[1] == "3 columns are inputs: 'age', 'bmi', 'sex'"
    assert notes[2] == "an input of 0 and 1 for each value of sex (2)"
    assert notes[3] == "died 'no', 'yes' are classes 0 to 1"
    assert notes[4] == "the test part is 20 % of each client's rows, evenly over the classes, draw 0"
    assert re.fullmatch(r"160 training rows, 40 test rows; classes no \d\d\.\d %, yes \d\d\.\d %", notes[5])
    assert notes[6] == "5 clients with 32 to 32 training rows"
    assert notes[7].startswith("inputs of 4, minus the mean and over the standard deviation of each entry")
    assert "csv(label=died,client=site), mlp(hidden=100); 5 clients, 1 Byzantine; writer;" in benched.out
    assert "Tested on 40 inputs." in benched.out
    page = (out / "report.html").read_text()
    said = f"The data: read from &#39;{file.name}&#39;; 3 columns are inputs: &#39;age&#39;, &#39;bmi&#39;, &#39;sex"
    assert said in page
    for record in Store(out).runs.glob("*/record.json"):
        assert json.loads(record.read_text())["data"] == notes
        assert str(file.parent) not in record.read_text()  # no path
    assert str(file.parent) not in page


def test_beta_deals_the_rows_anew_and_clients_that_take_no_part_are_told(call, file, tmp_path):
    out = tmp_path / "out"
    words = ("bench", "--dataset", f"csv:{file}{OPTIONS}", *METHODS, *TINY, "--out", out)
    mixed = call(*words, "--beta", "0.5,iid")
    assert mixed.code == 0, mixed.err
    specs = [json.loads(path.read_text())["spec"] for path in (out / "runs").glob("*/record.json")]
    assert {spec["partition"]["name"] for spec in specs} == {"dirichlet", "iid"}
    assert {spec["clients"] for spec in specs} == {5}
    some = call(*words, "--clients", "4")
    note = "4 of the 5 clients of csv(label=died,client=site) take part, the first by their ids; the training inputs of"
    assert note in some.err
    more = call(*words, "--clients", "9").error()
    assert "the data have 5 clients of their own, not 9: partition = dirichlet deals anew" in more


def test_the_same_runs_by_toml_python_and_data(benched, call, file, out, tmp_path):
    config = tmp_path / "own.toml"
    name = json.dumps(f"csv:{file}{OPTIONS}")
    config.write_text(f'dataset = {name}\nattacks = ["none", "strike"]\nrules = ["mean", "median"]\nrounds = 2\n')
    more = ["--pictures", "none", "--workers", "1", "--out", out]
    assert "0 runs done" in call("bench", config, *more).out
    again = call("bench", "--dataset", f"csv{OPTIONS}", "--data", file, *METHODS, *TINY, "--out", out)
    assert "0 runs done" in again.out
    table = gs.bench(
        dataset=gs.CSVFile(folder=file, label="died", client="site"),
        attacks="none,strike",
        rules="mean,median",
        rounds=2,
        pictures="none",
        out=out,
        progress=False,
    )
    assert len(table.records) == 4
    assert len(list(Store(out).runs.glob("*/record.json"))) == 4


def test_a_path_in_toml_is_relative_to_the_working_folder(benched, call, file, out, tmp_path, monkeypatch):
    """As one on the command line is, and those of `data` and `out`: not to the folder of the TOML file."""
    config = tmp_path / "own.toml"
    name = json.dumps(f"csv:{file.name}{OPTIONS}")
    config.write_text(f'dataset = {name}\nattacks = ["none", "strike"]\nrules = ["mean", "median"]\nrounds = 2\n')
    monkeypatch.chdir(file.parent)
    more = ["--pictures", "none", "--workers", "1", "--out", out]
    assert "0 runs done" in call("bench", config, *more).out
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(base, "_loaded", {})  # as in another process
    assert f"there is no {file.name!r}" in call("bench", config, *more).error()


def test_the_page_has_a_command_that_repeats_it(benched, call, file, out):
    from gradskew.cli.replay import command

    line = command([Store(out).load(path.parent.name) for path in Store(out).runs.glob("*/record.json")])
    words = shlex.split(line)
    assert words[:2] == ["gradskew", "bench"]
    assert words[words.index("--dataset") + 1 : words.index("--dataset") + 4] == [
        "csv(label=died,client=site)",
        "--data",
        "PATH",
    ]
    words[words.index("PATH")] = str(file)
    assert "0 runs done" in call(*words[1:], "--workers", "1", "--out", out).out


def test_rows_of_a_stored_run(benched, call, file, out, tmp_path):
    run = next(iter(Store(out).runs.glob("*/record.json"))).parent
    for where in (["--data", file], ["--dataset", f"csv:{file}{OPTIONS}"]):
        said = call("skew", "--record", run, "--round", "1", *where, "--out", tmp_path)
        assert said.code == 0
        assert "equal to the record's" in said.out
    assert "no file is given" in call("skew", "--record", run, "--round", "1", "--out", tmp_path).error()


def test_a_file_that_changes_before_a_worker_reads_it(file, tmp_path, monkeypatch):
    """The record would have the name of the old data."""
    path = tmp_path / "own.csv"
    path.write_text(file.read_text())
    run = gs.Run(source=f"csv:{path}{OPTIONS}", partition="writer", model="linear", clients=5, rounds=1)
    assert run.digest
    sent = pickle.dumps(run)
    path.write_text(file.read_text().replace("A,", "B,", 1))
    monkeypatch.setattr(base, "_loaded", {})  # as in another process
    for play in (simulate, lambda run: received(run, 0)):
        with pytest.raises(gs.InputError, match=r"^the data of csv\(.*\) have changed since the start: start again$"):
            play(pickle.loads(sent))
    path.write_text(file.read_text())
    monkeypatch.setattr(base, "_loaded", {})
    assert len(simulate(pickle.loads(sent)).rounds) == 1


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    path = tmp_path_factory.mktemp("arrays") / "own.npz"
    generator = np.random.default_rng(1)
    inputs = generator.normal(size=(1500, 4))
    np.savez(path, X=inputs, y=(inputs[:, 0] > 0).astype(int), site=np.arange(1500) % 6)
    return path


@pytest.mark.parametrize(
    "command",
    [
        ["skew"],
        ["audit", "--rule", "foreign:median", "--under", "strike", "--against", "mean"],
        ["paper", "table1", "--attacks", "strike", "--rules", "mean", "--seeds", "1"],
    ],
    ids=lambda words: words[0],
)
def test_the_other_commands_take_it_too(call, arrays, tmp_path, command):
    said = call(*command, "--dataset", f"npz:{arrays}", "--rounds", "2", "--workers", "1", "--out", tmp_path)
    assert said.code == 0, said.err
    assert "  the test part is 20 % of all rows, evenly over the classes, draw 0\n" in said.err
    assert "npz, mlp(hidden=100); 50 clients" in said.out + "".join(
        path.read_text() for path in tmp_path.glob("table1-*.md")
    )


def test_list_and_completion_know_them(call):
    listed = call("list").out
    for name in ("csv", "npz", "parquet", "images", "text", "mnist", "emnist", "svhn", "shakespeare", "sent140"):
        assert re.search(rf"^  {name} +\S", listed, re.MULTILINE)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            "(label=dead)",
            "csv: .*: there is no column 'dead', which label names; there are 'site', 'age', 'bmi', 'sex', 'died'",
        ),
        ("(label=died,clients=site)", "unknown option of csv 'clients'; did you mean 'client'"),
        ("(label=died", r"is .\). missing at its end"),
        ("", "label=COLUMN names the column of the classes"),
    ],
)
def test_what_is_wrong_is_one_line_and_status_2(call, file, tmp_path, options, says):
    said = call("bench", "--dataset", f"csv:{file}{options}", *TINY, "--out", tmp_path)
    assert said.code == 2
    assert re.search(says, said.error())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("h.csv", "'h.csv' is a file: write csv:h.csv(label=COLUMN)"),
        ("a/h.csv(label=died)", "'a/h.csv' is a file: write csv:a/h.csv(label=died)"),
        ("rows.npz", "'rows.npz' is a file: write npz:rows.npz"),
        ("h.csv.gz", "'h.csv.gz' is a file: write csv:h.csv.gz(label=COLUMN)"),
        ("h.txt", "'h.txt' is a file: write csv:h.txt(label=COLUMN), or text:h.txt for plain text"),
        ("h.csv.zip", "'h.csv.zip' is packed: unpack it, and put a prefix in front"),
        ("h.xlsx", "'h.xlsx' is a file of Excel: save the table as CSV, and write csv:FILE(label=COLUMN)"),
        ("cvs:h.csv(label=died)", "; did you mean csv:?"),
    ],
)
def test_a_name_without_its_prefix_or_with_another_is_told(call, name, said):
    assert said in call("bench", "--dataset", name, *METHODS).error()


def test_a_path_without_a_prefix_or_in_the_place_of_the_config_is_told(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.jsonl").write_text("{}")
    (tmp_path / "texts").mkdir()
    (tmp_path / "h.csv").write_text("a,y\n1,2\n")
    assert "'d.jsonl' is a file: put a prefix in front" in call("bench", "--dataset", "d.jsonl", *METHODS).error()
    assert "'texts' is a folder: put a prefix in front" in call("bench", "--dataset", "texts", *METHODS).error()
    assert "'h.csv' is a file: write csv:h.csv(label=COLUMN)" in call("paper", "table1", "--dataset", "h.csv").error()
    for config in ("h.csv", "csv:h.csv(label=y)"):
        assert call("bench", config, *METHODS).error().strip().endswith("(a data set is named by --dataset)")


def test_a_missing_file_with_a_parenthesis_in_its_name(call):
    said = call("bench", "--dataset", "csv:h (1).csv(label=y)", *METHODS).error().strip()
    assert said.endswith("there is no 'h (1).csv'")
