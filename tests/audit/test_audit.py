"""`gradskew audit`: the numbers by hand, what the command prints and writes, and what it does with bad rules."""

import json
import pickle
import re
import shlex

import numpy as np
import pytest
import torch
from made_records import made, record
from places import without_places
from rich.console import Console

from gradskew.aggregators import make as make_rule
from gradskew.attacks import make as make_attack
from gradskew.audit import BAD, GOOD, ODD, Finding, Inspection, screen
from gradskew.audit.standing import Audit
from gradskew.cli import main
from gradskew.cli.publishing import report_html
from gradskew.core.errors import MethodError
from gradskew.report.lens import Lens
from gradskew.report.table import Table, federations
from gradskew.runs import execution
from gradskew.runs.store import Store

HOSTILE = "<img src=x onerror=alert(1)>"
FINDINGS = [
    Finding("answer", GOOD, "Well."),
    Finding("huge rows", BAD, f"Bad {HOSTILE}"),
    Finding("cost", GOOD, "2", 2.0),
]
INSPECTED = {
    "own:rule": Inspection("rule", "own:rule", FINDINGS),
    "own:attack": Inspection("attack", "own:attack", FINDINGS),
    "own:broken": Inspection("rule", "own:broken", [Finding("answer", BAD, "It raises.")]),
}


def seen(kappa: float, shut_out: int) -> dict[str, object]:
    """What the lens noted in the one round."""
    return {"round": 0, "lens": {"kappa": kappa, "shut_out": list(range(shut_out))}}


TABLE = Table(
    [
        record("none", "own:rule", 90.0),
        record("none", "mean", 92.0),
        record("none", "median", 80.0),
        record("lie", "own:rule", 70.0, byzantine_share=0.3, **seen(2.0, 4)),
        record("lie", "mean", 32.0, **seen(9.0, 0)),
        record("lie", "median", 76.0),
        record("own:attack", "own:rule", 62.0, byzantine_share=0.5, **seen(1.0, 2)),
        record("own:attack", "mean", 82.0),
        record("own:attack", "median", 78.0),
    ]
)
AUDIT = Audit(TABLE, INSPECTED, {"own:rule": 2.0, "mean": 1.0, "median": 6.5})


def test_the_rules_by_hand() -> None:
    median, own, mean = AUDIT.to_json()["rules"]
    assert own == {
        "rule": "own:rule",
        "audited": True,
        "remark": "",
        "usual": 90,
        "attack": "own:attack",
        "left": 62,
        "federations": 2,
        "found_by": {"0": "own:attack"},
        "damage": 28,
        "average_damage": 24,
        "kappa": 2.0,
        "kappa_attack": "lie",
        "share": 0.5,
        "shut_out": 2.0,
        "cost": 2.0,
    }
    assert [line["rule"] for line in (median, mean)] == ["median", "mean"]
    assert not median["audited"] | mean["audited"]
    assert [median[key] for key in ("kappa", "kappa_attack", "share", "damage")] == [None, "", None, 4]
    assert AUDIT.table.least_kappa == pytest.approx(2 / 6)


def test_the_attacks_by_hand_are_judged_by_our_rules() -> None:
    lie, own = AUDIT.attack_standings
    assert (lie.attack, lie.average_damage, lie.damage, lie.rule) == ("lie", 32, 60, "mean")
    assert (own.attack, own.average_damage, own.damage, own.rule) == ("own:attack", 6, 10, "mean")
    assert own.audited
    assert not lie.audited


def test_the_verdict() -> None:
    assert AUDIT.verdict == [
        "own:rule keeps 62.0 %, worst found in 2 federations (own:attack), 28.0 points below its own 90.0 % without an "
        "attack; over all attacks it loses 24.0 points on average. One seed gives no rank; the highest built-in rule "
        "here is median with 76.0 %. The plain mean keeps 32.0 %.",
        "own:attack costs the built-in rules 6.0 points on average, mean most (10.0). One seed gives no rank; the "
        "most harmful built-in attack here is lie with 32.0 points.",
    ]


def over_seeds(table: Table, steps: tuple[float, ...] = (0.0, 1.0, 2.1)) -> Table:
    """The table with its seed 0 repeated, each time this much higher."""
    cells = [(*key, cell.mean + step, seed) for key, cell in table.cells.items() for seed, step in enumerate(steps)]
    return Table(record(attack, rule, value, seed=seed) for attack, rule, value, seed in cells)


