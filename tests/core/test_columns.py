"""The coordinate engine: order statistics and moments of columns."""

import numpy as np
import oracle
import pytest
import torch
from cases import KINDS, assert_close, make_rows, rows_of
from hypothesis import given
from hypothesis import strategies as st

from gradskew import InputError, aggregators
from gradskew.core import rows as geometry
from gradskew.core.columns import FEW, MIDDLES, median, moments, sort_by_network, sort_rows, sorted_mean
from gradskew.core.copies import Copies
from gradskew.core.rows import Rows


def squared_distances_to_median(rows, middle="midpoint"):
    return rows.squared_distances_to(median(rows, middle, dtype=torch.float64))


def test_by_hand():
    """Columns 4, 1, 3, 2 and -1, -1, 5, 0."""
    rows = Rows(rows_of((4, -1), (1, -1), (3, 5), (2, 0)))
    assert median(rows).tolist() == [2.5, -0.5]
    assert median(rows, "lower").tolist() == [2, -1]
    assert median(rows, "upper").tolist() == [3, 0]
    assert sorted_mean(rows, 0, 4).tolist() == [2.5, 0.75]
    assert sorted_mean(rows, 1, 3).tolist() == [2.5, -0.5]
    assert squared_distances_to_median(rows).tolist() == [2.5, 2.5, 30.5, 0.5]
    mixed = rows.mix(torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]))  # (2.5, -1), (2, 0)
    assert median(mixed).tolist() == [2.25, -0.5]
    assert squared_distances_to_median(mixed).tolist() == [0.3125, 0.3125]


def test_moments_divide_by_the_count():
    mean, std = moments(rows_of((1, 7), (3, 7)).double())
    assert mean.tolist() == [2, 7]
    assert std.tolist() == [1, 0]


@pytest.mark.parametrize("n", [*range(1, 40), 50, 64, 65, 100, 200])
def test_the_network_sorts(n):
    """Zeros and ones suffice (Knuth's 0-1 principle); every block of thresholds, and random columns."""
    thresholds = (torch.rand(n, 300, generator=torch.Generator().manual_seed(n)) < torch.linspace(0, 1, 300)).float()
    noise = torch.randn(n, 300, generator=torch.Generator().manual_seed(n))
    for block in (thresholds, noise, noise.sort(0, descending=True).values, noise.round()):
        kept = block.clone()
        for sort in (sort_by_network, sort_rows):
            assert torch.equal(sort(block), block.sort(0).values)
        assert torch.equal(block, kept)


@pytest.mark.parametrize("n", range(1, 13))
def test_the_network_sorts_every_column_of_zeros_and_ones(n):
    columns = torch.arange(2**n)
    block = (columns[None] >> torch.arange(n)[:, None] & 1).float()
    assert torch.equal(sort_by_network(block), block.sort(0).values)


def test_sorting_views_and_slices():
    block = torch.randn(20, 40, generator=torch.Generator().manual_seed(0))
    for view in (block[::2], block[:, 3:9], block.T, block[:1].expand(6, 40), block[:, :0]):
        for sort in (sort_by_network, sort_rows):
            assert torch.equal(sort(view), view.sort(0).values)


@pytest.mark.parametrize("columns", [FEW - 1, FEW])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_few_columns_and_many_are_sorted_alike(columns, dtype):
    """As rows of a matrix, so that sums over sorted rows add up in the same order."""
    block = torch.randn(9, columns, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert torch.equal(sort_rows(block), sort_by_network(block))
    assert sort_rows(block).is_contiguous()


@given(data=st.data())
def test_against_the_oracle(data):
    n, d = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 500))
    f = data.draw(st.integers(0, (n - 1) // 2))
    updates = make_rows(n, d, f, data.draw(st.sampled_from(KINDS)), n + d)
    ordered = np.sort(updates.double().numpy(), axis=0)
    for middle in MIDDLES:
        exact = oracle.median(updates.numpy(), middle=middle)
        np.testing.assert_array_equal(median(Rows(updates), middle).numpy(), exact.astype(np.float32))
        exact = oracle.squared_norms(updates.double().numpy() - exact)
        np.testing.assert_allclose(squared_distances_to_median(Rows(updates), middle), exact, rtol=1e-12)
    used = ordered[f : n - f]
    assert_close(
        sorted_mean(Rows(updates), f, n - f), oracle.rbtm(updates.numpy(), f), 0 * used[0], np.abs(used).max(axis=0)
    )


def test_several_blocks(monkeypatch):
    monkeypatch.setattr(geometry, "BLOCK_BYTES", 1)  # blocks of the least size, 64 columns
    updates = make_rows(9, 1000, 0, "heavy", seed=0)
    assert torch.equal(median(Rows(updates)), updates.median(0).values)
    assert torch.equal(median(Rows(updates).mix(torch.eye(9)), "lower"), updates.median(0).values)


@pytest.mark.parametrize("size", [3.4e38, -3.4e38, 1e30, 2.0**-149, 2.0**-126])
def test_the_midpoint_neither_overflows_nor_vanishes(size):
    assert median(Rows(torch.full((4, 2), size))).tolist() == torch.full((2,), size).tolist()
    assert sorted_mean(Rows(torch.full((4, 2), size)), 1, 3).tolist() == torch.full((2,), size).tolist()


def test_unknown_middle():
    with pytest.raises(InputError, match="middle must be one of midpoint, lower, upper, not 'centre'"):
        median(Rows(torch.zeros(2, 1)), "centre")


def test_ranks_behind_copies_by_hand():
    """Two copies of 2, 9 and 0 before 1, 3, 5: of 1, 2, 2, 3, 5 and 1, 3, 5, 9, 9 and 0, 0, 1, 3, 5."""
    ordered = rows_of((1, 1, 1), (3, 3, 3), (5, 5, 5))
    copies = Copies(ordered, torch.tensor([2.0, 9.0, 0.0]), 2)
    assert [copies.of_rank(rank).tolist() for rank in range(5)] == [
        [1, 1, 0],
        [2, 3, 0],
        [2, 5, 1],
        [3, 9, 3],
        [5, 9, 5],
    ]


@pytest.mark.parametrize(
    "name",
    [
        "median",
        "median(middle=lower)",
        "median(middle=upper)",
        "rbtm",
        "rbtm(share=0.1)",
        "rbtm(tails=clamp)",
        "average(a=median,b=rbtm)",
    ],
)
@given(kind=st.sampled_from(KINDS), h=st.integers(1, 12), d=st.integers(1, 6), seed=st.integers(0, 999), data=st.data())
def test_a_monotone_rule_answers_to_copies_as_to_the_rows(name, kind, h, d, seed, data):
    rows, rule = torch.as_tensor(make_rows(h + 1, d, 1, kind, seed)), aggregators.make(name)
    row, honest = rows[0], rows[1:]
    count = data.draw(st.integers(1, h))
    f = data.draw(st.integers(0, rule.max_f(h + count)))
    copies = Copies(sort_rows(honest), row, count).as_rows
    value = rule.outcome(copies, f, torch.Generator()).value
    alone = rule(torch.cat([row.expand(count, -1), honest]), f)
    torch.testing.assert_close(value, alone, rtol=1e-6, atol=0)
