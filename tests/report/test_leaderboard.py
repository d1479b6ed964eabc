"""The leaderboard from tables made by hand, from records, and from what is no table."""

import csv
import hashlib
import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_records import record

from gradskew import attacks
from gradskew.core.errors import InputError
from gradskew.report.export import results_csv
from gradskew.report.leaderboard import leaderboard
from gradskew.report.played import NEEDED, kind_of, read_runs
from gradskew.report.table import Table

STOP, LOSS = "adaptive(aim=stop,cap=None)", "adaptive(aim=loss,cap=None)"
STOP_1, LOSS_3 = "adaptive(aim=stop,cap=1.0)", "adaptive(aim=loss)"
# By rule and attack the accuracies with the seeds 10, 11 and 12.
LEFT = {
    ("mean", "none"): (95, 96, 94),
    ("mean", "strike"): (10, 11, 12),
    ("rfa", "none"): (90, 92, 94),
    ("rfa", "strike"): (80, 60, 70),
    ("rfa", "ipm"): (70, 65, 75),
    ("rfa", STOP): (20, 80, 40),
    ("rfa", STOP_1): (75, 70, 65),
    ("rfa", LOSS_3): (60, 75, 80),
    ("median", "none"): (95.5, 96.5, 94.5),
    ("median", "strike"): (50, 50, 50),
}


def line(rule: str, attack: str, seed: int, accuracy: float, **changes: object) -> dict[str, object]:
    """A line of results.csv, with the columns that the page needs."""
    known = {
        "dataset": "digits",
        "attack": attack,
        "aggregator": rule,
        "seed": seed,
        "accuracy": f"{accuracy:.4f}",
        "partition": "dirichlet(beta=0.1)",
        "digest": hashlib.sha256(f"{rule} {attack} {seed} {changes.get('federation')}".encode()).hexdigest(),
        "clients": 50,
        "sampled": 50,
        "byzantine": 10,
        "rounds": 60,
        "model": "linear",
        "federation": "0a1b2c3d",
        **changes,
    }
    assert {*NEEDED} <= known.keys()
    return known


def write(path: Path, lines: list[dict[str, object]]) -> Path:
    text = io.StringIO()
    rows = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    rows.writeheader()
    rows.writerows(lines)
    path.write_text(text.getvalue())
    return path


LINES = [line(rule, attack, 10 + i, left) for (rule, attack), row in LEFT.items() for i, left in enumerate(row)]


def sections(page: str) -> dict[str, list[dict[str, str]]]:
    """The lines of each section's table by column, under its title; the second column `by` is `found by`."""
    found = {}
    for section in page.split("\n## ")[1:]:
        title, _, rest = section.replace("\\", "").partition("\n")
        rows = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in re.findall(r"^\|.*\|$", rest, re.M)]
        if rows:
            head = [*rows[0]]
            head[7] = "found by"
            found[title] = [dict(zip(head, row, strict=True)) for row in rows[2:]]
    return found


def page_of(tmp_path: Path, lines: list[dict[str, object]]) -> str:
    return leaderboard(read_runs([write(tmp_path / "results.csv", lines)])[0])


def test_a_table_by_hand(tmp_path: Path) -> None:
    """Fixed 70, 60, 70: sd sqrt((3.33^2 + 6.67^2 + 3.33^2) / 2) = 5.77. Worst 20, 60, 40. Up to cap 3: 60, 70, 65."""
    ((title, rows),) = sections(page_of(tmp_path, LINES)).items()
    assert title == ("digits, dirichlet(beta=0.1), 50 clients, 10 Byzantine, 60 rounds, linear, federation 0a1b2c3d")
    assert [row["rule"] for row in rows] == ["median", "rfa", "mean"]
    assert rows[1] == {
        "rule": "rfa",
        "no attack": "92.0 ±2.0",
        "cost": "3.0",
        "best fixed": "66.7 ±5.8",
        "by": "strike",
        "worst found": "40.0 ±20.0",
        "seed by seed": "20.0, 60.0, 40.0",
        "found by": "stop, strike",
        "cap 3": "65.0 ±5.0 (60.0, 70.0, 65.0): stop with cap 1, loss",
        "cap 1": "70.0 ±5.0 (75.0, 70.0, 65.0): stop",
        "largest kappa": "–",
        "least progress": "–",
        "seeds": "3",
        "federations": "15",
    }
    assert (rows[0]["cost"], rows[2]["cost"]) == ("-0.5", "0.0")
    assert (rows[0]["worst found"], rows[0]["cap 3"], rows[0]["cap 1"]) == ("50.0 ±0.0", "–", "–")
    assert rows[2]["worst found"] == "11.0 ±1.0"