def test_several_seeds_give_ranks_and_who_is_level() -> None:
    """All differences are those of seed 0 in each seed, so that every two are told apart."""
    (rule, attack) = Audit(over_seeds(TABLE), INSPECTED).verdict
    assert "By the worst found it ranks 2 of 2; the best built-in rule is median with 77.0 %." in rule
    assert attack.endswith("It ranks 2 of 2 attacks; the most harmful built-in attack is lie with 32.0 points.")


def test_attacks_that_are_level_are_named() -> None:
    """own:attack costs the median 3, 5 and 1 points, lie 4, 3 and 3: 3 and 3.33 on average."""
    values = {"none": (80.0, 80.0, 80.0), "own:attack": (77.0, 75.0, 79.0), "lie": (76.0, 77.0, 77.0)}
    table = Table(record(a, "median", v, seed=s) for a, of in values.items() for s, v in enumerate(of))
    (said,) = Audit(table, {"own:attack": INSPECTED["own:attack"]}).verdict
    assert "It ranks 2 of 2 attacks (level with lie); the most harmful built-in attack is lie with 3.3 points." in said


def test_attacks_are_compared_on_the_same_rules() -> None:
    """Under lie the median still rises: only for the mean both costs are known, 60 and 10."""
    rising = record("lie", "median", [20.0, 30.0, 40.0, 50.0, 60.0, 70.0])
    flat = {("none", "mean"): 92.0, ("none", "median"): 80.0, ("lie", "mean"): 32.0}
    flat |= {("own:attack", "mean"): 82.0, ("own:attack", "median"): 10.0}
    audit = Audit(Table([*(record(*key, [value] * 6) for key, value in flat.items()), rising]), INSPECTED)
    assert [(each.attack, each.average_damage) for each in audit.attack_standings] == [("lie", 60), ("own:attack", 10)]
    alone = Audit(Table([r for r in audit.table.records if r.spec["aggregator_name"] == "median"]), INSPECTED)
    assert alone.attack_standings == []
    why = "there is no built-in rule for which the cost of every attack is known (of curves that still rise none is)"
    assert f"own:attack is not ranked: {why}." in alone.verdict


def test_rules_without_a_common_seed_have_no_rank() -> None:
    other = [record(attack, "own:rule", value, seed=7) for attack, value in (("none", 90.0), ("lie", 89.0))]
    ours = [record(attack, "median", value) for attack, value in (("none", 90.0), ("lie", 70.0))]
    said = " ".join(Audit(Table([*ours, *other]), INSPECTED).verdict)
    assert "own:rule keeps 89.0 %, worst found in 1 federation (lie)" in said
    assert "rank" not in said


def test_who_is_no_defence_comes_last_with_a_remark() -> None:
    """The mean and its twin keep most; the twin is told by the checks, as no mean was run under own:attack."""
    values = {"median": 70.0, "own:rule": 95.0, "mean": 96.0}
    table = Table(record(attack, rule, value) for rule, value in values.items() for attack in ("none", "lie"))
    told = Inspection("rule", "own:rule", [*FINDINGS, Finding("the mean", ODD, "It is the plain mean.")])
    audit = Audit(table, {"own:rule": told})
    assert [(each.rule, audit.unranked.get(each.rule)) for each in audit.standings] == [
        ("median", None),
        ("mean", "no defence"),
        ("own:rule", "is the mean"),
    ]
    assert audit.verdict == ["own:rule is not ranked: it is the mean on every matrix that was tried."]
    assert [texts[1] for _, texts in audit.sheets[0].lines] == ["", "no defence", "is the mean"]


def test_a_rule_that_ignores_its_rows_has_no_rank() -> None:
    """It keeps the share of a class, whatever is done to it; where every rule has a rank, no column says so."""
    records = [record(attack, rule, 70.0) for rule in ("median", "own:rule") for attack in ("none", "lie")]
    told = Inspection("rule", "own:rule", [*FINDINGS, Finding("its rows", BAD, "It gives one result.")])
    audit = Audit(Table(records), {"own:rule": told})
    assert audit.unranked == {"own:rule": "ignores its rows"}
    assert audit.verdict == ["own:rule is not ranked: it gives one result whatever its rows are."]
    assert [texts[1] for _, texts in audit.sheets[0].lines] == ["", "ignores its rows"]
    assert "remark" not in Audit(Table(records), INSPECTED).sheets[0].head


def test_a_tie_is_one_place() -> None:
    pairs = [("none", 90.0), ("lie", 70.0)]
    table = Table([record(attack, rule, value) for attack, value in pairs for rule in ("median", "own:rule")])
    assert "ranks 1 of 2 (level with median)" in Audit(over_seeds(table), INSPECTED).verdict[0]


