"""Mixings and pipelines by hand."""

import math

import pytest
import torch
from cases import make_rows, rows_of

from gradskew import aggregators as agg
from gradskew.aggregators import NNM, Bucketing, Mixed
from gradskew.core.rows import Rows


def mix(mixing, rows, f, seed=0):
    return mixing.matrix(Rows(rows), f, torch.Generator().manual_seed(seed))


def test_nnm_with_and_without_the_row_itself():
    """Rows 0, 1, 3, 10 and f = 2: two nearest. 0: {0, 1}, 1: {1, 0}, 3: {3, 1}, 10: {10, 3}. Means 0.5, 0.5, 2, 6.5.

    Others only: 0: {1, 3}, 1: {0, 3}, 3: {1, 0}, 10: {3, 1}. Means 2, 1.5, 0.5, 2.
    """
    rows = rows_of(0, 1, 3, 10)
    assert (mix(NNM(), rows, 2) @ rows.double())[:, 0].tolist() == [0.5, 0.5, 2, 6.5]
    assert (mix(NNM(itself=False), rows, 2) @ rows.double())[:, 0].tolist() == [2, 1.5, 0.5, 2]
    outcome = agg.make("nnm+median").explain(rows, 1)  # three nearest: 4/3 four times but 14/3 for 10
    assert outcome.value.item() == pytest.approx(4 / 3)
    assert outcome.weights is None
    assert outcome.notes["f of median"] == 1


@pytest.mark.parametrize(("n", "s"), [(7, 2), (50, 2), (9, 3), (5, 9), (4, 1)])
def test_bucketing_is_a_true_permutation(n, s):
    orders = set()
    for seed in range(5):
        matrix = mix(Bucketing(s=s), torch.zeros(n, 1), 0, seed)
        assert matrix.shape == (math.ceil(n / s), n)
        assert ((matrix > 0).sum(0) == 1).all()  # no row lost, none twice
        sizes = (matrix > 0).sum(1).tolist()
        assert sizes[:-1] == [s] * (len(sizes) - 1)
        assert sizes[-1] == n - s * (len(sizes) - 1)
        torch.testing.assert_close(matrix.sum(1), torch.ones(len(matrix), dtype=torch.float64))
        orders.add(tuple(matrix.argmax(0).tolist()))
    assert len(orders) > 1 or s >= n


def test_bucketing_tells_f():
    """n = 50, s = 2: 25 buckets, of which multikrum tolerates (25 - 3) // 2 = 11 and median 12. ceil(7 / 2) = 4."""
    rows = make_rows(50, 3, 0, "gauss", seed=0)
    for name, f, told in (
        ("bucketing+multikrum", 10, 10),
        ("bucketing+multikrum", 20, 11),
        ("bucketing+median", 20, 12),
        ("bucketing(told_f=f/s)+median", 7, 4),
        ("bucketing(s=3,told_f=f/s)+median", 7, 3),
        ("bucketing(s=60)+median", 3, 0),
    ):
        notes = agg.make(name).explain(rows, f).notes
        assert notes[f"f of {name.split('+')[1]}"] == told
        assert notes["clamped"] == (told < f and "f/s" not in name)


def test_a_pipeline_is_its_stages_one_after_the_other():
    """Weights and value equal those of the rule on the mixed rows, written out."""
    rows, f = make_rows(11, 6, 0, "gauss", seed=4), 2
    mixed = mix(NNM(), rows, f) @ rows.double()
    mixed = mix(Bucketing(), mixed, f) @ mixed
    pipeline = agg.make("nnm+bucketing+rfa")
    assert isinstance(pipeline, Mixed)
    torch.testing.assert_close(pipeline(rows, f).double(), agg.make("rfa")(mixed, f), rtol=1e-5, atol=1e-6)
