"""`gradskew skew --record`: the rows of a round of a stored run, as a file that `gradskew skew` replays."""

import json
import shlex
import subprocess

import numpy as np
import pytest
from command import COMMAND

from gradskew import aggregators
from gradskew.cli import replay
from gradskew.runs.record import Record
from gradskew.runs.store import Store

pytestmark = pytest.mark.usefixtures("pictures_as_texts")
PLAYED = "--clients 10 --byzantine 2 --rounds 3 --epochs 1 --model linear --workers 1 --attacks strike"
RULES = "mean,median,multikrum,cclip(tau=0.5),bucketing+median,fltrust"


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    words = [*PLAYED.split(), "--aggregators", RULES, "--root-examples", "40", "--out", str(folder)]
    subprocess.run([*COMMAND, "bench", *words], check=True, capture_output=True)
    return folder


def folder_of(out, rule):
    return next(out / "runs" / record.digest for record in Store(out).all() if record.spec["aggregator_name"] == rule)


def record_of(out, rule):
    return Store(out).find(folder_of(out, rule).name)


@pytest.mark.parametrize("rule", ["mean", "median", "multikrum"])
@pytest.mark.parametrize("number", [1, 3])
def test_the_file_replays_the_round(call, out, tmp_path, monkeypatch, rule, number):
    """By hand: kappa is |F - mu|^2 over the mean of |g_i - mu|^2, of the saved rows and NumPy alone."""
    monkeypatch.chdir(tmp_path)
    folder = folder_of(out, rule)
    outcome = call("skew", "--record", folder.parent / folder.name[:12], "--round", number, "--out", "made")
    assert outcome.code == 0, outcome.err
    file = f"made/rows-{folder.name[:12]}-{number}.npy"
    rows = np.load(file)
    metrics = record_of(out, rule).rounds[number - 1]
    assert rows.dtype == np.float32
    assert len(rows) == metrics["rows"]
    honest = rows[2:].astype(np.float64)
    mean = honest.mean(0)
    result = aggregators.make(rule)(rows, metrics["f"]).astype(np.float64)
    kappa = ((result - mean) ** 2).sum() / ((honest - mean) ** 2).sum(1).mean()
    assert kappa == pytest.approx(metrics["lens"]["kappa"], rel=1e-4)
    lines = outcome.out.splitlines()
    assert lines[0] == (
        f"strike against {rule}, seed 0, round {number}: 10 rows of {rows.shape[1]:,} float32, "
        f"Byzantine the first 2: {file}."
    )
    assert lines[1].startswith("All measures of the rounds up to it are equal to the record's")
    assert ("parameters at the end" in lines[1]) == (number == 3)
    assert lines[2] == f"gradskew skew {file} --f 2 --replace --rules {rule}"
    assert len(lines) == 5  # no reason why the two may differ
    assert lines[4].startswith("Classes that at most f = 2 clients hold: ")
    again = call(*shlex.split(lines[2])[1:], "--out", "again")
    assert again.code == 0, again.err
    (trial,) = json.loads((tmp_path / "again" / "skew.json").read_text())["trials"]
    assert trial["kappa"] == pytest.approx(metrics["lens"]["kappa"], rel=1e-4)
    share = metrics["byzantine_share"]
    assert trial["byzantine_share"] == (None if share is None else pytest.approx(share, abs=1e-6))
    weight = "no weights of rows" if share is None else f"Byzantine weight {100 * share:.4g} %"
    assert lines[3].startswith(f"In the record: kappa {metrics['lens']['kappa']:.6g}, {weight}. On the file: kappa ")


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("cclip(tau=0.5)", "cclip(tau=0.5) depends on earlier rounds."),
        ("fltrust", "fltrust needs more than the rows, which no file holds: reference."),
        ("bucketing+median", "bucketing+median draws, and not the same again."),
    ],
)
def test_what_the_rows_do_not_hold_is_named(call, out, tmp_path, rule, reason):
    outcome = call("skew", "--record", folder_of(out, rule), "--round", 2, "--out", tmp_path)
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[-2].endswith(reason)
    assert ("--replace" in outcome.out) == (rule != "fltrust")
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--round", "4"], "round must be at least 1 and at most 3, not 4"),
        (["--round", "0"], "round must be at least 1"),
        ([], "--record and --round go together"),
        (["--round", "1", "--rounds", "3"], "only --round, --dataset, --data, --download and --out apply"),
        (["--round", "1", "--data", "."], "the digits are embedded"),
    ],
    ids=str,
)
def test_one_line_for_a_wrong_option(call, out, options, said):
    assert said in call("skew", "--record", folder_of(out, "median"), *options).error()


