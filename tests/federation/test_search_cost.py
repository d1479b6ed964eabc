"""What a search costs is said before it starts, where each try is a call of the rule."""

from dataclasses import replace

import pytest

from gradskew import Run, aggregators, attacks
from gradskew.aggregators import Aggregator
from gradskew.federation import search_cost
from gradskew.federation.search_cost import SearchCost, slowest


def run(attack: str, rule: str, **changes) -> Run:
    return replace(Run(), attack=attacks.make(attack), aggregator=aggregators.make(rule), **changes)


def test_the_sentence_by_hand() -> None:
    """300 calls of 1.5 s are 450 s a round, and 60 rounds of these 450 min."""
    assert SearchCost(run("adaptive(aim=stop)", "mda", rounds=60), 300, 1.5).sentence == (
        "adaptive(aim=stop) calls mda about 300 times a round: about 450 s a round and 450 min a run; "
        "its option limit (worst takes it, too) makes fewer tries, such as limit=50."
    )


def test_all_runs_count_and_four_tries_are_the_least_proposed() -> None:
    """8 calls of 1.5 s are 12 s a round; no fewer than 4 tries are proposed."""
    few = SearchCost(run("adaptive(aim=stop)", "mda", rounds=2), 8, 1.5, of_all=180.0)
    assert few.sentence == (
        "adaptive(aim=stop) calls mda about 8 times a round: about 12 s a round and 24 s a run, 3 min of all runs with "
        "such searches; its option limit (worst takes it, too) makes fewer tries, such as limit=4."
    )
    assert replace(few, calls=7, of_all=None).sentence.endswith("about 10 s a round and 21 s a run.")


@pytest.mark.parametrize(
    ("attack", "calls", "proposed"),
    [
        ("opt", 120, "option tries makes fewer tries, such as tries=50."),
        ("opt(tries=60)", 60, "option tries makes fewer tries, such as tries=30."),
        ("adaptive(limit=20)", 20, "option limit (worst takes it, too) makes fewer tries, such as limit=10."),
        ("labelflip+adaptive", 330, "option limit (worst takes it, too) makes fewer tries, such as limit=50."),
    ],
)
def test_the_option_that_makes_fewer_tries_is_the_attacks_own(attack: str, calls: int, proposed: str) -> None:
    sentence = SearchCost(run(attack, "mda"), calls, 1.5).sentence
    assert sentence.endswith(proposed)
    name, _, value = proposed.removesuffix(".").rpartition(" ")[2].partition("=")
    fewer = attack.split("(")[0] + f"({name}={value})"
    assert attacks.make(fewer).calls(aggregators.make("mda")) < calls


def test_only_the_slowest_search_above_a_second_a_round_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"mda": 0.01, "smea": 0.001, "multikrum": 9.0}
    measured = []

    def measure(run: Run) -> SearchCost:
        measured.append(run.aggregator.name)
        return SearchCost(run, run.attack.calls(run.aggregator), seconds[run.aggregator.name])

    monkeypatch.setattr(search_cost, "_measured", measure)
    runs = [run(attack, rule, seed=seed) for attack in ("lie", "adaptive") for rule in seconds for seed in (0, 1)]
    found = slowest(runs)
    assert found is not None
    assert found.run.aggregator.name == "mda"
    assert measured == ["mda", "smea"]  # once each; many tries of multikrum are one call
    calls, rounds = found.run.attack.calls(found.run.aggregator), found.run.rounds
    assert found.of_all == pytest.approx(2 * calls * rounds * (0.01 + 0.001))  # two seeds
    seconds.update(mda=0.001)
    assert slowest(runs) is None
    assert slowest(runs[:6]) is None  # of lie alone


class Broken(Aggregator):
    """A user's rule that raises what it likes."""

    key = "broken"

    def outcome(self, rows, f, generator):
        raise RuntimeError("not today")


def test_a_rule_that_raises_has_no_time_and_its_runs_say_so() -> None:
    assert slowest([replace(run("adaptive", "mda"), aggregator=Broken())]) is None