@pytest.fixture
def call(capsys, tmp_path):
    """Run a tiny audit into tmp_path; returns the status and what was printed."""
    tiny = (
        "--clients 8 --byzantine 2 --rounds 2 --epochs 1 --model linear --workers 1 --against mean,median --under lie"
    )

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main(["audit", *tiny.split(), "--out", str(tmp_path), *arguments])
        return (caught.value.code or 0, *capsys.readouterr())

    return run


def test_a_tiny_audit(call, tmp_path) -> None:
    code, out, err = call("--rule", "foreign:median", "--attack", "foreign:against_mean")
    assert code == 0, err
    assert out.endswith("The harder question: gradskew audit with the same options and --under worst\n")
    written = json.loads((tmp_path / "audit.json").read_text())
    (table,) = federations(Store(tmp_path).all())
    assert {(r.spec["attack_name"], r.spec["aggregator_name"]) for r in table.records} == {
        (attack, rule)
        for attack in ("none", "lie", "foreign:against_mean")
        for rule in ("foreign:median", "mean", "median")
    }
    theirs, ours = table.cells["lie", "foreign:median"].records, table.cells["lie", "median"].records
    assert theirs[0].params_sha256 == ours[0].params_sha256
    assert theirs[0].rounds[1]["lens"]["kappa"] == ours[0].rounds[1]["lens"]["kappa"]
    lines = {line["rule"]: line for line in written["rules"]}
    both = ("left", "damage", "average_damage", "kappa", "attack")
    assert [lines["foreign:median"][key] for key in both] == [lines["median"][key] for key in both]
    assert all(line["cost"] > 0 for line in written["rules"])
    worst = max(Lens(r).series("kappa")[0] or 0 for r in table.records if r.spec["aggregator_name"] == "median")
    assert worst > 0
    for sentence in written["verdict"]:
        assert sentence.partition(" ")[0] in ("foreign:median", "foreign:against_mean")
        assert sentence[:60] in out
    page = (tmp_path / "report.html").read_text()
    assert "Results of the checks" in page
    assert 'class="audited"' in page
    assert "--rule " not in page
    assert "gradskew bench" in page

    code, _, err = call("--rule", "foreign:median", "--attack", "foreign:against_mean")
    assert code == 0
    assert "9 runs of 2 rounds, 9 stored already" in err


@pytest.mark.processes
def test_the_rows_that_break_a_rule_are_a_file_that_skew_replays(call, tmp_path, capsys) -> None:
    code, out, _ = call("--rule", "foreign:mean,foreign:median,foreign:Heaviest")
    assert code == 0
    assert "breaks foreign:Heaviest: gradskew skew" in out  # its key, by which tables name it, leads nowhere
    assert out.count("--rules foreign:Heaviest") == 1
    (found,) = re.findall(r"The rows of the round that breaks foreign:mean: gradskew (skew .*)\n", out)
    assert "breaks foreign:median" not in out
    assert np.load(tmp_path / "broken-1.npy").shape == (8, 64)
    said = re.findall(r"bring it ([0-9.e+]+) times", out)[0]
    with pytest.raises(SystemExit):
        main([*shlex.split(found), "--out", str(tmp_path / "again")])
    (trial,) = json.loads((tmp_path / "again" / "skew.json").read_text())["trials"]
    rows = np.load(tmp_path / "broken-1.npy").astype(float)
    honest = rows[int(found.split("--f ")[1].split()[0]) :]
    reach = np.linalg.norm(rows.mean(0) - honest.mean(0)) / np.linalg.norm(honest - honest.mean(0), axis=1).max()
    assert reach == pytest.approx(float(said), rel=0.01)
    assert trial["kappa"] > 1


@pytest.mark.processes
def test_bad_rules_are_a_line_each_and_the_rest_goes_on(call, tmp_path) -> None:
    bad = "foreign:exits,foreign:wrong_shape,missing_module:rule,foreign:raises,unknown"
    code, out, err = call("--rule", bad, "--rule", "foreign:mean", "--limit", "20")
    assert code == 2
    lines = [without_places(line) for line in err.splitlines() if line.startswith("gradskew: ")]
    assert lines == [
        "gradskew: the rule foreign:exits is not run: It ends the process that calls it (exit status 3).",
        "gradskew: the rule foreign:wrong_shape is not run: foreign:wrong_shape must return the aggregate (d,): it "
        "must have the shape (64,), not (8,)",
        "gradskew: the rule missing_module:rule is not run: cannot import the rule 'missing_module:rule' "
        "(package.module:function): ModuleNotFoundError: No module named 'missing_module'",
        "gradskew: the rule foreign:raises is not run: foreign:raises raised RuntimeError: not today",
        next(line for line in lines if "unknown rule 'unknown'" in line),
    ]
    assert "foreign:mean is not ranked: it was the mean in all of its runs" in out
    assert json.loads((tmp_path / "audit.json").read_text())["findings"].keys() >= set(bad.split(","))