def test_one_line_for_a_wrong_folder(call, out, tmp_path):
    def error(path):
        return call("skew", "--record", path, "--round", 1).error()

    assert "no record of a run '0x'" in error(out / "runs" / "0x")
    assert "no record of a run" in error(tmp_path / "runs" / ("0" * 64))
    assert "--record takes FOLDER/runs/DIGEST" in error(out)
    (tmp_path / "runs").mkdir()
    for end in "ab":
        (tmp_path / "runs" / ("c" * 63 + end)).mkdir()
    assert "2 runs in" in error(tmp_path / "runs" / "ccc")
    assert "no record of a run" in error(tmp_path / "runs" / ("c" * 63 + "a"))


def changed(out, rule="median", **changes):
    record = record_of(out, rule)
    return Record({**record.spec, **changes}, record.rounds, record.params_sha256, record.class_counts)


def stored(record, folder):
    path = folder / "runs" / record.digest
    path.mkdir(parents=True)
    (path / "record.json").write_text(record.to_json())
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"torch": "2.0.1"}, "the run would differ from its record in torch ('2.0.1' in the record, "),
        ({"data_sha256": "0" * 64}, "differ from its record in the data"),
        ({"semantics": 1}, "differ from its record in the version of the definitions"),
        ({"later": 1}, "in later (1 in the record, None here)"),
        ({"dataset": "my own"}, "the run cannot be made again from its record: "),
        ({"aggregator_name": "no_such:rule"}, "cannot import the rule 'no_such:rule'"),
        ({"attack_name": "strike(mu=1)"}, "option of strike"),
        ({"model": {"name": "user"}}, "its network was given as a Python object"),
        ({"server": {"name": "adam"}}, "its local variant or server optimiser was given as a Python object"),
    ],
    ids=str,
)
def test_a_run_that_is_another_one_here_is_refused(call, out, tmp_path, changes, said):
    path = stored(changed(out, **changes), tmp_path)
    assert said in call("skew", "--record", path, "--round", 1, "--out", tmp_path / "made").error()
    assert not (tmp_path / "made").exists()


def test_a_record_that_does_not_say_what_is_played_is_warned_of(call, out, tmp_path):
    """As one of another kind of processor: its second round, then its parameters, are not those of the run."""
    record = record_of(out, "median")
    rounds = json.loads(record.to_json())["rounds"]
    wrong = Record(record.spec, rounds, "0" * 64, record.class_counts)
    path = stored(wrong, tmp_path)
    arguments = ("skew", "--record", path, "--out", tmp_path)
    assert "equal to the record's." in call(*arguments, "--round", 2).out
    assert "in the parameters at the end the run differs" in call(*arguments, "--round", 3).err
    rounds[1]["distance"] *= 2
    (path / "record.json").write_text(wrong.to_json())
    outcome = call(*arguments, "--round", 3)
    assert outcome.code == 0
    assert "from round 2 on the run differs from its record" in outcome.err
    assert "equal to" not in outcome.out


def test_a_rule_of_the_users_own_is_imported_by_its_path(call, tmp_path, monkeypatch):
    (tmp_path / "own_rules.py").write_text("def middle(rows, f):\n    return rows.median(0).values\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    asked = PLAYED.split()
    assert call("bench", *asked, "--aggregators", "own_rules:middle", "--out", "runs of mine").code == 0
    (path,) = tmp_path.glob("runs of mine/runs/*/record.json")
    outcome = call("skew", "--record", path.parent, "--round", 2)
    assert outcome.code == 0, outcome.err
    assert "--rules own_rules:middle" in outcome.out
    assert len(np.load(next((tmp_path / "gradskew-results").glob("*.npy")))) == 10


def test_the_run_of_a_record_is_the_run(out):
    for record in Store(out).all():
        assert replay.same_run(record).digest == record.digest
