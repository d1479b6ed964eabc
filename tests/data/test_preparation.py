"""From rows to two parts: who is in the test part, moments against NumPy in float64, labels and ids as numbers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gradskew.core.errors import InputError
from gradskew.data import coding, standard
from gradskew.data.base import Dataset, Split
from gradskew.data.preparation import Examples, Preparation, held_out


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=10, max_size=80),
    st.floats(0.05, 0.5),
    st.integers(0, 5),
)
def test_each_client_gives_its_share(rows, share, seed):
    labels, clients = (np.array(column) for column in zip(*rows, strict=True))
    test = held_out(labels, clients, share, seed)
    for client in set(clients.tolist()):
        own = clients == client
        size = int(own.sum())
        if size > 1:
            assert test[own].sum() == min(max(1, int(np.floor(share * size + 0.5))), size - 1)
        for label in set(labels[own].tolist()):  # evenly over the classes: up to one row more or less
            of_class = own & (labels == label)
            wanted = test[own].sum() * of_class.sum() / size
            assert abs(test[of_class].sum() - wanted) <= 1


@given(st.integers(2, 60), st.floats(0.05, 0.5), st.integers(0, 5))
def test_without_clients_a_class_keeps_a_training_row(size, share, seed):
    labels = np.repeat(np.arange(size // 2), 2)
    test = held_out(labels, None, share, seed)
    assert all((~test[labels == label]).sum() >= 1 for label in range(size // 2))


def test_a_draw_by_hand():
    """Ten rows of one client, five of each class: k = 2, at the places (2 j + 1) 10 / 4 of the order by class."""
    labels = np.array([0, 1] * 5)
    test = held_out(labels, None, 0.2, 0)
    assert labels[test].tolist() in ([0, 1], [1, 0])
    draws = {tuple(np.flatnonzero(held_out(labels, None, 0.2, seed)).tolist()) for seed in range(20)}
    assert len(draws) > 5


SHAPES = {"vectors": (0,), "images of one channel": (0, 1, 2), "images": (0, 2, 3), "more": (0, 1, 2, 3, 4)}


@pytest.mark.parametrize("kind", SHAPES)
def test_moments_are_numpys(kind):
    axes = SHAPES[kind]
    shape = {"vectors": (40, 3), "images": (40, 3, 4, 5), "more": (40, 2, 3, 2, 2)}.get(kind, (40, 4, 5))
    generator = np.random.default_rng(0)
    train, test = 5 + 3 * generator.normal(size=shape), generator.normal(size=(7, *shape[1:]))
    mean, std = train.mean(axes, keepdims=True), train.std(axes, keepdims=True)
    made = standard.standardise(train, test)
    assert made.train.dtype == np.float32
    assert made.train == pytest.approx((train - mean) / std, abs=1e-5)
    assert made.test == pytest.approx((test - mean) / std, abs=1e-5)


@pytest.mark.parametrize(("shape", "axes"), [((30, 4, 5), (0, 1, 2)), ((30, 3, 4, 5), (0, 2, 3))])
def test_bytes_stay_bytes(shape, axes):
    train = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    made = standard.standardise(train, train[:5])
    assert made.train is train
    wide = train.astype(np.float64)
    wanted = (wide - wide.mean(axes, keepdims=True)) / wide.std(axes, keepdims=True)
    assert made.scale * wide + made.shift == pytest.approx(wanted, abs=1e-9)


def test_missing_values_are_the_mean_and_constants_zero():
    train = np.array([[1.0, 0.1], [np.nan, 0.1], [3.0, 0.1]] * 7)
    made = standard.standardise(train, np.array([[np.nan, 0.6]]))
    assert made.train[:3].tolist() == [[-1, 0], [0, 0], [1, 0]]
    assert made.test.tolist() == [[0, np.float32(0.5)]]
    kept = standard.keep(train, np.array([[np.nan, 0.6]]))
    assert kept.train[1].tolist() == [2, np.float32(0.1)]
    assert kept.test[0, 0] == 2


def test_more_rows_than_a_block(monkeypatch):
    monkeypatch.setattr(standard, "BLOCK", 8)
    train = np.random.default_rng(2).normal(size=(101, 3)) * [1, 100, 1e-3] + [0, 1e6, 0]
    made = standard.standardise(train, train[:1])
    assert made.train == pytest.approx((train - train.mean(0)) / train.std(0), abs=1e-5)


def test_moments_that_cannot_be():
    with pytest.raises(InputError, match="no value in any training row"):
        standard.standardise(np.full((3, 2), np.nan), np.zeros((1, 2)))
    with pytest.raises(InputError, match="squares are too large"):
        standard.standardise(np.array([[1e200], [-1e200]]), np.zeros((1, 1)))


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["no", "yes"], ["no", "yes"]),
        (["10", "9", "-1"], ["-1", "9", "10"]),
        (["1.0", "2", "0"], ["0", "1", "2"]),
        ([True, False], ["0", "1"]),
        ([2.0, 1.0], ["1", "2"]),
        (["10", "9", "x"], ["10", "9", "x"]),
    ],
)
def test_labels_by_hand(values, names):
    coded = coding.labels("y", values, np.array([*range(len(values))] * 4))
    assert coded.names == names
    texts = [str(int(float(value))) if names[0] not in ("no", "10") else str(value) for value in values]
    assert [coded.names[code] for code in coded.codes[: len(values)]] == texts


def test_ids_by_hand():
    assert coding.ids(["10", "9", "100"], np.arange(3)).names == ["9", "10", "100"]
    assert coding.ids(["10", "09", "b"], np.arange(3)).names == ["09", "10", "b"]
    assert coding.ids([3.0, 2.0], np.arange(2)).names == ["2", "3"]
    assert coding.ids(["a", "b", "c"], np.array([2, 2])).names == ["c"]  # only those that occur


def examples(labels, **more):
    values = np.arange(2.0 * len(labels)).reshape(-1, 2)
    return Examples(coding.labels("y", *coding.of_array(np.array(labels))), values.__getitem__, **more)


def test_a_test_part_of_its_own():
    in_test = np.array([False] * 6 + [True] * 2)
    dataset = Preparation(standardise=False).dataset(examples([0, 1] * 4, in_test=in_test))
    assert dataset.train.inputs.tolist() == [[2 * i, 2 * i + 1] for i in range(6)]
    assert dataset.test.inputs.tolist() == [[12, 13], [14, 15]]
    with pytest.raises(InputError, match="test part of their own, and test is the share"):
        Preparation(test=0.3).dataset(examples([0, 1] * 4, in_test=in_test))
    dataset = Preparation().dataset(examples([0, 1] * 3 + [2, 2], in_test=in_test))
    assert "no training row is of class 2" in dataset.notes


def test_notes_are_not_in_the_digest_and_can_be_printed():
    rows = [(torch.rand(4, 2), torch.tensor([0, 1, 0, 1])) for _ in range(2)]
    plain, noted = (Dataset(*(Split(*row) for row in rows), 2, notes=notes) for notes in ((), ("said",)))
    assert plain.digest == noted.digest
    for notes in (("two\nlines",), (3,)):
        with pytest.raises(InputError, match="notes must be texts of one line"):
            Dataset(*(Split(*row) for row in rows), 2, notes=notes)
    odd = Preparation().dataset(examples(["line\none", "x"] * 6))
    assert any(r"line\none" in note for note in odd.notes)