def test_failed_runs_are_a_line_each_on_the_screen_and_in_the_files(call, tmp_path) -> None:
    code, out, err = call("--rule", "foreign:narrow,foreign:narrow_too,foreign:mean")
    assert code == 2
    lines = [without_places(line) for line in err.splitlines() if line.startswith("gradskew: ")]
    assert lines == [
        f"gradskew: the rule {rule} failed in its runs: none against {rule}, seed 0: {rule} raised MemoryError: too "
        "wide (and 1 more run)."
        for rule in ("foreign:narrow", "foreign:narrow_too")
    ]
    written = json.loads((tmp_path / "audit.json").read_text())
    failures = {name: found["failure"] for name, found in written["findings"].items()}
    assert failures["foreign:mean"] is None
    assert "too wide" in failures["foreign:narrow"]
    assert "foreign:narrow_too raised" in failures["foreign:narrow_too"]
    page = (tmp_path / "report.html").read_text()
    assert page.count("<small>failed in its runs</small>") == 2
    assert "foreign:narrow is not ranked: runs of it failed." in page
    assert "6 runs done in" in out
    assert ", 4 failed, 0 stored already." in out


def test_no_run_is_called_stored_where_all_fail(call, monkeypatch) -> None:
    def fail(run: object, **options: object) -> None:
        raise ZeroDivisionError("all of them")

    monkeypatch.setattr(execution, "simulate", fail)
    code, _, err = call("--rule", "foreign:mean")
    assert code == 2
    assert "all of them" in err.splitlines()[-1]
    assert "other runs are stored" not in err


def test_an_error_in_a_worker_keeps_the_kind_of_method_that_raised_it() -> None:
    for kind, call in (("rule", make_rule("median")), ("attack", make_attack("lie"))):
        with pytest.raises(MethodError) as caught:
            call(torch.ones(2), torch.ones(2))  # no matrix
        assert pickle.loads(pickle.dumps(caught.value)).kind == kind


@pytest.mark.processes
def test_a_failure_is_held_against_who_raised_it(call) -> None:
    code, _, err = call("--rule", "foreign:narrow", "--attack", "foreign:mirrored")
    assert code == 2
    assert "the rule foreign:narrow failed in its runs" in err
    assert "foreign:mirrored failed" not in err


def test_a_rule_of_which_runs_failed_has_no_place() -> None:
    failed = Inspection("rule", "own:rule", [*FINDINGS, Finding("run", BAD, "x against own:rule: y.")])
    said = Audit(TABLE, {"own:rule": failed}).verdict
    assert said == ["own:rule is not ranked: runs of it failed. x against own:rule: y."]
    failed = Inspection("attack", "own:attack", [Finding("run", BAD, "own:attack against mean: y.")])
    (_, said) = Audit(TABLE, {**INSPECTED, "own:attack": failed}).verdict
    assert said == "own:attack is not ranked: runs of it failed. own:attack against mean: y."


@pytest.mark.parametrize("rule", ["foreign:mean", "foreign:running_mean", "foreign:mean_in_float64"])
def test_a_rule_that_is_the_mean_has_no_place(tmp_path, rule) -> None:
    table = made(tmp_path, rules=f"{rule},mean,median", seeds=1)
    assert table.defences == ["median"]
    audit = Audit(table, {rule: Inspection("rule", rule, FINDINGS)})
    assert audit.verdict == [f"{rule} is not ranked: it was the mean in all of its runs."]
    assert {each.rule for each in audit.standings[1:]} == {rule, "mean"}


@pytest.mark.processes
def test_a_rule_that_never_moved_a_model_has_no_place(call) -> None:
    code, out, _ = call("--rule", "foreign:nan_if_wide")
    assert code == 0
    assert "foreign:nan_if_wide is not ranked: it gave a finite aggregate in no round" in out
    assert "foreign:nan_if_wide keeps" not in out
    assert "foreign:nan_if_wide never moved the model" in out


