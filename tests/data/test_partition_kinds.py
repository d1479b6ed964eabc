"""Partitions by similarity, shards, classes, sizes, a long tail: by hand, by the oracle, and what is refused."""

import math
from itertools import chain, compress

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import assume, given
from hypothesis import strategies as st
from oracle_partitions import one_by_one, pieces, proportional, split_equally
from test_partition import labelled

from gradskew.cli import cli
from gradskew.core.errors import InputError
from gradskew.core.names import describe
from gradskew.core.randomness import numpy_generator
from gradskew.data import Digits, partition
from gradskew.data.classes import Classes
from gradskew.data.longtail import LongTail
from gradskew.data.mixes import draw_counts
from gradskew.data.partition import Dirichlet
from gradskew.data.shards import Shards
from gradskew.data.similarity import Similarity
from gradskew.data.sizes import LAWS, Sizes, apportioned

LABELS = st.lists(st.integers(0, 3), min_size=30, max_size=200)
SEEDS = st.integers(0, 2**63)


def dealt(deal, labels, clients, seed, num_classes=4):
    """The labels of each client's inputs, sorted."""
    parts = deal(labelled(labels, num_classes), clients, seed)
    return [sorted(labels[i] for i in part.tolist()) for part in parts]


def counts(deal, labels, clients, seed, num_classes=4):
    """How many inputs of each class each client has: (clients, classes)."""
    shares = dealt(deal, labels, clients, seed, num_classes)
    return np.array([np.bincount(of_client, minlength=num_classes) for of_client in shares])


def in_digits(deal, clients=50, seed=0):
    """How many digits of each class each client has."""
    labels = Digits().load().train.labels
    return np.array([labels[part].bincount(minlength=10).tolist() for part in deal(Digits().load(), clients, seed)])


def test_extreme_by_hand():
    """Two of each of four classes, four clients: each has one class. Three: 3, 3 and 2 inputs."""
    assert partition.make("extreme") == Similarity(gamma=0.0)
    labels = [3, 1, 0, 2, 2, 0, 1, 3]
    assert sorted(dealt(Similarity(gamma=0), labels, 4, 0)) == [[0, 0], [1, 1], [2, 2], [3, 3]]
    assert sorted(len(part) for part in dealt(Similarity(gamma=0), labels, 3, 0)) == [2, 3, 3]


@given(labels=LABELS, clients=st.integers(1, 7), seed=SEEDS)
def test_extreme_cuts_the_sorted_labels(labels, clients, seed):
    got = sorted(dealt(Similarity(gamma=0.0), labels, clients, seed))
    assert [label for part in got for label in part] == sorted(labels)
    assert sorted(map(len, got)) == sorted(map(len, pieces(labels, clients)))


@given(labels=LABELS, clients=st.integers(1, 7), seed=SEEDS, gamma=st.sampled_from([0.0, 0.1, 0.29, 0.5, 0.9, 1.0]))
def test_similar_clients_have_equally_many_inputs_of_both_kinds(labels, clients, seed, gamma):
    """The sorted part of a client is a run of the sorted rest, so it covers few classes; the even part is any."""
    parts = Similarity(gamma=gamma)(labelled(labels, 4), clients, seed)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    even = math.floor(round(gamma * 100) * len(labels) / 100)
    order = numpy_generator(seed, "partition").permutation(len(labels)).tolist()
    of_rest = [sorted(labels[i] for i in part.tolist() if i in set(order[even:])) for part in parts]
    assert [label for part in sorted(of_rest) for label in part] == sorted(labels[i] for i in order[even:])
    of_even = [sum(i in set(order[:even]) for i in part.tolist()) for part in parts]
    assert sorted(of_even) == sorted(map(len, pieces([0] * even, clients)))


def test_similarity_of_the_digits_grows_with_gamma():
    """gamma = 1 is IID: no class has a large share; gamma = 0 gives each client one class or two."""
    largest = [(of := in_digits(Similarity(gamma=gamma))).max(1).sum() / of.sum() for gamma in (0.0, 0.5, 1.0)]
    assert largest[0] > 0.85
    assert 0.5 < largest[1] < 0.75
    assert largest[2] < 0.3
    assert ((in_digits(Similarity(gamma=0.0)) > 0).sum(1) <= 2).all()


