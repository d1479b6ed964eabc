"""`gradskew bench` with lists as values of its options."""

import csv
import re

import pytest
from command import TINY, records

from gradskew.federation.search_cost import SearchCost

pytestmark = pytest.mark.usefixtures("pictures_as_texts")

SWEEP = "--beta 0.5,iid --byzantine 1,2"


@pytest.fixture
def bench(call, tmp_path):
    line = TINY.replace("--byzantine 1 ", "").split()
    return lambda *arguments: call("bench", *line, "--out", tmp_path / "out", *arguments)


def test_lists_on_the_command_line_and_in_toml_are_the_same_runs(call, bench, tmp_path):
    said = bench(*SWEEP.split())
    assert said.code == 0, said.err
    assert "4 federations, by beta (0.5, iid); byzantine (1, 2)." in said.out
    assert len(records(tmp_path / "out")) == 8
    with (tmp_path / "out" / "results.csv").open() as file:
        rows = {(row["partition"], row["byzantine"], row["attack"]) for row in csv.DictReader(file)}
    dealt = ("dirichlet(beta=0.5,min_samples=2)", "iid")
    assert rows == {(d, b, a) for d in dealt for b in "12" for a in ("none", "lie")}
    config = tmp_path / "sweep.toml"
    config.write_text(
        'beta = [0.5, "iid"]\nbyzantine = [1, 2]\nclients = 6\nrounds = 2\nepochs = 1\nmodel = ["linear"]\n'
        'workers = 1\nattacks = ["none", "lie"]\nrules = ["mean"]\n'
    )
    again = call("bench", config, "--out", tmp_path / "out")
    assert again.code == 0, again.err
    assert "0 runs done" in again.out
    assert "8 stored already" in again.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--beta 0.5,x", "Invalid value for '--beta': 'x' is not a valid float."),
        ("--beta 0.5,0.50", "a value is given twice in beta: 0.5"),
        ("--beta ,", "empty entry in beta: ','"),
        ("--beta=", "beta is empty: give a value, or several with commas between them"),
        ("--rounds 1,2.5", "Invalid value for '--rounds': '2.5' is not a valid int"),
        ("--byzantine 1,some", "Invalid value for '--byzantine': 'some' is neither a count nor a share"),
        ("--byzantine 1,6", "byzantine=6: "),
        ("--workers 1,2", "Invalid value for '--workers'"),
    ],
)
def test_a_wrong_list_is_one_line(bench, tmp_path, arguments, said):
    assert said in bench(*arguments.split()).error()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["audit --rule median", "skew", "paper table1"])
def test_the_other_commands_take_one_federation(call, command):
    outcome = call(*command.split(), "--beta", "0.5,2")
    assert re.search(r"'--beta': '0.5,2' is not a valid float|No such option", outcome.error())


def test_a_single_iid(bench, tmp_path):
    assert bench("--byzantine", "1", "--beta", "IID").code == 0
    said = bench("--byzantine", "1", "--partition", "iid")
    assert "2 stored already" in said.out


