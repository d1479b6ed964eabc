"""Metrics as columns, and stored runs whose rounds are read again when they are asked for."""

import math
from dataclasses import replace

import pytest
from tiny_runs import RUNS

from gradskew import Lens, Store, attacks, simulate
from gradskew.core.errors import InputError
from gradskew.runs.columns import KEPT, Columns, StoredRounds

RUN = replace(RUNS["mean"], attack=attacks.make("strike"), rounds=3)


@pytest.fixture(scope="module")
def result():
    return simulate(RUN)


@pytest.fixture
def store(tmp_path, result):
    Store(tmp_path).save(result, 1.0)
    return Store(tmp_path)


def test_a_stored_run_has_the_columns_and_the_rounds_of_its_record(store, result):
    (stored,) = store.all()
    assert stored == store.load(RUN.digest)
    assert (len(stored.rounds), stored.rounds[-1], list(stored.rounds)) == (3, result.rounds[-1], result.rounds)
    assert stored.columns["distance"] == [metrics["distance"] for metrics in result.rounds]
    assert stored.columns["attack"] == [metrics["attack"] for metrics in result.rounds]
    for name in ("kappa", "towards", "clients", "classes", "shut_out"):
        assert stored.columns[f"lens.{name}"] == [metrics["lens"][name] for metrics in result.rounds]
    assert stored.columns["lens.honest"] == [len(metrics["lens"]["towards"]) for metrics in result.rounds]
    loaded = store.load(RUN.digest)
    for name in (*KEPT, "lens.principal_pearson"):
        assert stored.columns[name] == loaded.columns[name]
    assert Lens(stored).band("skewness") == Lens(loaded).band("skewness")


def test_a_removed_record_is_said_and_its_columns_stay(store, result):
    (stored,) = store.all()
    (store.runs / RUN.digest / "record.json").unlink()
    with pytest.raises(InputError, match="was changed or removed since it was read"):
        list(stored.rounds)
    assert stored.accuracy == result.rounds[-1]["accuracy"]


def test_columns_keep_what_a_record_may_hold():
    """Missing values, integers, half a surrogate pair and large integers in notes, rounds that the lens left out."""
    rounds = [
        {"distance": 1.5, "rejected": 2, "rule": {"note": "\ud800"}, "lens": None},
        {"distance": None, "rejected": 0, "rule": {"n": 2**70}, "lens": {"kappa": 0.25, "towards": [1.0, 1.0]}},
    ]
    kept = StoredRounds(rounds, lambda: rounds).columns
    for columns in (Columns(rounds), kept):
        assert columns["distance"] == [1.5, None]
        assert columns["rejected"] == [2, 0]
        assert all(type(value) is int for value in columns["rejected"])
        assert columns["rule"] == [{"note": "\ud800"}, {"n": 2**70}]
        assert (columns["lens.round"], columns["lens.kappa"], columns["lens.honest"]) == ([1], [0.25], [2])
        assert columns["lens.skewness"] == [None]  # of equal projections
        assert columns["later"] == [None, None]


def test_infinities_are_no_missing_values():
    rounds = [{"distance": math.inf}, {"distance": -0.0}]
    values = StoredRounds(rounds, lambda: rounds).columns["distance"]
    assert values == [math.inf, 0.0]
    assert math.copysign(1, values[1]) == -1
