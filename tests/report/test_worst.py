"""The worst that was found of a rule, seed by seed, and its worst rounds, from records made by hand."""

import re
from csv import DictReader
from io import StringIO

import pytest
from made_records import record

from gradskew import attacks
from gradskew.attacks.adaptive import TWO_WAYS
from gradskew.report.export import results_csv
from gradskew.report.page.parts import breakable
from gradskew.report.table import Table
from gradskew.report.verdict import remarks, statements
from gradskew.report.worst import HEAD, found, harder_question, how_to_save, not_asked, sheet, worst_rounds

# By attack the accuracy of each seed: lie is the worst on seed 0, strike on the others, and ipm on average.
LEFT = {"lie": (10.0, 90.0, 90.0), "strike": (80.0, 20.0, 40.0), "ipm": (30.0, 40.0, 45.0), "none": (95.0, 95.0, 95.0)}
RECORDS = [record(attack, "rfa", left, seed=seed) for attack, row in LEFT.items() for seed, left in enumerate(row)]


def seen(**measures: object) -> dict[str, object]:
    return {"kappa": None, "kappa_bound": None, "towards": [], "f": 2, "shut_out": None, **measures}


def with_lens(attack: str, rule: str, seed: int, *rounds: dict[str, object]):
    """A record whose rounds have these measures of the lens, and a distance."""
    made = record(attack, rule, [50.0] * len(rounds), seed=seed)
    for metrics, measures in zip(made.rounds, rounds, strict=True):
        metrics["distance"] = measures.pop("distance", None)
        metrics["lens"] = seen(**measures)
    return made


def test_the_number_of_a_rule_is_the_least_of_each_seed_then_the_mean() -> None:
    """10, 20, 40: mean 23.3, sample deviation sqrt((13.3^2 + 3.3^2 + 16.7^2) / 2) = 15.3. ipm has the lowest mean."""
    standing = Table(RECORDS).standings["rfa"]
    assert standing.found_by == {0: "lie", 1: "strike", 2: "strike"}
    assert standing.worst.by_seed == {0: 10.0, 1: 20.0, 2: 40.0}
    assert standing.worst.text == "23.3 ±15.3"
    assert standing.finders == ["strike", "lie"]
    assert (standing.attack, standing.federations) == ("ipm", 9)
    assert standing.damage == pytest.approx(95 - 70 / 3)
    assert standing.damage_by("ipm") == pytest.approx(95 - 115 / 3)
    assert found(standing) == "23.3 ±15.3 %, worst found in 9 federations (strike, lie)"


def test_with_one_attack_or_one_seed_it_is_the_lowest_cell() -> None:
    one = Table([each for each in RECORDS if each.spec["seed"] == 1]).standings["rfa"]
    assert (one.worst.mean, one.finders, one.attack, one.federations) == (20.0, ["strike"], "strike", 3)
    same = Table([each for each in RECORDS if each.spec["attack_name"] == "ipm"]).standings["rfa"]
    assert same.worst.text == same.attacked["ipm"].text


def test_rules_are_ranked_by_the_worst_found() -> None:
    """By the lowest mean dnc, with 30 under lie and 80 under strike, is above rfa; seed by seed it keeps 0."""
    rfa = [record(attack, "rfa", left, seed=s) for attack in ("lie", "strike") for s, left in enumerate((25.0, 25.0))]
    rows = {"lie": (60.0, 0.0), "strike": (0.0, 80.0)}
    dnc = [record(attack, "dnc", left, seed=s) for attack, row in rows.items() for s, left in enumerate(row)]
    ranked = Table([*dnc, *rfa]).ranked
    assert [(each.rule, each.worst.mean) for each in ranked] == [("rfa", 25.0), ("dnc", 0.0)]


def test_a_seed_that_an_attack_lacks_is_that_of_the_others() -> None:
    records = [record("lie", "rfa", 50.0, seed=1), record("ipm", "rfa", 40.0, seed=2)]
    assert Table(records).standings["rfa"].found_by == {1: "lie", 2: "ipm"}


def test_the_worst_rounds_by_hand() -> None:
    """kappa 3 and progress -2 are of different runs; 9 out with the farthest at 3 is three times as far."""
    records = [
        with_lens("lie", "rfa", 0, {"kappa": 0.5, "progress": 0.25, "distance": 1.0, "farthest": 2.0}, {"kappa": 3.0}),
        with_lens("ipm", "rfa", 1, {"kappa": None, "progress": -2.0}, {"kappa": 1.0, "distance": 9.0, "farthest": 3.0}),
        with_lens("none", "rfa", 1, {"kappa": 99.0, "progress": -99.0, "distance": 99.0, "farthest": 1.0}, {}),
    ]
    rounds = worst_rounds(Table(records).standings["rfa"])
    assert (rounds.kappa.value, rounds.kappa.where) == (3.0, "round 2, seed 0, lie")
    assert (rounds.progress.value, rounds.progress.where) == (-2.0, "round 1, seed 1, ipm")
    assert (rounds.reach.value, rounds.broken.where) == (3.0, "round 2, seed 1, ipm")
    assert rounds.broken.record.digest == records[1].digest
    assert rounds.bound is None


