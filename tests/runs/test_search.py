"""Search spaces as text: dimensions by hand, and one line for each that is wrong."""

import pytest

from gradskew.core.errors import InputError
from gradskew.runs.search import Dimension, filled, read_search


def read(given, **settings):
    return read_search(given, {"rules": "cclip(tau={tau})", **settings})


@pytest.mark.parametrize(
    ("text", "dimension"),
    [
        ("tau=0.1:100:log", Dimension("tau", (), 0.1, 100.0, log=True)),
        ("tau=1:100", Dimension("tau", (), 1, 100, whole=True)),
        ("tau=1.0:100", Dimension("tau", (), 1.0, 100.0)),
        ("tau=a,b", Dimension("tau", ["a", "b"])),
    ],
)
def test_the_values_of_a_placeholder(text, dimension):
    assert read(text) == [dimension]


@pytest.mark.parametrize(
    ("text", "dimension"),
    [
        ("lr=1:10", Dimension("lr", (), 1.0, 10.0)),
        ("batch=8:64:log", Dimension("batch", (), 8, 64, log=True, whole=True)),
        ("momentum=0,0.9", Dimension("momentum", [0.0, 0.9])),
        ("worker-momentum=0:0.9", Dimension("worker_momentum", (), 0.0, 0.9)),
        ("local=fedavg,fedprox(mu=0.1)", Dimension("local", ["fedavg", "fedprox(mu=0.1)"])),
    ],
)
def test_the_values_of_an_option(text, dimension):
    assert read_search(text, {}) == [dimension]


def test_entries_with_names_begin_dimensions_in_text_and_mappings():
    dimensions = read("lr=0.1:1, momentum=0,0.9,tau=1:2")
    assert [dimension.name for dimension in dimensions] == ["lr", "momentum", "tau"]
    assert read({"lr": "0.1:1", "momentum": [0, 0.9], "tau": "1:2"}) == dimensions
    assert ", ".join(map(str, dimensions)) == "lr=0.1:1, momentum=0,0.9, tau=1:2"


def test_a_choice_may_have_a_placeholder_of_its_own():
    (local, mu) = read_search("local=fedavg,fedprox(mu={mu}),mu=0.01:1:log", {"rules": "mean"})
    assert (local.name, mu.name, mu.log) == ("local", "mu", True)
    made = filled({"rules": "mean"}, {"local": "fedprox(mu={mu})", "mu": 0.25})
    assert made == {"rules": "mean", "local": "fedprox(mu=0.25)"}


def test_settings_are_filled_with_values():
    settings = {"rules": "nnm+cclip(tau={tau},iterations={i})", "rounds": 3, "attacks": "lie"}
    made = filled(settings, {"lr": 0.5, "tau": 2.0, "i": 4})
    assert made == {"rules": "nnm+cclip(tau=2,iterations=4)", "rounds": 3, "attacks": "lie", "lr": 0.5}


def test_real_numbers_are_rounded_within_their_range():
    dimension = Dimension("lr", (), 0.1, 0.99999)
    assert [dimension.value(drawn) for drawn in (0.123456, 0.99998, 0.1)] == [0.1235, 0.99999, 0.1]
    assert Dimension("batch", (), 1, 90_001, whole=True).value(12_345) == 12_345


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lrr=0.1:1,tau=1:2", "unknown option in the search 'lrr'; did you mean 'lr'?"),
        ("rounds=1:2,tau=1:2", "unknown option in the search 'rounds'"),
        ("lr=0.1:1", "{tau} has no values: add tau=LOW:HIGH or a list of values to the search"),
        ("tau=2:1", "the range of tau is empty: 2:1"),
        ("tau=1:1", "the range of tau is empty: 1:1"),
        ("tau=0:1:log", "the range of tau begins at 0, and a logarithmic one begins above 0"),
        ("tau=1:2:lin", "a search over tau is LOW:HIGH, LOW:HIGH:log or a list of values, not '1:2:lin'"),
        ("tau=1", "a search over tau is LOW:HIGH, LOW:HIGH:log or a list of values, not '1'"),
        ("tau=a:b", "tau in the search must be a number, not 'a'"),
        ("tau=1:inf", "tau in the search must be a number, not inf"),
        ("tau=1:2,batch=8.5:9", "batch in the search must be a whole number, not '8.5'"),
        ("tau=1:2,momentum=0,x", "momentum in the search must be a number, not 'x'"),
        ("tau=1:2,momentum=0,0.0", "a value is given twice in the search over momentum: 0.0"),
        ("tau=1:2,tau=1:3", "tau is given twice in the search"),
        ("tau=1:2,lr=", "the search over lr has an empty value"),
        ("0.1:1", "the search has NAME=LOW:HIGH or NAME=VALUE,VALUE, not '0.1:1'"),
        ("tau=1:2,local=fedavg", "the search over local has one value, 'fedavg': give several"),
        ("tau=1:2,clip=1:2", "clip is given twice: a value, and the search clip=1:2"),
    ],
)
def test_a_wrong_search_is_one_line(text, said):
    with pytest.raises(InputError) as error:
        read(text, clip=2.0)
    assert said in str(error.value)


def test_a_placeholder_has_no_name_of_an_option():
    with pytest.raises(InputError, match=r"lr is an option of its own: give the placeholder \{lr\} another name"):
        read_search("lr=1:2", {"rules": "cclip(tau={lr})"})