def test_a_capped_search_may_be_the_worst_found(tmp_path: Path) -> None:
    """What is allowed with a cap is allowed without one; of equal ones the fixed attack is named."""
    lines = [line("rfa", STOP, 0, 40), line("rfa", STOP_1, 0, 30), line("rfa", STOP, 1, 50), line("rfa", "lie", 1, 50)]
    ((row,),) = sections(page_of(tmp_path, lines)).values()
    assert (row["seed by seed"], row["found by"]) == ("30.0, 50.0", "stop with cap 1, lie")
    assert (row["no attack"], row["cost"], row["best fixed"], row["by"]) == ("–", "–", "50.0", "lie")


def test_the_extremes_of_the_attacked_rounds(tmp_path: Path) -> None:
    measured = [("none", 99, -9), ("strike", 0.5, 0.25), (STOP, 2.25, -0.125), ("ipm", "", "")]
    lines = [line("rfa", name, 0, 50, kappa_max=kappa, progress_min=least) for name, kappa, least in measured]
    ((row,),) = sections(page_of(tmp_path, lines)).values()
    assert (row["largest kappa"], row["least progress"]) == ("2.25 (stop)", "-0.12 (stop)")


def test_a_curve_that_still_rises_is_marked_and_gives_no_cost(tmp_path: Path) -> None:
    def row(*rising: str) -> dict[str, str]:
        lines = [
            line(rule, attack, seed, 50, still_rises=int(seed == 1 and f"{rule} {attack}" in rising))
            for rule in ("mean", "rfa")
            for attack in ("none", "lie")
            for seed in range(2)
        ]
        ((*_, last),) = sections(page_of(tmp_path, lines)).values()
        return last

    assert (row()["cost"], row()["worst found"]) == ("0.0", "50.0 ±0.0")
    assert row("mean none")["cost"] == row("rfa none")["cost"] == "–"
    assert row("rfa none")["no attack"] == "50.0 ±0.0↑"
    assert (row("rfa lie")["cost"], row("rfa lie")["worst found"]) == ("0.0", "50.0 ±0.0↑")


def test_the_cost_is_of_the_seeds_that_both_have(tmp_path: Path) -> None:
    lines = [line("mean", "none", 1, 90), line("mean", "none", 2, 50), line("rfa", "none", 1, 88)]
    (rows,) = sections(page_of(tmp_path, lines)).values()
    assert {row["rule"]: row["cost"] for row in rows} == {"mean": "0.0", "rfa": "2.0"}


WORST = [attacks.make(name).name for name in attacks.WORST]


def lacking(page: str) -> list[str]:
    return [text.replace("\\", "") for text in page.splitlines() if text.startswith("Not played")]