@pytest.mark.parametrize(("distance", "broken"), [(2.0, False), (2.001, True), (None, False)])
def test_a_rule_is_broken_where_a_result_is_farther_than_every_honest_update(distance, broken) -> None:
    made = with_lens("lie", "rfa", 0, {"kappa": 1.0, "distance": distance, "farthest": 2.0})
    assert (worst_rounds(Table([made]).standings["rfa"]).broken is not None) == broken


def test_the_command_saves_the_round_that_breaks_a_rule_most() -> None:
    """2 / 1, 9 / 3 and 5 / 2: the second round of dnc. Without a broken rule there is nothing to save."""
    rfa = with_lens("lie", "rfa", 0, {"kappa": 1.0, "distance": 2.0, "farthest": 1.0})
    rounds = [{"kappa": 1.0, "distance": 5.0, "farthest": 2.0}, {"kappa": 1.0, "distance": 9.0, "farthest": 3.0}]
    dnc = with_lens("lie", "dnc", 0, *rounds)
    rfa.spec["rounds"] = dnc.spec["rounds"]
    command = f"gradskew skew --record FOLDER/runs/{dnc.digest[:12]} --round 2"
    assert f": {command} (FOLDER: the --out of the runs)." in how_to_save(Table([rfa, dnc]))
    held = with_lens("lie", "rfa", 0, {"kappa": 1.0, "distance": 1.0, "farthest": 1.0})
    assert how_to_save(Table([held])) == ""


def test_equal_honest_updates_break_no_rule() -> None:
    made = with_lens("lie", "rfa", 0, {"kappa": None, "distance": 1e-9, "farthest": 0.0})
    assert worst_rounds(Table([made]).standings["rfa"]).reach is None


def test_the_sheet_has_what_the_records_have() -> None:
    head, (line,) = sheet(Table(RECORDS))
    assert dict(zip(head, line, strict=True)) == {
        "rule": "rfa",
        "worst found %": "23.3 ±15.3",
        "found by": "strike, lie",
        "federations": "9",
    }
    measured = with_lens(
        "ipm", "dnc", 0, {"kappa": 4e6, "kappa_bound": "inf", "progress": -0.5, "distance": 8.0, "farthest": 2.0}
    )
    head, (line,) = sheet(Table([measured]))
    assert tuple(head) == HEAD
    assert line[4:] == [
        "4e+06",
        "ipm",
        "-0.50",
        "ipm",
        "unbounded",
        f"4 times as far as the farthest: round 1, seed 0, ipm (run {measured.digest[:12]})",
    ]
    old = with_lens("ipm", "dnc", 0, {"kappa": 0.25, "kappa_bound": 1.5})
    assert sheet(Table([old]))[0] == [*HEAD[:6], "proven kappa"]


def test_no_sentence_recommends_a_rule_that_nobody_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """rfa is far above dnc, but the attacks are fixed; with one of two that search, one was not played."""
    rows = {"rfa": (80.0, 81.0, 82.1), "dnc": (20.0, 21.0, 22.0)}
    table = Table(record("lie", rule, left, seed=s) for rule, row in rows.items() for s, left in enumerate(row))
    said = " ".join(statements(table))
    assert not re.search(r"Recommended|robust|safe|stands|worst case:", said)
    assert "rfa leads with 81.0 ±1.1 %, worst found in 3 federations (lie); it is not recommended" in said
    assert "None of them searches for the worst of a rule" in said
    assert harder_question([table]) == "The harder question: gradskew bench with the same options and --attacks worst"
    monkeypatch.setattr(attacks, "ADAPTIVE", ("lie", "ipm"))
    assert not_asked(table) == "Not played: 1 of the 2 attacks that search for the worst of a rule."
    assert "Recommended" not in " ".join(statements(table))
    monkeypatch.setattr(attacks, "ADAPTIVE", ("lie(z=1.0)", "lie"))  # of one key, but not of one name
    assert harder_question([table]) == "The harder question: gradskew bench with the same options and --attacks worst"
    monkeypatch.setattr(attacks, "ADAPTIVE", ("lie",))
    assert (not_asked(table), harder_question([table])) == ("", "")
    assert statements(table)[0].startswith(
        "Recommended for a federation like this: rfa, 81.0 ±1.1 %, worst found in 3 "
    )