def test_pieces_go_to_clients_in_a_random_order():
    """In order the first clients, which are the Byzantine ones, would have class 0 alone."""
    first = [in_digits(deal, seed=seed)[0].argmax() for seed in range(12) for deal in (Similarity(gamma=0.0), Shards())]
    assert len({*first}) > 4


def test_shards_by_hand():
    """Four classes of two, two clients, k = 2: four shards of one class each, two for each client."""
    labels = [0, 1, 2, 3, 3, 2, 1, 0]
    for seed in range(5):
        got = dealt(Shards(k=2), labels, 2, seed)
        assert sorted(label for part in got for label in part) == sorted(labels)
        assert all(part[0] == part[1] and part[2] == part[3] for part in got)
    assert len({str(dealt(Shards(k=2), labels, 2, seed)) for seed in range(12)}) > 1


@given(labels=LABELS, clients=st.integers(1, 6), k=st.integers(1, 5), seed=SEEDS)
def test_shards_are_pieces_of_the_sorted_labels(labels, clients, k, seed):
    """All clients' inputs together are the pieces of the oracle, k of them each: the sums of sizes and labels agree."""
    cut = pieces(labels, clients * k)
    owners = numpy_generator(seed, "partition")
    for label in range(4):
        owners.permutation(labels.count(label))  # of the images of each class
    turns = owners.permutation(clients * k)
    wanted = [sorted(chain.from_iterable(compress(cut, turns // k == i))) for i in range(clients)]
    assert dealt(Shards(k=k), labels, clients, seed) == wanted


def test_classes_by_hand():
    """Six of class 0, four of class 1, k = 1, three clients: two share a class, and the third has the other."""
    seen = {
        tuple(sorted(map(tuple, dealt(Classes(k=1, min_samples=1), [0] * 6 + [1] * 4, 3, seed, 2))))
        for seed in range(20)
    }
    assert seen == {((0,) * 3, (0,) * 3, (1,) * 4), ((0,) * 6, (1,) * 2, (1,) * 2)}


@given(
    labels=LABELS, clients=st.integers(4, 8), k=st.integers(1, 4), first=st.sampled_from(["random", "turn"]), seed=SEEDS
)
def test_a_class_is_split_equally_among_its_owners(labels, clients, k, first, seed):
    assume(min(map(labels.count, range(4))) >= clients)  # else an owner of a class may get none of it
    got = counts(Classes(k=k, first=first, min_samples=1), labels, clients, seed)
    assert got.sum(0).tolist() == [labels.count(c) for c in range(4)]
    assert ((got > 0).sum(1) == k).all()
    if first == "turn":
        assert all(got[i, i % 4] for i in range(clients))
    for label, of_class in enumerate(got.T):
        owners = np.flatnonzero(of_class).tolist()
        assert of_class[owners].tolist() == split_equally(labels.count(label), owners)


def test_classes_of_the_digits():
    """With more inputs than owners a client has exactly k; in turn, client i has the class i modulo 10."""
    got = in_digits(Classes(k=3, min_samples=2))
    assert ((got > 0).sum(1) == 3).all()
    assert (got.sum(1) >= 2).all()
    turn = in_digits(Classes(k=1, first="turn", min_samples=2), clients=20)
    assert turn.argmax(1).tolist() == [i % 10 for i in range(20)]
    assert in_digits(Classes(k=1, first="turn", min_samples=2), clients=10).sum() == 1437


@given(
    weights=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=9), extra=st.integers(0, 300), least=st.integers(1, 9)
)
def test_sizes_are_proportional_up_to_a_unit_and_to_the_minimum(weights, extra, least):
    total = least * len(weights) + extra
    got = apportioned(np.array(weights), total, least)
    assert got.sum() == total
    assert got.min() >= least
    assert got.tolist() == pytest.approx(proportional(weights, total, least), abs=1 + 1e-6)


def test_sizes_by_hand():
    """Weights 6, 3, 2: 11 inputs exactly; with a minimum of 3, 6 are given and 5 are left for the largest.

    1, 1 and 2 of 7: 1.75, 1.75 and 3.5; rounded down 1, 1 and 3, and the two places go to the fractions of 0.75.
    """
    assert apportioned(np.array([6.0, 3.0, 2.0]), 11, 1).tolist() == [6, 3, 2]
    assert apportioned(np.array([6.0, 3.0, 2.0]), 11, 3).tolist() == [5, 3, 3]
    assert apportioned(np.array([1.0, 1.0, 2.0]), 7, 1).tolist() == [2, 2, 3]
    assert sorted(map(len, dealt(Sizes(s=1.0, min_samples=1), [0] * 11, 3, 0))) == [2, 3, 6]


@pytest.mark.parametrize("law", LAWS)
def test_each_law_on_the_digits(law):
    """The sizes in order are those of the law; the mixes of classes are all alike."""
    s = {"exponential": 0.1, "lognormal": 1.0}.get(law, 1.5)
    got = in_digits(Sizes(law=law, s=s, min_samples=2))
    sizes = np.sort(got.sum(1))[::-1]
    assert (sizes.sum(), sizes.min() >= 2) == (1437, True)
    ranks = np.arange(1, 51)
    weights = {"power": ranks**-1.5, "linear": ranks[::-1], "exponential": np.exp(-0.1 * ranks)}.get(law)
    if weights is not None:
        assert sizes.tolist() == pytest.approx(proportional(weights, 1437, 2), abs=1 + 1e-6)
    else:
        assert sizes[0] > 3 * sizes[-1]
    large = got[got.sum(1) > 100]
    assert (large.max(1) < 0.3 * large.sum(1)).all()


def test_the_largest_client_is_any():
    assert len({int(in_digits(Sizes(min_samples=2), seed=seed).sum(1).argmax()) for seed in range(8)}) > 4


@pytest.mark.parametrize("s", [5e-324, 1e-9, 1e300, 1.7e308])
@pytest.mark.parametrize("law", [law for law in LAWS if law != "linear"])
def test_extreme_laws_deal_all_the_same(law, s):
    sizes = in_digits(Sizes(law=law, s=s, min_samples=2)).sum(1)
    assert (sizes.sum(), sizes.min() >= 2) == (1437, True)
    if law == "dirichlet" and s > 1:
        assert sizes.max() - sizes.min() <= 1  # the limit of Dirichlet(s): equal shares


def test_a_long_tail_by_hand():
    """Three classes of 100, gamma = 0.01: 100, 10 and 1 are kept, and each of three clients has 37 of them."""
    labels = [label for label in range(3) for _ in range(100)]
    got = counts(LongTail(gamma=0.01), labels, 3, 0, 3)
    assert got.sum(0).tolist() == [100, 10, 1]
    assert got.sum(1).tolist() == [37, 37, 37]
    assert counts(LongTail(gamma=0), labels, 3, 0, 3).sum(0).tolist() == [100, 0, 0]
    assert counts(LongTail(gamma=1), labels, 3, 0, 3).sum(0).tolist() == [100, 100, 100]


@given(labels=LABELS, gamma=st.floats(0.1, 1), clients=st.integers(1, 4), seed=SEEDS)
def test_a_long_tail_keeps_shares_and_deals_them_once(labels, gamma, clients, seed):
    parts = LongTail(gamma=gamma)(labelled(labels, 4), clients, seed) if labels.count(0) >= clients else []
    kept = torch.cat(list(parts)).tolist() if parts else []
    assert len({*kept}) == len(kept)
    for label in range(4) if parts else ():
        wanted = labels.count(label) * gamma ** (label / 3)
        assert sum(labels[i] == label for i in kept) == pytest.approx(wanted, abs=0.5 + 1e-9)
    assert not parts or max(map(len, parts)) - min(map(len, parts)) <= 1


def test_drawing_by_client_by_hand():
    """A mix of one class gets that class alone; one whose class is used up draws from what is left."""
    draw = numpy_generator(0, "test")
    own = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert draw_counts(own, np.array([3, 2]), np.array([3, 2]), draw).tolist() == [[3, 0], [0, 2]]
    same = np.array([[1.0, 0.0], [1.0, 0.0]])
    got = {str(draw_counts(same, np.array([2, 2]), np.array([1, 3]), draw).tolist()) for _ in range(40)}
    assert got == {"[[1, 1], [0, 2]]", "[[0, 2], [1, 1]]"}


def test_drawing_by_client_agrees_with_one_draw_at_a_time():
    """Mean counts over 2,000 draws: the standard error of a mean is at most 0.04."""
    mixes, sizes, left = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.4, 0.4, 0.2]]), np.array([5, 4, 4]), [3, 6, 4]
    draw, other = numpy_generator(0, "test"), numpy_generator(1, "test")
    means = sum(draw_counts(mixes, sizes, np.array(left), draw) for _ in range(2000)) / 2000
    wanted = sum(np.array(one_by_one(mixes.tolist(), sizes.tolist(), left, other)) for _ in range(2000)) / 2000
    assert np.abs(means - wanted).max() < 0.15