def test_what_was_not_played_is_named(tmp_path: Path) -> None:
    """Fewer tries are the same attack; the images of the attacker's own clients are another one."""
    lines = [line("rfa", name, seed, 50) for name in WORST for seed in (1, 2)]
    assert lacking(page_of(tmp_path, lines)) == []
    gone = [each for each in lines if each["attack"] != "lie" and (each["attack"], each["seed"]) != ("mimic", 2)]
    assert lacking(page_of(tmp_path, gone)) == ["Not played against rfa: lie; mimic with seed 2."]
    fewer = [{**each, "attack": str(each["attack"]).replace("aim=loss,", "aim=loss,limit=60,")} for each in lines]
    page = page_of(tmp_path, fewer)
    assert lacking(page) == []
    assert "At most 60 tries in a round of some searches: rfa." in page
    all_fewer = [{**each, "attack": str(each["attack"]).replace("adaptive(", "adaptive(limit=60,")} for each in lines]
    assert "At most 60 tries in a round of the search: rfa." in page_of(tmp_path, all_fewer)
    own = [{**each, "attack": str(each["attack"]).replace("aim=loss,", "aim=loss,data=own,")} for each in lines]
    assert lacking(page_of(tmp_path, own)) == ["Not played against rfa: loss."]
    two = [*lines, *({**each, "aggregator": "dnc"} for each in gone), *({**each, "aggregator": "cge"} for each in gone)]
    assert lacking(page_of(tmp_path, two)) == ["Not played against cge, dnc: lie; mimic with seed 2."]


def test_of_a_cap_that_was_played_the_other_members_are_asked_for(tmp_path: Path) -> None:
    lines = [line(rule, name, 1, 50) for name in WORST for rule in ("rfa", "dnc")]
    page = page_of(tmp_path, [*lines, line("rfa", STOP_1, 1, 50), line("rfa", LOSS_3, 1, 50)])
    names = [f"{aim} with cap 3" for aim in ("undo", "stop", "loss+stop", "loss+stop+undo")]
    names += [f"{aim} with cap 1" for aim in ("undo", "loss", "loss+stop", "loss+stop+undo")]
    assert lacking(page) == [f"Not played against rfa: {', '.join(names)}."]


@given(st.lists(st.floats(0, 100).map(lambda x: round(x, 4)), min_size=8, max_size=8), st.randoms())
def test_the_worst_found_is_that_of_the_report(tmp_path: Path, lefts: list[float], random) -> None:
    """Of records of two fixed attacks and two searches, in any order of the lines; never above the best fixed."""
    names = ["lie", "strike", STOP, STOP_1]
    records = [record(name, "rfa", lefts[2 * i + seed], seed=seed) for i, name in enumerate(names) for seed in (0, 1)]
    head, *lines = results_csv(records).splitlines()
    standing = Table(records).standings["rfa"]
    pages = set()
    for _ in range(3):
        random.shuffle(lines)
        (path := tmp_path / "results.csv").write_text("\n".join([head, *lines]))
        pages.add(leaderboard(read_runs([path])[0]))
    ((row,),) = sections(*pages).values()
    assert row["worst found"].removesuffix("↑") == standing.worst.text.removesuffix("↑")
    assert row["federations"] == str(standing.federations)
    fixed, worst = (float(row[name].split(" ")[0]) for name in ("best fixed", "worst found"))
    assert worst <= fixed


def test_federations_have_sections_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """And those that only the digest tells apart are two."""
    settings = [{"clients": 100}, {"clients": 6, "sampled": 3}, {"partition": "iid()"}, {}, {"federation": "ffffffff"}]
    lines = [line("rfa", "lie", 0, 50, **{"federation": f"{i}" * 8, **each}) for i, each in enumerate(settings)]
    page = page_of(tmp_path, lines)
    start, end = "digits, dirichlet(beta=0.1), ", "10 Byzantine, 60 rounds, linear, "
    assert re.findall("^## (.*)", page, re.M)[:-1] == [
        f"{start}6 clients, {end}3 clients a round, federation 11111111",
        f"{start}50 clients, {end}federation 33333333",
        f"{start}50 clients, {end}federation ffffffff",
        f"{start}100 clients, {end}50 clients a round, federation 00000000",
        f"digits, iid(), 50 clients, {end}federation 22222222",
    ]
    assert re.findall("^Seeds .*", page, re.M) == ["Seeds 0."] * 5