def test_who_never_moved_a_model_is_nobodys_rival() -> None:
    still = [record(attack, "rfa", 95.0, stepped=False) for attack in ("none", "lie", "own:attack")]
    (own, _) = Audit(Table([*TABLE.records, *still]), INSPECTED).verdict
    assert "the highest built-in rule here is median" in own


def test_a_rule_that_failed_on_most_tries_has_no_place() -> None:
    """An attack that asks it learns nothing of a rule that fails on most of its tries."""
    searched = [record("opt", rule, left) for rule, left in (("own:rule", 90.0), ("mean", 20.0), ("median", 60.0))]
    for each in searched:
        each.rounds[0]["attack"] |= {"tries": 10, "failed_tries": 9 * (each.spec["aggregator_name"] == "own:rule")}
    audit = Audit(Table([*TABLE.records, *searched]), INSPECTED)
    assert audit.verdict[0] == "own:rule is not ranked: it failed on most tries of opt."
    assert not any("own:rule keeps" in line for line in audit.verdict)
    remarks = {each["rule"]: each["remark"] for each in audit.to_json()["rules"]}
    assert remarks["own:rule"] == "failed on most tries"


def test_the_mean_is_the_measure_of_costs(call, tmp_path) -> None:
    call("--rule", "foreign:mean")
    costs = {line["rule"]: line["cost"] for line in json.loads((tmp_path / "audit.json").read_text())["rules"]}
    assert costs["mean"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name what to audit: --rule package.module:name, or --attack package.module:name"),
        (["--rule", "foreign:mean", "--against", "medan"], "unknown rule 'medan'; did you mean 'median'?"),
        (["--rule", "foreign:mean", "--limit", "0"], "limit must be above 0"),
        (["--rule", "foreign:mean", "--under", "none"], "give at least one attack other than none"),
        (["--rule", "foreign:mean,"], "empty entry in rule"),
        (["--rule", "missing_module:rule"], "the rule missing_module:rule is not run: cannot import"),
        (["--rule", "foreign:mean", "--byzantine", "9"], "leaves none of 8 clients honest"),
    ],
)
def test_wrong_calls_are_one_line(call, tmp_path, arguments, said) -> None:
    code, _, err = call(*arguments)
    assert code == 2
    (line,) = err.splitlines()
    assert said in line
    assert not (tmp_path / "report.html").exists()


def test_the_list_says_what_packages_register(capsys, tmp_path, monkeypatch) -> None:
    info = tmp_path / "own-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[gradskew.aggregators]\nplain = foreign:mean\nmedian = foreign:median\nlost = foreign:lost\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(["list"])
    assert not caught.value.code
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "plain The plain mean, in float32 [foreign:mean]" in lines
    assert "median not used: a built-in has this name [foreign:median]" in lines
    assert any(line.startswith("lost broken: cannot import the rule 'foreign:lost'") for line in lines)


def test_the_lines_of_the_tables() -> None:
    rules, sent = AUDIT.sheets
    own = ["own:rule", "", "90.0", "own:attack", "62.0", "2", "28.0", "24.0", "2.00", "lie", "50.0", "2.0", "2.0"]
    assert rules.lines[1] == (True, own)
    assert "a kappa below 0.33" in rules.title
    assert [line for _, line in sent.lines] == [["lie", "32.0", "60.0", "mean"], ["own:attack", "6.0", "10.0", "mean"]]
    (alone,) = Audit(TABLE, {"own:rule": INSPECTED["own:rule"]}).sheets
    assert alone.head == rules.head


def test_where_costs_are_not_known_the_attacks_are_listed_by_what_they_leave() -> None:
    """Curves that still rise give no cost: own:attack leaves (40 + 30) / 2, lie (60 + 50) / 2."""
    left = {"none": (90.0, 80.0), "lie": (50.0, 40.0), "own:attack": (30.0, 20.0)}
    rising = [-1.0, -0.5, 0.0, 0.5, 1.0]
    records = [
        record(attack, rule, [value + 10 * step for step in rising])
        for attack, values in left.items()
        for rule, value in zip(("median", "rfa"), values, strict=True)
    ]
    audit = Audit(Table(records), {"own:attack": INSPECTED["own:attack"]})
    assert audit.attack_standings == []
    _, sheet = audit.sheets
    assert sheet.title.endswith("what they cost is not known")
    assert [(audited, texts[0], texts[1], texts[3]) for audited, texts in sheet.lines] == [
        (True, "own:attack", "35.0", "rfa"),
        (False, "lie", "55.0", "rfa"),
    ]
    assert len(Audit(Table(records), {"median": Inspection("rule", "median", FINDINGS)}).sheets) == 1


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_every_word_and_number_is_whole_at_any_width(width, capsys, monkeypatch) -> None:
    monkeypatch.setattr(screen, "console", lambda: Console(width=width, highlight=False, markup=False))
    screen.show_audit(AUDIT, [])
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= width
    words = shown.split()
    for sheet in AUDIT.sheets:
        for text in [*sheet.head, *(text for _, texts in sheet.lines for text in texts)]:
            assert all(word in words for word in text.split())
    heads = [line for line in shown.splitlines() if line.split()[:1] == ["rule"]]
    assert len(heads) == {60: 3, 80: 2, 120: 2, 200: 1}[width]  # one above the other, each with the names of the rules


