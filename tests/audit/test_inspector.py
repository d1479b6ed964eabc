"""What the checks find on rules and attacks whose faults are known."""

import math
import re
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from places import without_places

from gradskew import InputError, aggregators, attacks
from gradskew.attacks import Attack, Forgery
from gradskew.audit import BAD, GOOD, ODD, Task, inspect, list_tasks, rule_subject
from gradskew.audit.attack_checks import CHECKS as ATTACK_CHECKS
from gradskew.audit.attack_checks import AttackSubject
from gradskew.audit.rule_checks import CHECKS as RULE_CHECKS
from gradskew.audit.rule_subject import RuleSubject

COMPARED = ("order", "equal rows", "shifted", "scaled", "one row")
SIZES = [(12, 3), (50, 10), (400, 80)]  # n, f


@pytest.fixture(autouse=True)
def _all_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under load, too."""
    monkeypatch.setattr(rule_subject, "BUDGET", math.inf)


def rule_findings(name: str, n: int = 12, f: int = 3) -> dict[str, str]:
    subject = RuleSubject(aggregators.make(name), n, f)
    return {key: ask(subject)[0] for key, ask in RULE_CHECKS.items() if key != "cost"}


def attack_findings(name: str) -> dict[str, str]:
    subject = AttackSubject(attacks.make(name), 12, 3)
    return {key: ask(subject)[0] for key, ask in ATTACK_CHECKS.items() if key != "cost"}


@pytest.mark.parametrize(
    ("name", "unusual"),
    [
        # a mean is NaN or 1e29 as soon as one row is; a median ignores Inf, and NumPy's is NaN where a row is
        (
            "foreign:mean",
            {
                "f = n / 2": ODD,
                "a row of NaN": BAD,
                "a row of Inf": BAD,
                "huge rows": BAD,
                "the mean": ODD,
                "search": ODD,
            },
        ),
        ("foreign:median", {"f = n / 2": ODD, "a row of NaN": BAD}),
        ("foreign:in_place", {"input": BAD, "equal rows": ODD, "shifted": GOOD, "scaled": ODD, "one row": ODD}),
        ("foreign:draws", {"repeated": BAD, "memory": BAD, **dict.fromkeys(COMPARED, ODD)}),
        ("foreign:shared", {"repeated": BAD, "memory": BAD}),
        ("foreign:Momentum", {"repeated": GOOD, "memory": ODD}),
        ("foreign:make_counting", {"repeated": GOOD, "memory": BAD}),
        ("foreign:torn(arrays=numpy)", {"input": BAD}),
        (
            "foreign:draws_from_torch",
            {"repeated": GOOD, "draws": ODD, "order": ODD, "equal rows": GOOD, "huge rows": BAD, "finite": GOOD},
        ),
        ("foreign:seldom_finite", {"repeated": GOOD, "finite": BAD}),
        ("foreign:constant", {"its rows": BAD, "draws": GOOD, "finite": GOOD, "equal rows": ODD}),
        ("foreign:Delayed", {"its rows": GOOD, "memory": ODD}),
        ("foreign:draws_an_order", {"its rows": BAD, "draws": ODD}),
        ("bucketing(s=2)+mean", {"draws": GOOD, "its rows": GOOD}),
        ("dnc(b=8)", {"draws": GOOD, "its rows": GOOD}),
        ("foreign:by_place", {"order": ODD, "equal rows": GOOD, "shifted": GOOD, "one row": GOOD}),
        ("foreign:make_scaled(factor=2.0)", {"equal rows": ODD, "shifted": ODD, "scaled": GOOD, "one row": ODD}),
        # ours refuse what is not finite, and too many Byzantine rows
        ("cclip(tau=0.1)", {"equal rows": ODD, "shifted": ODD, "scaled": ODD, "a row of NaN": ODD, "huge rows": GOOD}),
        ("multikrum", {"f = n / 2": GOOD, "a row of NaN": ODD, "a row of Inf": ODD, "huge rows": GOOD}),
    ],
)
def test_what_is_found_on_a_rule(name: str, unusual: dict[str, str]) -> None:
    found = rule_findings(name)
    assert found | unusual == found
    if name in ("foreign:mean", "foreign:median"):
        assert set(found) - set(unusual) == {key for key, verdict in found.items() if verdict == GOOD}


def test_what_differs_between_draws_is_told() -> None:
    """A mean of buckets is the mean; dnc with 8 of 64 coordinates drops other rows in another draw."""
    subject = RuleSubject(aggregators.make("dnc(b=8,iterations=1)"), 12, 3)
    assert re.match(r"It draws: \d+ draws on the same rows lie up to 0\.\d+ times", RULE_CHECKS["draws"](subject)[1])
    never = RuleSubject(aggregators.make("foreign:seldom_finite"), 12, 3)
    assert re.fullmatch(r"Ordinary finite rows give NaN or Inf in \d+ of \d+ draws\.", RULE_CHECKS["finite"](never)[1])


def search(rule, n: int = 12, f: int = 3) -> tuple[str, str]:
    verdict, sentence = RULE_CHECKS["search"](RuleSubject(aggregators.make(rule), n, f))[:2]
    assert "\n" not in sentence
    return verdict, sentence


def test_a_search_breaks_in_one_round_what_has_no_bound() -> None:
    """The rows of the median are exact; those of dnc are decoys; fltrust is asked with what it needs."""
    for name in ("mean", "dnc", "rfa", "foreign:mean"):
        verdict, sentence = search(name)
        assert verdict == ODD
        assert sentence.startswith("Broken by one round: rows found in ")
        assert "progress -" in sentence
    for name in ("multikrum", "fltrust", "foreign:median"):
        verdict, sentence = search(name)
        assert verdict == GOOD
        assert sentence.startswith("Rows found in ")
    assert search("median")[1].startswith("Rows in closed form bring it 0.")
    assert search("median", f=0) == (GOOD, "f = 0: there is nobody to search for.")


def failing_far_away(updates, f):
    if updates.abs().max() > 100:
        raise ValueError("these rows are not mine")
    return updates.median(0).values


def nan_far_away(updates, f):
    value = updates.median(0).values
    return value * torch.nan if updates.abs().max() > 100 else value


def other_each_time(updates, f, calls=[]):  # noqa: B006
    calls.append(0)
    return updates.median(0).values + len(calls)


@pytest.mark.parametrize("rule", [failing_far_away, nan_far_away])
def test_a_rule_that_fails_on_some_tries_of_a_search_is_told(rule) -> None:
    """The search goes on with the others: it finds rows as harmful as those for the median."""
    verdict, sentence = search(rule)
    assert verdict == ODD
    assert re.fullmatch(r"Rows found in \d+ tries bring it 0\.[^ ]+ times .* It failed on \d+ of the tries\.", sentence)


def test_a_rule_that_answers_one_try_in_two_ways_is_told() -> None:
    verdict, sentence = search(other_each_time)
    assert verdict == ODD
    assert sentence.endswith("It answers one try in two ways.")


def test_a_rule_that_is_too_slow_for_a_search_is_told(monkeypatch) -> None:
    monkeypatch.setattr("gradskew.audit.search_check.seconds_of", lambda call: 1.5)
    assert search("foreign:median") == (
        ODD,
        "A call takes 1.5 s: too slow for a search of the rows that move it most.",
    )
    monkeypatch.setattr("gradskew.audit.search_check.seconds_of", lambda call: 0.5)
    assert search("foreign:median")[1].startswith("Rows found in 20 tries")


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        *((name, SIZES) for name in ("mean", "foreign:mean", "foreign:mean_in_float64", "foreign:running_mean")),
        ("bucketing(s=1)+mean", SIZES[:2]),
    ],
)
def test_the_mean_is_known_in_any_precision_and_order_of_its_sum(name: str, sizes: list[tuple[int, int]]) -> None:
    for n, f in sizes:
        assert rule_findings(name, n, f)["the mean"] == ODD


@pytest.mark.parametrize(
    "name",
    # the last ones: a clip that only far rows feel, a mean in the first calls alone, a mean of almost all rows
    ["median", "rbtm", "rfa", "cclip(tau=1000)", "foreign:clipped_far", "foreign:Late", "foreign:almost_mean"],
)
def test_a_defence_is_not_taken_for_the_mean(name: str) -> None:
    assert rule_findings(name)["the mean"] == GOOD


@pytest.mark.parametrize(
    ("name", "f", "verdict"),
    [
        ("foreign:Trimmed", 3, ODD),  # set to 0
        ("foreign:Trimmed(f=2)", 3, ODD),
        ("foreign:Trimmed(f=3)", 3, GOOD),
        ("foreign:trimmed", 3, GOOD),
        ("foreign:mean", 3, GOOD),
    ],
)
def test_an_f_of_its_own(name: str, f: int, verdict: str) -> None:
    assert RULE_CHECKS["its own f"](RuleSubject(aggregators.make(name), 12, f))[0] == verdict


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("foreign:mean", "It gets torch tensors, but not f. 12 rows of 64 give (64,)."),
        ("foreign:median(arrays=numpy)", "It gets NumPy arrays, but not f. 12 rows of 64 give (64,)."),
        ("foreign:trimmed", "It gets torch tensors and f. 12 rows of 64 give (64,)."),
        ("foreign:by_place", "It gets torch tensors and f. 12 rows of 64 give (64,)."),
        ("median", "12 rows of 64 give (64,)."),
    ],
)
def test_how_a_rule_is_called(name: str, said: str) -> None:
    assert RULE_CHECKS["answer"](RuleSubject(aggregators.make(name), 12, 3)) == (GOOD, said)


@pytest.mark.parametrize(
    ("name", "unusual"),
    [
        ("foreign:against_mean", {}),
        ("foreign:mirrored", {}),
        ("foreign:one_argument", {}),
        ("foreign:Copycat", {}),
        ("mimic", {"memory": GOOD}),
        ("foreign:changes_honest", {"input": BAD}),
    ],
)
def test_what_is_found_on_an_attack(name: str, unusual: dict[str, str]) -> None:
    assert attack_findings(name) == {**dict.fromkeys(attack_findings(name), GOOD), **unusual}


def test_an_attack_of_nan() -> None:
    assert ATTACK_CHECKS["finite"](AttackSubject(attacks.make("foreign:nan"), 12, 3))[0] == BAD


def test_what_ends_its_process_is_a_finding_and_the_rest_goes_on() -> None:
    names = ["foreign:exits", "foreign:crashes", "missing_module:rule", "foreign:wrong_shape", "foreign:raises"]
    names += ["foreign:nan", "foreign:quits", "foreign:mean"]
    tasks = [task for name in names for task in list_tasks("rule", name)] + [Task("rule", "median", "cost")]
    checked = []
    found = inspect(tasks, n=12, f=3, limit=60, on_check=checked.append)
    first = {name: found["rule", name].failure for name in names}
    assert {name: failure and without_places(failure.sentence) for name, failure in first.items()} == {
        "foreign:exits": "It ends the process that calls it (exit status 3).",
        "foreign:crashes": "It ends the process that calls it (SIGSEGV).",
        "missing_module:rule": "cannot import the rule 'missing_module:rule' (package.module:function): "
        "ModuleNotFoundError: No module named 'missing_module'",
        "foreign:wrong_shape": "foreign:wrong_shape must return the aggregate (d,): it must have the shape (64,), "
        "not (12,)",
        "foreign:raises": "foreign:raises raised RuntimeError: not today",
        "foreign:nan": "Ordinary finite rows give NaN or Inf.",
        "foreign:quits": "foreign:quits raised SystemExit: 0",
        "foreign:mean": None,
    }
    assert [finding.check for finding in found["rule", "foreign:mean"].findings] == list(RULE_CHECKS)
    assert len(found["rule", "foreign:exits"].findings) == 1
    cost = found["rule", "median"].cost
    assert cost is not None
    assert cost > 0
    assert checked[-1] == Task("rule", "median", "cost")


@pytest.mark.processes
def test_what_hangs_is_a_finding_and_the_rest_goes_on() -> None:
    tasks = [*list_tasks("rule", "foreign:sleeps"), Task("rule", "median", "cost")]
    found = inspect(tasks, n=12, f=3, limit=1)
    assert found["rule", "foreign:sleeps"].failure.sentence == "No answer within 1 s."
    assert len(found["rule", "foreign:sleeps"].findings) == 1
    assert found["rule", "median"].cost > 0


@pytest.mark.parametrize("name", ["fltrust", "nnm+fltrust"])
def test_a_rule_that_needs_a_round_is_given_one(name):
    subject = RuleSubject(aggregators.make(name), 12, 2)
    verdicts = {check: RULE_CHECKS[check](subject)[0] for check in ("answer", "finite", "order", "a row of NaN")}
    assert verdicts == {"answer": GOOD, "finite": GOOD, "order": GOOD, "a row of NaN": ODD}


@dataclass(frozen=True, kw_only=True)
class AsksForWeights(Attack):
    """An attack that tries the rule, and takes it for one with weights."""

    key: ClassVar[str] = "asks_for_weights"
    tries_rule: ClassVar[bool] = True
    needed: bool = True

    def forge(self, view):
        weights = view.context.rule.explain(view.honest.updates, 1).weights
        return Forgery(view.own.updates * (1 if weights is None or not self.needed else weights[99]))


def test_an_attack_that_tries_the_rule_is_tried_against_two() -> None:
    def said(attack):
        verdict, sentence = ATTACK_CHECKS["answer"](AttackSubject(attack, 12, 3))
        assert verdict == GOOD
        return sentence

    for name in ("opt", "adaptive", "labelflip+opt"):
        assert "give 3 rows, tried against median and multikrum." in said(attacks.make(name))
        assert ("It acts in training" in said(attacks.make(name))) is (name == "labelflip+opt")
    assert said(attacks.make("extreme")).endswith("give 3 rows, tried against median.")
    assert said(attacks.make("lie")).endswith("give 3 rows.")
    assert said(AsksForWeights(needed=False)).endswith("tried against median and multikrum.")
    with pytest.raises(InputError, match=r"^against multikrum: IndexError: index 99"):
        said(AsksForWeights())