def test_the_files_of_a_sweep(bench, call, tmp_path):
    out = tmp_path / "out"
    said = bench("--beta", "0.5,2,iid", "--byzantine", "1")
    names = {path.name for path in out.iterdir()}
    assert {"sweep.csv", "sweep-beta.pdf", "sweep-beta.png"} <= names
    assert "sweep-beta.pdf" in said.out
    assert "8 files heatmap-*" not in said.out  # six of the three federations
    assert "6 files heatmap-*" in said.out
    page = (out / "report.html").read_text()
    assert "3 federations, by beta (0.5, 2, iid)." in page
    assert page.index('id="sweep"') < page.index('class="federation"')
    with (out / "sweep.csv").open() as file:
        swept = {(row["beta"], row["attack"], row["rule"]): float(row["mean"]) for row in csv.DictReader(file)}
    with (out / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        beta = "iid" if row["partition"] == "iid" else f"{float(re.findall('beta=([^,)]+)', row['partition'])[0]):g}"
        assert swept[beta, row["attack"], row["aggregator"]] == pytest.approx(float(row["accuracy"]))
    assert len(swept) == len(rows) + 3  # and the worst found of each federation
    before = (out / "report.html").read_bytes(), (out / "sweep.csv").read_bytes()
    assert call("report", out).code == 0
    assert ((out / "report.html").read_bytes(), (out / "sweep.csv").read_bytes()) == before


def test_a_dry_run_says_runs_memory_and_time_and_writes_nothing(bench, tmp_path, monkeypatch):
    said = bench("--dry-run", *SWEEP.split())
    assert said.code == 0
    assert said.out == "Dry run: nothing was run, and nothing was written.\n"
    runs, data, memory, time = said.err.splitlines()
    assert re.fullmatch(
        r"  digits: 1,437 training and 360 test inputs, 10 classes of 9\.\d to 11\.\d %, pixels over 16", data
    )
    assert runs == f"digits: 8 runs of 2 rounds, 1 worker -> {tmp_path / 'out'}"
    assert re.fullmatch(r"About \d\.\d GB of memory( \(.*\)|; .* free)*\.", memory)
    assert re.fullmatch(r"By a measured round, about \d+ s\.", time)
    assert not (tmp_path / "out").exists()
    assert bench("--byzantine", "1", "--beta", "iid").code == 0
    damaged = next((tmp_path / "out" / "runs").glob("*/record.json"))
    damaged.write_text("{")
    monkeypatch.setattr("gradskew.runs.sweeps.sweep", None)  # it would be called
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    said = bench("--dry-run", *SWEEP.split(), "--rounds", "2,3")
    assert "digits: 16 runs of 2 to 3 rounds, 1 stored already, 1 worker" in said.err
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_a_dry_run_of_a_rule_that_fails_has_no_time(bench, tmp_path, monkeypatch):
    (tmp_path / "broken_rules.py").write_text("def rule(updates, f):\n    raise ValueError('no')\n")
    monkeypatch.syspath_prepend(tmp_path)
    said = bench("--byzantine", "1", "--aggregators", "broken_rules:rule", "--dry-run")
    assert said.code == 0
    assert re.search(r"No estimate of the time, as a round failed: .*no", said.err)


def test_a_dry_run_does_not_play_a_round_of_a_slow_search(bench, monkeypatch):
    def slowest(runs):
        return SearchCost(runs[-1], 300, 1.5)

    monkeypatch.setattr("gradskew.federation.search_cost.slowest", slowest)
    monkeypatch.setattr("gradskew.runs.sweeps.estimated_seconds", None)  # it would be called
    said = bench("--byzantine", "1", "--attacks", "adaptive(aim=stop)", "--dry-run")
    assert said.code == 0
    assert "about 300 times a round: about 450 s a round" in said.err
    assert "No estimate" not in said.err


def test_a_dry_run_of_what_cannot_be_run_is_an_error(bench):
    assert "byzantine=6: " in bench("--dry-run", "--byzantine", "1,6").error()


def test_a_dry_run_looks_where_the_runs_would_go(bench, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    said = bench("--dry-run", "--byzantine", "1", "--out", tmp_path / "file" / "a").error().strip()
    assert said.endswith(f"{str(tmp_path / 'file')!r} is no folder; --out names another folder")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    said = bench("--dry-run", "--byzantine", "1", "--out", tmp_path / "link").error().strip()
    assert said.endswith(f"{str(tmp_path / 'link')!r} is a broken link; --out names another folder")
    assert "unknown tracker 'nope'" in bench("--dry-run", "--byzantine", "1", "--log", "csv,nope").error()
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr("os.access", lambda path, mode: False)
    said = bench("--dry-run", "--byzantine", "1", "--out", tmp_path / "a").error().strip()
    assert said.endswith(f"{str(tmp_path)!r} is read-only; --out names another folder")


def test_files_of_a_sweep_are_told_apart_by_their_names(call, bench, tmp_path):
    """By the hash of their content too, where two files in different folders have one name."""
    names = ["a.csv", "b.csv", "other/b.csv"]
    (tmp_path / "other").mkdir()
    for i, name in enumerate(names):
        lines = (f"{row ** (i + 1)},{row % 2}\n" for row in range(40))
        (tmp_path / name).write_text("x,y\n" + "".join(lines))
    few = ("--clients", "4", "--byzantine", "1", "--attacks", "none,ipm")
    said = bench("--dataset", ",".join(f"csv:{tmp_path / name}(label=y)" for name in names[:2]), *few)
    assert "2 federations, by file (a.csv, b.csv)." in said.out
    assert [line for line in said.err.splitlines() if "read from" in line] == [f"  read from '{x}.csv'" for x in "ab"]
    mixed = bench("--dataset", f"csv:{tmp_path / 'a.csv'}(label=y),digits", *few, "--out", tmp_path / "mixed")
    assert "2 federations, by dataset (csv(label=y), digits), and with it file" in mixed.out
    page = tmp_path / "page.md"
    assert call("report", tmp_path / "mixed", "--leaderboard", page).code == 0  # a sweep.csv is there, too
    both = bench("--dataset", ",".join(f"csv:{tmp_path / name}(label=y)" for name in names[1:]), *few)
    assert re.search(r"2 federations, by file \(b\.csv [0-9a-f]{12}, b\.csv [0-9a-f]{12}\)\.", both.out)


def test_a_file_that_was_renamed_is_the_same_data(bench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("x,y\n" + "".join(f"{row},{row % 2}\n" for row in range(40)))
    (tmp_path / "b.csv").write_text((tmp_path / "a.csv").read_text())
    few = ("--clients", "4", "--byzantine", "1", "--attacks", "none,ipm")
    assert bench("--dataset", f"csv:{tmp_path / 'a.csv'}(label=y)", "--beta", "1", *few).code == 0
    assert bench("--dataset", f"csv:{tmp_path / 'b.csv'}(label=y)", "--beta", "2,3", *few).code == 0
    with (tmp_path / "out" / "sweep.csv").open() as file:
        assert {row["beta"] for row in csv.DictReader(file)} == {"2", "3", "1"}
    both = bench("--dataset", "csv:a.csv(label=y),csv:b.csv(label=y)", *few, "--beta", "1")
    assert both.code == 0
    assert "gradskew: dataset=csv:b.csv(label=y) is the same as another value: it is played once" in both.err


def test_folders_side_by_side(bench, call, tmp_path):
    out = tmp_path / "out"
    line = ("--byzantine", "1", "--beta", "0.5,iid", "--seeds", "2")
    assert bench(*line).code == 0
    out.rename(tmp_path / "plain")
    assert bench(*line, "--momentum", "0").code == 0
    out.rename(tmp_path / "still")
    said = call("report", tmp_path / "plain", tmp_path / "still", "--out", tmp_path / "both")
    assert said.code == 0, said.err
    assert "still (momentum 0) − plain (momentum 0.9)" in " ".join(said.out.split())
    assert 'id="compared"' in (tmp_path / "both" / "report.html").read_text()
    with (tmp_path / "both" / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["beta"], row["attack"]) for row in rows} == {
        (beta, attack) for beta in ("0.5", "iid") for attack in ("worst found", "none", "lie")
    }
    read = {}
    for folder in ("plain", "still"):
        with (tmp_path / folder / "results.csv").open() as file:
            for row in csv.DictReader(file):
                key = ("iid" if row["partition"] == "iid" else "0.5", row["attack"], folder)
                read.setdefault(key, []).append(float(row["accuracy"]))
    for row in rows:
        if row["attack"] != "worst found":
            first, other = (sum(read[row["beta"], row["attack"], name]) / 2 for name in ("plain", "still"))
            assert float(row["difference"]) == pytest.approx(other - first, abs=1e-3)
    alone = call("report", tmp_path / "plain", tmp_path / "plain", "--out", tmp_path / "one")
    assert alone.code == 0
    assert not (tmp_path / "one" / "comparison.csv").exists()