def test_no_rule_is_praised(tmp_path: Path) -> None:
    page = page_of(tmp_path, LINES)
    assert not re.search(r"robust|safe|secure|withstand", re.sub(r"results/robustness|docs/robustness\.md", "", page))


def test_a_hostile_name_is_only_text(tmp_path: Path) -> None:
    page = page_of(tmp_path, [line("a|b<img>`[x](y)", "lie", 0, 50)])
    assert r"| a\|b\<img\>\`\[x\](y) |" in page


@pytest.mark.parametrize("attack", ["my.module:attack", "labelflip+my.module:attack", "optlie", "extreme", STOP])
def test_an_attack_that_may_try_the_rule_is_not_fixed(attack: str) -> None:
    assert not kind_of(attack).fixed
    assert kind_of("labelflip+bitflip").fixed


def test_a_search_with_all_its_parts_is_marked() -> None:
    kind = kind_of("adaptive(aim=stop,cap=None,effort=full,limit=60)")
    assert (kind.label, kind.full, kind.limit, kind.member) == ("stop (full, 60 tries)", False, 60, STOP)
    kind = kind_of("adaptive(aim=stop,cap=None,effort=full)")
    assert (kind.label, kind.full, kind.limit, kind.member) == ("stop (full)", True, None, STOP)
    assert not kind_of(STOP).full
    assert kind_of("adaptive(tries=9,effort=full)").label == "adaptive(tries=9,effort=full)"


def test_a_run_in_two_files_counts_once(tmp_path: Path) -> None:
    paths = [write(tmp_path / name, LINES[:5]) for name in ("a.csv", "b.csv")]
    assert read_runs(paths) == read_runs(paths[:1])