@given(labels=LABELS, beta=st.sampled_from([1e-12, 0.05, 1.0, 50.0]), clients=st.integers(1, 6), seed=SEEDS)
def test_by_client_all_have_equally_many(labels, beta, clients, seed):
    parts = Dirichlet(by="client", beta=beta, min_samples=1)(labelled(labels, 4), clients, seed)
    assert sorted(torch.cat(list(parts)).tolist()) == list(range(len(labels)))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_by_client_of_a_size_that_is_given():
    """Each client has five inputs of its own, and the others are nobody's."""
    parts = Dirichlet(by="client", size=5, min_samples=2)(labelled([0, 1, 2, 3] * 10, 4), 6, 0)
    dealt = torch.cat(list(parts)).tolist()
    assert [len(part) for part in parts] == [5] * 6
    assert len(set(dealt)) == 30
    assert set(dealt) <= set(range(40))


def test_by_client_the_mix_is_as_uneven_as_beta_says():
    """A client's largest class has most of its inputs at beta = 0.05, and about a tenth at 1000; sizes are equal."""
    largest = [in_digits(Dirichlet(by="client", beta=beta, min_samples=2)).max(1).mean() for beta in (0.05, 1000.0)]
    assert largest[0] > 15
    assert largest[1] < 8


def test_options_at_their_default_are_in_no_digest():
    assert describe(Dirichlet()) == {"name": "dirichlet", "beta": 0.5, "min_samples": 10}
    assert describe(Dirichlet(by="client"))["by"] == "client"
    assert describe(Shards()) == {"name": "shards"}
    assert describe(partition.make("extreme")) == {"name": "similarity", "gamma": 0.0}


