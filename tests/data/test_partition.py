"""Partitions: every image is dealt exactly once, and the promises of each kind."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gradskew.core.errors import InputError
from gradskew.data import Dataset, Digits, Split, partition
from gradskew.data.classes import Classes
from gradskew.data.partition import IID, MAX_DRAWS, ByWriter, Dirichlet
from gradskew.data.shards import Shards
from gradskew.data.similarity import Similarity
from gradskew.data.sizes import LAWS, Sizes


def labelled(labels, num_classes):
    """A data set of blank images with these labels."""
    labels = torch.tensor(labels)
    return Dataset(Split(torch.zeros(len(labels), 1), labels), Split(torch.zeros(1, 1), labels[:1]), num_classes)


def written(writers):
    """A data set of blank images by these writers."""
    dataset = labelled([0] * len(writers), 2)
    return replace(dataset, train=replace(dataset.train, writers=torch.as_tensor(writers)))


PARTITIONS = st.one_of(
    st.just(IID()),
    st.builds(Dirichlet, beta=st.sampled_from([0.05, 0.5, 1.0, 20.0]), min_samples=st.sampled_from([1, 2])),
    st.builds(Dirichlet, by=st.just("client"), beta=st.sampled_from([0.05, 20.0]), min_samples=st.sampled_from([1, 2])),
    st.builds(Similarity, gamma=st.floats(0, 1)),
    st.builds(Shards, k=st.integers(1, 5)),
    st.builds(Classes, k=st.just(4), min_samples=st.sampled_from([1, 2])),
    st.builds(Sizes, law=st.sampled_from(LAWS), min_samples=st.sampled_from([1, 2])),
)


DRAWN = [name for name in (*partition.PARTITIONS, "extreme") if name not in ("writer", "flwr")]


@given(
    deal=PARTITIONS,
    labels=st.lists(st.integers(0, 3), min_size=30, max_size=200),
    clients=st.integers(1, 4),
    seed=st.integers(0, 2**63),
)
def test_every_image_is_dealt_exactly_once(deal, labels, clients, seed):
    parts = deal(labelled(labels, 4), clients, seed)
    assert len(parts) == clients
    assert all(part.dtype == torch.int64 for part in parts)
    assert sorted(torch.cat(list(parts)).tolist()) == list(range(len(labels)))
    assert min(map(len, parts)) >= getattr(deal, "min_samples", 1)


@pytest.mark.parametrize("name", [*DRAWN, "dirichlet(by=client)"])
def test_the_same_seed_deals_alike_and_another_does_not(name):
    deal, digits = partition.make(name, min_samples=2), Digits().load()
    first = deal(digits, 20, 3)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002  (the global state must not matter)
    again, other = deal(digits, 20, 3), deal(digits, 20, 4)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_seeds_that_share_their_low_bits_deal_differently():
    digits = Digits().load()
    assert not torch.equal(IID()(digits, 2, 7)[0], IID()(digits, 2, 7 + 2**32)[0])


@given(images=st.integers(1, 300), clients=st.integers(1, 40))
def test_iid_sizes_differ_by_one_at_most(images, clients):
    clients = min(images, clients)
    sizes = [len(part) for part in IID()(labelled([0] * images, 2), clients, 0)]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("min_samples", [1, 5, 15])
def test_min_samples_is_respected(min_samples):
    parts = Dirichlet(beta=0.5, min_samples=min_samples)(Digits().load(), 20, 0)
    assert min(map(len, parts)) >= min_samples


def skew(beta, seed):
    """The clients' mean total-variation distance between their labels and everyone's."""
    digits = Digits().load()
    everyone = np.bincount(digits.train.labels.numpy(), minlength=10) / len(digits.train)
    parts = Dirichlet(beta=beta, min_samples=1)(digits, 10, seed)
    shares = [np.bincount(digits.train.labels[part].numpy(), minlength=10) / len(part) for part in parts]
    return np.mean([np.abs(share - everyone).sum() / 2 for share in shares])


def test_skew_grows_as_beta_falls():
    means = [np.mean([skew(beta, seed) for seed in range(3)]) for beta in (100.0, 1.0, 0.1)]
    assert means[0] + 0.1 < means[1] < means[2] - 0.1


def test_one_client_has_everything():
    assert len(Dirichlet(min_samples=2)(Digits().load(), 1, 0)[0]) == 1437


def test_the_impossible_case_ends_with_one_line_that_helps():
    with pytest.raises(InputError) as caught:
        Dirichlet(beta=0.2, min_samples=10)(Digits().load(), 50, 0)
    message = str(caught.value)
    for part in ("beta = 0.2", "50 clients", "10 of 1437 inputs", f"{MAX_DRAWS} draws", "best minimum: "):
        assert part in message
    best = int(message.split("best minimum: ")[1].split(")")[0])
    assert 0 <= best < 10
    for option in ("larger beta", "fewer clients", "smaller min_samples"):
        assert option in message
    assert "\n" not in message
    reached = Dirichlet(beta=0.2, min_samples=max(1, best))(Digits().load(), 50, 0)  # the best minimum is a true one
    assert min(map(len, reached)) == best


def test_a_minimum_that_no_draw_can_give_is_refused_at_once(monkeypatch):
    monkeypatch.setattr(partition, "MAX_DRAWS", 10**9)
    with pytest.raises(InputError, match="50 clients cannot have 29 inputs each: there are 1437"):
        Dirichlet(min_samples=29)(Digits().load(), 50, 0)  # 50 * 29 = 1450


@pytest.mark.parametrize("deal", [IID(), Dirichlet(min_samples=1)])
@pytest.mark.parametrize("clients", [1438, 10**18])
def test_more_clients_than_samples(deal, clients):
    with pytest.raises(InputError, match=f"{clients} clients cannot share 1437 training inputs"):
        deal(Digits().load(), clients, 0)


@pytest.mark.parametrize("beta", [0, -1.0, math.nan, math.inf, "1", True, 10**400])
def test_beta_is_a_positive_number(beta):
    with pytest.raises(InputError, match="beta"):
        Dirichlet(beta=beta)


@pytest.mark.parametrize("least", [0, -3, 1.5, None])
def test_min_samples_is_a_positive_whole_number(least):
    with pytest.raises(InputError, match="min_samples"):
        Dirichlet(min_samples=least)


@pytest.mark.parametrize("beta", [5e-324, 1e-12, 1e300])
def test_extreme_betas_deal_all_the_same(beta):
    parts = Dirichlet(beta=beta, min_samples=1)(Digits().load(), 4, 0)
    assert sum(map(len, parts)) == 1437


def test_names_of_partitions():
    assert partition.make("iid", beta=0.3) == IID()
    assert partition.make("dirichlet", min_samples=2) == Dirichlet(min_samples=2)
    assert partition.make("dirichlet(beta=0.1)", beta=9.0) == Dirichlet(beta=0.1)
    assert partition.make("writer", beta=0.3, min_samples=2) == ByWriter()


@given(writers=st.lists(st.integers(0, 9), min_size=1, max_size=60), seed=st.integers(0, 2**63), data=st.data())
def test_each_client_has_the_images_of_one_writer(writers, seed, data):
    dataset = written(writers)
    known = sorted(set(writers))
    clients = data.draw(st.integers(1, len(known)))
    parts = ByWriter()(dataset, clients, seed)
    wanted = [[image for image, by in enumerate(writers) if by == writer] for writer in known[:clients]]
    assert [part.tolist() for part in parts] == wanted
    assert ByWriter().writers(dataset) == len(known)


def test_more_clients_than_writers():
    with pytest.raises(InputError, match="3 clients of their own, not 4: partition = dirichlet deals anew"):
        ByWriter()(written([7, 7, 2, 0, 2]), 4, 0)


def test_data_without_writers():
    for call in (lambda: ByWriter()(Digits().load(), 5, 0), lambda: ByWriter().writers(Digits().load())):
        with pytest.raises(InputError, match="no clients of their own"):
            call()


def test_thousands_of_writers():
    writers = np.random.Generator(np.random.PCG64(0)).integers(0, 3597, 800_000)
    dataset = written(writers)
    parts = ByWriter()(dataset, 3597, 0)  # a tenth of a second; a scan a writer would take a minute
    assert torch.equal(torch.cat(list(parts)).sort().values, torch.arange(800_000))