def test_searches_of_any_effort_and_number_of_tries_are_searches() -> None:
    aims = ("undo", "stop", "loss", "loss+stop", "loss+stop+undo")
    for options in ("", ",limit=50", ",effort=full", ",effort=full,tries=10"):
        names = [attacks.make(f"adaptive(aim={aim},cap=None{options})").name for aim in aims]
        table = Table(record(name, "rfa", 80.0) for name in names)
        assert not_asked(table) == ""
        still = "A harder question still: gradskew bench with the same options and --attacks 'worst(effort=full)'"
        assert harder_question([table]) == ("" if options == ",effort=full" else still)
        assert harder_question([Table(record(name, "median", 80.0) for name in names)]) == ""
        assert "Not played: 1 of the 5" in not_asked(Table(record(name, "rfa", 80.0) for name in names[1:]))
    both = [attacks.make(f"adaptive(aim={aim},cap=None{each})").name for aim in aims for each in ("", ",effort=full")]
    assert harder_question([Table(record(name, "rfa", 80.0) for name in both)]) == ""
    capped = Table(record(f"adaptive(aim={aim},cap=1)", "rfa", 80.0) for aim in aims)
    assert not_asked(capped) == "Not played: 5 of the 5 attacks that search for the worst of a rule."
    combined = Table([record("labelflip+adaptive(aim=stop)", "rfa", 80.0)])
    assert not_asked(combined) == "Not played: 5 of the 5 attacks that search for the worst of a rule."
    assert harder_question([Table([record("none", "rfa", 80.0)])]) == ""


def test_a_rule_that_failed_as_attacks_asked_it_gets_a_line() -> None:
    made = record("adaptive(cap=None)", "rfa", [80.0, 81.0])
    for metrics, more in zip(
        made.rounds, ({"failed_tries": 3, "won": "mean"}, {"won": f"-u, 3{TWO_WAYS}"}), strict=True
    ):
        metrics["attack"] |= {"tries": 40, **more}
    said = remarks(Table([made, record("lie", "rfa", [80.0, 81.0])]))
    assert "rfa failed on 3 of 80 tries of the attacks that asked it." in said
    assert "rfa gave two answers to one try: the worst that was found of it need not be what it does." in said


@pytest.mark.parametrize("attack", ["opt", "labelflip+adaptive(aim=stop)"])
def test_a_rule_that_failed_under_any_attack_that_tries_it_gets_a_line(attack: str) -> None:
    made = record(attack, "rfa", [80.0])
    made.rounds[0]["attack"] |= {"tries": 120, "failed_tries": 2}
    assert "rfa failed on 2 of 120 tries of the attacks that asked it." in remarks(Table([made]))


@pytest.mark.parametrize(("failed", "asked"), [(0, True), (20, True), (21, False), (40, False)])
def test_a_rule_that_failed_on_most_tries_is_not_judged(failed: int, asked: bool) -> None:
    """Half of 40 tries may fail; with more the attack did not ask it, and says nothing of its worst."""
    searched = {"tries": 40, "failed_tries": failed}
    records = [record("lie", rule, left, seed=s) for rule, left in (("rfa", 90.0), ("median", 60.0)) for s in range(3)]
    for seed in range(3):
        for rule, left in (("rfa", 90.0), ("median", 60.0)):
            made = record("opt", rule, left, seed=seed)
            made.rounds[0]["attack"] |= searched if rule == "rfa" else {"tries": 40}
            records.append(made)
    table = Table(records)
    assert table.unasked == ({} if asked else {"rfa": ["opt"]})
    assert table.defences == ["rfa", "median"][not asked :]
    said = "rfa failed on most tries of opt, which tells nothing of its worst: not judged."
    assert (said in remarks(table)) is not asked
    assert any("rfa leads" in line for line in statements(table)) is asked
    csv = [line["failed_tries"] for line in DictReader(StringIO(results_csv(table.records)))]
    assert csv[:3] + csv[6::2] == [""] * 3 + [f"{failed / 40:g}"] * 3


@pytest.mark.parametrize(
    "own", [{"tries": None}, {"tries": "3"}, {"failed_tries": 3}, {"tries": [1], "failed_tries": 2}]
)
def test_the_notes_of_a_users_attack_may_be_anything(own: dict[str, object]) -> None:
    made = record("my:attack", "rfa", [80.0])
    made.rounds[0]["attack"] |= own
    table = Table([made])
    assert table.unasked == {}
    assert not any("tries" in line for line in remarks(table))
    assert [line["failed_tries"] for line in DictReader(StringIO(results_csv([made])))] == [""]


def test_failures_with_another_seed_do_not_count() -> None:
    """Rules are judged on common seeds, which seed 1 is not."""
    records = [record(attack, "rfa", 80.0) for attack in ("none", "opt")]
    other = record("opt", "rfa", 80.0, seed=1)
    other.rounds[0]["attack"] |= {"tries": 40, "failed_tries": 40}
    assert Table([*records, other]).unasked == {}
    assert Table([other]).unasked == {"rfa": ["opt"]}


def test_two_seeds_of_attacks_that_search_say_that_outcomes_depend_on_the_seed(monkeypatch) -> None:
    monkeypatch.setattr(attacks, "ADAPTIVE", ("lie",))

    def said(attack: str, seeds: int) -> bool:
        table = Table(record(attack, "rfa", 50.0, seed=seed) for seed in range(seeds))
        return any("is held or escapes, by seed; run 3 or more" in line for line in statements(table))

    assert [said("lie", seeds) for seeds in (1, 2, 3)] == [True, True, False]
    assert not said("ipm", 1)


def test_long_names_break_behind_commas_and_plus_signs() -> None:
    assert breakable("a(b=c+d,e=1e+06)+<f>") == "a(b=c+<wbr>d,<wbr>e=1e+06)+<wbr>&lt;f&gt;"