WRONG = {
    "classes(k=11)": "a client cannot have 11 classes: there are 10",
    "classes(k=0)": "k must be at least 1",
    "classes(first=last)": "first must be one of random, turn",
    "shards(k=30)": "50 clients with 30 shards each need 1500 inputs or more: there are 1437",
    "shards(k=1.5)": "k must be a whole number",
    "similarity(gamma=1.5)": "gamma must be at least 0 and at most 1, not 1.5",
    "longtail(gamma=-0.1)": "gamma must be at least 0 and at most 1, not -0.1",
    "sizes(law=zipf)": "law must be one of power, linear, exponential, lognormal, dirichlet, not 'zipf'",
    "sizes(s=0)": "s must be above 0",
    "sizes(law=linear,s=3)": "the law linear has no s",
    "sizes(min_samples=29)": "50 clients cannot have 29 inputs each: there are 1437",
    "dirichlet(by=class_)": "by must be one of class, client",
    "dirichlet(by=client,min_samples=29)": "50 clients cannot have 29 inputs each",
    "dirichlet(size=5)": "size is the number of inputs of each client: it needs by=client",
    "dirichlet(by=client,size=29)": "there are 1437; use fewer clients or a smaller size",
    "dirichlet(by=client,size=1)": "size = 1 is less than min_samples = 2",
    "dirichlet(by=client,size=0)": "size must be at least 1",
    "extreme(gamma=0.1)": "it takes no other gamma",
    "similarty": "did you mean 'similarity'?",
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_dealt_is_one_line_before_anything_runs(name, tmp_path):
    done = CliRunner().invoke(cli, ["bench", "--partition", name, "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, InputError), done.output
    assert WRONG[name] in str(done.exception)
    assert "\n" not in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_too_few_clients_for_the_classes_and_too_few_inputs_of_a_tail():
    with pytest.raises(InputError, match="4 clients with 2 classes each cannot have all of 10 classes"):
        Classes()(Digits().load(), 4, 0)
    with pytest.raises(InputError, match=r"gamma = 0\.0 keeps 2 of 30 inputs, too few for 5 clients"):
        LongTail(gamma=0.0)(labelled([0, 0] + [1] * 28, 2), 5, 0)
    with pytest.raises(InputError, match="in 1000 draws of 1 classes for each of 10 clients a class had no client or"):
        Classes(k=1, min_samples=140)(Digits().load(), 10, 0)


@pytest.mark.parametrize("wrong", [0, 1.5, None, math.nan])
def test_a_number_of_shards_or_classes_is_whole(wrong):
    for make in (Shards, Classes):
        with pytest.raises(InputError, match="k must be"):
            make(k=wrong)