@pytest.mark.parametrize("length", [5, 9, 10, 12, 13, 16, 24, 32, 40])
def test_names_of_any_length_cost_no_word_and_no_number_at_80_columns(length, capsys, monkeypatch) -> None:
    """The audited rule and the attack that is worst for it have names of this many characters."""
    monkeypatch.setattr(screen, "console", lambda: Console(width=80, highlight=False, markup=False))
    rule, attack = "r" * length, "a" * length
    renamed = {"own:rule": rule, "own:attack": attack}
    names = [tuple(renamed.get(name, name) for name in key) for key in TABLE.cells]
    numbers = {"byzantine_share": 0.5, "round": 0, "lens": {"kappa": 123.45, "shut_out": [1, 2]}}
    accuracies = [cell.mean for cell in TABLE.cells.values()]
    table = Table(record(*key, value, **numbers) for key, value in zip(names, accuracies, strict=True))
    inspected = {name: Inspection(kind, name, FINDINGS) for kind, name in (("rule", rule), ("attack", attack))}
    audit = Audit(table, inspected, {rule: 2.0, "mean": 1.0, "median": 6.5})
    screen.show_audit(audit, [])
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    words = re.split(r"[\s;]+", shown)
    for sheet in audit.sheets:
        for text in [*sheet.head, *(text for _, texts in sheet.lines for text in texts)]:
            assert all(words.count(word) >= 1 for word in text.split())
    assert words.count("123.45") == 3  # of each rule


def test_no_cost_is_given_for_a_curve_that_still_rises() -> None:
    """lie under own:rule climbs by ten points a round to 70; the rule keeps what it has, and its points are a dash."""
    rising = record("lie", "own:rule", [20.0, 30.0, 40.0, 50.0, 60.0, 70.0])
    flat = [record("none", rule, [90.0] * 6) for rule in ("own:rule", "median")]
    audit = Audit(Table([*flat, rising, record("lie", "median", [80.0] * 6)]), INSPECTED)
    (said,) = [line for line in audit.verdict if "keeps" in line]
    kept = "own:rule keeps 65.0↑ %, worst found in 1 federation (lie)"
    assert said.startswith(f"{kept}; no cost is given, since accuracy still rises")
    own = next(line for audited, line in audit.sheets[0].lines if audited)
    assert own[3:7] == ["65.0↑", "1", "–", "–"]
    assert json.loads(json.dumps(audit.to_json()))["rules"][1]["damage"] is None


def test_a_rank_names_the_rules_that_are_level() -> None:
    """Three seeds: median is 1 to 1.2 points above own:rule in each, rfa between one below and three above."""
    values = {"own:rule": (70.0, 75.0, 80.0), "median": (71.0, 76.2, 81.1), "rfa": (73.0, 74.0, 82.0)}
    records = [record("lie", rule, value, seed=s) for rule, of in values.items() for s, value in enumerate(of)]
    records += [record("none", rule, 90.0, seed=seed) for rule in values for seed in range(3)]
    (said,) = [line for line in Audit(Table(records), INSPECTED).verdict if "keeps" in line]
    assert "ranks 3 of 3 (level with rfa);" in said


def test_the_page_says_it_all_and_nothing_in_it_runs(tmp_path) -> None:
    """The table below the audit is another one: it needs whole records."""
    page = report_html([made(tmp_path, sent="none", rules="mean", seeds=1)], tmp_path, audit=AUDIT)
    for text in (*AUDIT.verdict, "own:broken <small>not run</small>", "It raises.", "without attack %"):
        assert text in page
    assert "<img" not in page
    assert page.count('class="audited"') == 2