def test_of_a_run_that_ends_elsewhere_on_another_processor_the_first_counts(call, tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", [line("rfa", "lie", 3, 50), line("rfa", "lie", 4, 50)])
    other = write(tmp_path / "b.csv", [line("rfa", "lie", 3, 51.5), line("rfa", "lie", 4, 50)])
    twice = write(tmp_path / "c.txt", [line("rfa", "lie", 3, 50), line("rfa", "lie", 3, 51.5)])
    with pytest.raises(InputError, match=r"two accuracies of a run, 50 and 51\.5 %"):
        read_runs([twice])
    runs, largest = read_runs([first, other])
    assert ([run.accuracy for run in runs], largest) == ([50, 50], 1.5)
    said = call("report", tmp_path, "--leaderboard", tmp_path / "page.md").out
    assert said.endswith("page.md. Runs in two files differ by up to 1.5 points; the first counts.\n")


def test_which_rule_stands_by_hand(tmp_path: Path) -> None:
    """80 % of 90 without an attack is 72. rfa: mean 80, t(2) 5 / sqrt(3) = 12.4; median is 71.9, 88, 88."""
    searches = [f"adaptive(aim={aim},cap=None)" for aim in ("loss", "loss+stop+undo")] + ["adaptive(cap=None)"]
    left = {"rfa": (75, 80, 85), "median": (71.9, 90, 90), "dnc": (90, 90), "mean": (1, 2, 3)}
    lines = [
        line(rule, attack, seed, accuracy if attack == searches[1] else 88)
        for rule, accuracies in left.items()
        for seed, accuracy in enumerate(accuracies)
        for attack in searches
    ]
    lines += [line("mean", "none", seed, 90) for seed in range(3)]
    lines += [line("aksel", attack, seed, 90) for attack in searches[:2] for seed in range(3)]  # not asked by all
    page = page_of(tmp_path, lines).replace("\\", "")
    (row,) = re.findall(r"^\| digits, dirichlet.*\|$", page, re.M)
    federation = "digits, dirichlet(beta=0.1), 50 clients, 10 Byzantine, 60 rounds"
    fallen = "median 82.6 ± 23.1 (3 seeds)"
    assert row == f"| {federation} | 90.0 | – | rfa 80.0 ± 12.4 (3 seeds) | {fallen} |"
    full = [{**each, "attack": each["attack"].replace(")", ",effort=full)")} for each in lines]
    assert "| 90.0 | rfa 80.0 ± 12.4 (3 seeds, full) | – | median" in page_of(tmp_path, full)
    assert "| 90.0 | rfa 80.0 ± 12.4 (3 seeds, full) | – | median" in page_of(tmp_path, [*full, *lines])  # both
    one_fast = [each for each in full if (each["seed"], each["attack"]) != (0, "adaptive(cap=None,effort=full)")]
    one_fast.append(line("rfa", "adaptive(cap=None)", 0, 88))
    assert "| 90.0 | – | rfa 80.0 ± 12.4 (3 seeds) | median" in page_of(tmp_path, one_fast)
    more = [line("rfa", attack, seed, 73) for attack in searches for seed in (7, 8)]  # in no full search
    assert "| 90.0 | rfa 80.0 ± 12.4 (3 seeds, full) | – | median" in page_of(tmp_path, [*full, *more])
    few = [{**each, "attack": each["attack"].replace(")", ",limit=60)")} for each in lines]
    assert "rfa 80.0 ± 12.4 (3 seeds, 60 tries)" in page_of(tmp_path, few)
    assert "Which rule stands" not in page_of(tmp_path, [each for each in lines if each["seed"] < 2])
    failed = [{**each, "failed_tries": 0.6 if each["aggregator"] == "rfa" else ""} for each in lines]
    page = page_of(tmp_path, failed).replace("\\", "")
    assert f"| {federation} | 90.0 | **none** | – | {fallen} |" in page
    assert re.search("^Not played against .*rfa.*: .*loss[+]stop", page, re.M), "it answered no search"
    half = [{**each, "failed_tries": 0.5} for each in lines]
    assert "| – | rfa 80.0 ± 12.4 (3 seeds) |" in page_of(tmp_path, half)


def test_a_federation_is_named_by_what_tells_it_from_others_of_its_data(tmp_path: Path) -> None:
    searches = ["none", "adaptive(cap=None)", "adaptive(aim=loss+stop+undo,cap=None)"]
    federations = [
        ("digits", "0a1b2c3d", "lr 0.2"),
        ("digits", "1a1b2c3d", "lr 0.2, 100 inputs at the server"),
        ("mnist", "2a1b2c3d", "lr 0.2"),
    ]
    lines = [
        line("rfa", attack, seed, 80, dataset=dataset, federation=federation, settings=setting)
        for dataset, federation, setting in federations
        for attack in searches
        for seed in range(3)
    ]
    named = re.findall(r"^\| ([^|]*) \| 80\.0 \|", page_of(tmp_path, lines).replace("\\", ""), re.M)
    usual = "dirichlet(beta=0.1), 50 clients, 10 Byzantine, 60 rounds"
    assert named == [
        f"digits, {usual}, 100 inputs at the server, federation 1a1b2c3d",
        f"digits, {usual}, federation 0a1b2c3d",
        f"mnist, {usual}",
    ]


def test_a_monotone_rule_stands_under_searches_of_any_effort(tmp_path: Path) -> None:
    searches = ["adaptive(cap=None)", "adaptive(aim=loss+stop+undo,cap=None)"]
    lines = [line(rule, attack, seed, 80) for rule in ("median", "rfa") for attack in searches for seed in range(3)]
    lines += [line("mean", "none", seed, 90) for seed in range(3)]
    assert "| 90.0 | median 80.0 ± 0.0 (3 seeds) | rfa 80.0 ± 0.0 (3 seeds) | – |" in page_of(tmp_path, lines)


def test_only_seeds_with_the_searches_speak_for_a_rule_and_all_against_it(tmp_path: Path) -> None:
    searches = ["adaptive(cap=None)", "adaptive(aim=loss+stop+undo,cap=None)"]
    lines = [line("rfa", attack, seed, 80) for attack in searches for seed in range(3)]
    lines += [line("mean", "none", seed, 90) for seed in range(3)]
    assert "| 90.0 | – | rfa 80.0 ± 0.0 (3 seeds) | – |" in page_of(tmp_path, [*lines, line("rfa", "lie", 7, 89)])
    assert "| 90.0 | **none** | – | rfa 80.0 ± 0.0 (3 seeds) |" in page_of(
        tmp_path, [*lines, line("rfa", "lie", 7, 71)]
    )


def test_the_interval_is_not_below_that_of_the_test_inputs(tmp_path: Path) -> None:
    """Agresti and Coull with 360 inputs: p = (360 0.8 + 2) / 364, 1.96 sqrt(p (1 - p) / 364) = 4.14 points."""
    searches = ["adaptive(cap=None)", "adaptive(aim=loss+stop+undo,cap=None)"]
    lines = [line("rfa", attack, seed, 80, test_size=360) for attack in searches for seed in range(3)]
    lines += [line("mean", "none", seed, 90, test_size=360) for seed in range(3)]
    assert "rfa 80.0 ± 4.1 (3 seeds)" in page_of(tmp_path, lines)


def test_no_rule_stands_that_keeps_no_more_than_the_largest_class(tmp_path: Path) -> None:
    """80 is above 80 % of 90, which is 72."""
    searches = ["adaptive(cap=None)", "adaptive(aim=loss+stop+undo,cap=None)"]
    for share, text in (
        (79.9, "| – | rfa 80.0 ± 0.0 (3 seeds) | – |"),
        (80, "| **none** | – | rfa 80.0 ± 0.0 (3 seeds) |"),
    ):
        lines = [line("rfa", attack, seed, 80, largest_class=share) for attack in searches for seed in range(3)]
        lines += [line("mean", "none", seed, 90, largest_class=share) for seed in range(3)]
        assert f"| 90.0 {text}" in page_of(tmp_path, lines)


def test_without_a_run_without_an_attack_nothing_stands_and_nothing_falls(tmp_path: Path) -> None:
    searches = ["adaptive(cap=None)", "adaptive(aim=loss+stop+undo,cap=None)"]
    lines = [line("rfa", attack, seed, 80) for attack in searches for seed in range(3)]
    assert "Which rule stands" not in page_of(tmp_path, lines)


def test_none_stands(tmp_path: Path) -> None:
    """Without the plain mean the best rule without an attack is what is compared with: 80 % of 90 is 72."""
    searches = ["adaptive(aim=loss,cap=None)", "adaptive(cap=None)", "adaptive(aim=loss+stop+undo,cap=None)"]
    lines = [line(rule, attack, seed, 71.9) for rule in ("rfa", "dnc") for attack in searches for seed in range(3)]
    lines += [line(rule, "none", seed, usual) for rule, usual in (("rfa", 60), ("dnc", 90)) for seed in range(3)]
    assert "| 90.0 | **none** | – | dnc 71.9 ± 0.0 (3 seeds); rfa 71.9 ± 0.0 (3 seeds) |" in page_of(tmp_path, lines)


def test_where_only_means_met_the_searches_nothing_is_said(tmp_path: Path) -> None:
    searches = ["none", "adaptive(cap=None)", "adaptive(aim=loss+stop+undo,cap=None)"]
    means = ("mean", "mean(weights=examples)")
    lines = [
        line(rule, attack, seed, 90 if attack == "none" else 9)
        for rule in means
        for attack in searches
        for seed in range(3)
    ]
    assert "Which rule stands" not in page_of(tmp_path, lines)
    lines += [line("rfa", attack, seed, 10) for attack in searches[1:] for seed in range(3)]
    assert "| 90.0 | **none** | – | rfa 10.0 ± 0.0 (3 seeds) |" in page_of(tmp_path, lines)


GOOD = line("rfa", "lie", 3, 50)


def text_of(*lines: dict[str, object]) -> str:
    return "\n".join([",".join(GOOD), *(",".join(map(str, each.values())) for each in lines)])


BAD = {
    "dataset,attack\ndigits,lie\n": "it lacks aggregator, seed, accuracy, partition, digest, clients, sampled",
    "": "it lacks dataset",
    text_of({**GOOD, "accuracy": "high"}): "line 2: could not convert string to float: 'high'",
    text_of({**GOOD, "accuracy": "nan"}): "line 2: accuracy must be a number, not nan",
    text_of(GOOD, {**GOOD, "accuracy": 100.5}): "line 3: accuracy must be at least 0 and at most 100",
    text_of({**GOOD, "seed": 0.5}): "line 2: invalid literal for int() with base 10: '0.5'",
    text_of({**GOOD, "digest": "abc"}): "line 2: digest must be a SHA-256, not 'abc'",
    text_of({**GOOD, "attack": "adaptive(aim=win)"}): "line 2: adaptive: aim must be a sum of undo, stop, loss",
    text_of({**GOOD, "attack": "lie("}): "line 2: options of lie are written name=value",
    text_of({**GOOD, "aggregator": '"r\nfa"'}): "line 3: not one printable text for each column",
    text_of({"dataset": "digits", "attack": "lie"}): "line 2: not one printable text for each column",
    text_of({**GOOD, "more": 1}): "line 2: not one printable text for each column",
    text_of(): "no runs in",
    text_of(GOOD, {**GOOD, "accuracy": 52.5}): "two accuracies of a run, 50 and 52.5 %: lie against rfa, seed 3, in",
    text_of(GOOD, {**GOOD, "digest": "0" * 64}): "two versions of a run: lie against rfa, seed 3, in",
    "\xff": "is no CSV: 'utf-8' codec",
}


@pytest.mark.parametrize(("text", "said"), BAD.items(), ids=range(len(BAD)))
def test_bad_input_is_one_line(call, tmp_path: Path, text: str, said: str) -> None:
    (path := tmp_path / "bad.csv").write_bytes(text.encode("latin-1"))
    error = call("report", path, "--leaderboard", tmp_path / "page.md").error()
    assert said in error
    assert str(path) in error
    assert not (tmp_path / "page.md").exists()


def test_bad_paths_are_one_line(call, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    assert "no CSV file in" in call("report", tmp_path, "--leaderboard", page).error()
    assert "cannot read" in call("report", tmp_path / "none.csv", "--leaderboard", page).error()
    assert "--out is the folder" in call("report", tmp_path, "--out", tmp_path, "--leaderboard", page).error()


def test_the_page_of_a_bench(call, tmp_path: Path) -> None:
    """The lens gives kappa and progress; a folder stands for the tables in it."""
    searches = f"{STOP},{STOP_1}"
    small = (
        "--clients 6 --byzantine 1 --rounds 2 --epochs 1 --model linear --workers 1 --rules mean,median --seeds 10,11"
    )
    assert call("bench", *small.split(), "--attacks", f"none,lie,{searches}", "--out", tmp_path / "mine").code == 0
    page = tmp_path / "docs" / "page.md"
    assert call("report", tmp_path / "mine", "--leaderboard", page).out == f"16 runs in 1 file: {page}.\n"
    ((first, second),) = sections(page.read_text()).values()
    for row in (first, second):
        assert (row["seeds"], row["federations"]) == ("2", "6")
        assert float(row["largest kappa"].partition(" (")[0]) > 0
        assert float(row["least progress"].partition(" (")[0]) < 1.5
        assert "(" in row["cap 1"]
    table = csv.DictReader(io.StringIO((tmp_path / "mine" / "results.csv").read_text()))
    assert {each["kappa_max"] == "" for each in table} == {False}
