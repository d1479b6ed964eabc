"""The distance engine against explicit float64 differences, and what it may allocate."""

import numpy as np
import oracle
import pytest
import torch
from cases import KINDS, RULES, assert_weighted, ids, inputs, make_rows, rows_of
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from gradskew import aggregators as agg
from gradskew import attacks as att
from gradskew.attacks.rays import Ray, largest_step
from gradskew.core import rows as geometry
from gradskew.core.given import finite_rows
from gradskew.core.round import Round
from gradskew.core.rows import Rows


def relative_error(value, exact):
    value, exact = np.asarray(value), np.asarray(exact)
    assert (value[exact == 0] == 0).all()  # equal rows are at distance 0 exactly
    return np.abs(value / np.where(exact, exact, 1) - (exact != 0)).max()


def test_distances_by_hand():
    """3-4-5 triangles: between (0, 0), (3, 4), (3, 0)."""
    rows = Rows(rows_of((0, 0), (3, 4), (3, 0)))
    assert rows.squared_distances.tolist() == [[0, 25, 9], [25, 0, 16], [9, 16, 0]]
    assert rows.squared_distances_to(torch.tensor([0.0, 4.0])).tolist() == [16, 9, 25]
    assert rows.projections(torch.tensor([1.0, 2.0])).tolist() == [0, 11, 3]
    assert rows.projections(torch.tensor([1.0, 2.0]), centre=torch.tensor([1.0, 1.0])).tolist() == [-3, 8, 0]
    assert rows.combine(torch.tensor([1.0, -1.0, 2.0])).tolist() == [3, -4]
    assert rows.combine(torch.tensor([0.5, 0.0, 0.5]), centre=torch.tensor([1.0, 1.0])).tolist() == [0.5, -1]
    assert rows.columns(torch.tensor([1])).tolist() == [[0], [4], [0]]
    weights = torch.tensor([0.5, 0.0, 0.5], dtype=torch.float64)  # the mean (1.5, 0)
    torch.testing.assert_close(rows.squared_distances_to_mean(weights).tolist(), [2.25, 18.25, 2.25])


def test_mixed_rows_by_hand():
    """(0, 0), (3, 4), (3, 0) become (1.5, 2) and (3, 0), at squared distance 2.25 + 4."""
    rows = Rows(rows_of((0, 0), (3, 4), (3, 0))).mix(torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]))
    assert (rows.n, rows.d) == (2, 2)
    assert rows.squared_distances.tolist() == [[0, 6.25], [6.25, 0]]
    assert rows.squared_distances_to(torch.zeros(2)).tolist() == [6.25, 9]
    assert rows.projections(torch.tensor([2.0, 1.0])).tolist() == [5, 6]
    assert rows.combine(torch.tensor([1.0, 1.0])).tolist() == [4.5, 2]
    assert rows.columns(torch.tensor([0])).tolist() == [[1.5], [3]]
    deeper = rows.mix(torch.tensor([[0.5, 0.5]]))
    assert deeper.combine(torch.ones(1)).tolist() == [2.25, 1]
    assert [block.tolist() for _, block in deeper.blocks()] == [[[2.25, 1]]]


@pytest.mark.parametrize("wide", [0, geometry.WIDE])
@pytest.mark.parametrize("gap", [1e-6, 1e-3, 0.0, 1.0])
def test_rows_that_cancel_in_a_mixture(gap, wide, monkeypatch):
    """Buckets of g and gap r - g, mixed in float64 here; their Gram matrix has no digit of a gap of 1e-6."""
    monkeypatch.setattr(geometry, "WIDE", wide)
    half, noise = make_rows(5, 800, 0, "gauss", seed=1).double(), make_rows(5, 800, 0, "gauss", seed=2).double()
    updates = torch.stack([half, gap * noise - half], 1).flatten(0, 1).float()
    mixing = torch.eye(5, dtype=torch.float64).repeat_interleave(2, 1) / 2
    exact = (mixing @ updates.double()).numpy()
    reference = noise[0].float()
    norms, inner = np.sqrt((exact**2).sum(1)), exact @ exact.T
    products, lengths = Rows(updates).mix(mixing).projections_and_norms(reference)
    size = norms * float(reference.double().norm())
    np.testing.assert_allclose(lengths, norms, rtol=1e-12)
    assert (np.abs(products.numpy() - exact @ reference.double().numpy()) <= 1e-12 * size).all()
    rows = Rows(updates).mix(mixing)
    np.testing.assert_allclose(rows.norms, norms, rtol=1e-8)
    assert (np.abs(rows.origin_gram.numpy() - inner) <= 1e-8 * np.outer(norms, norms)).all()


def test_fltrust_behind_buckets_of_rows_that_cancel():
    """By the formula, on rows that are mixed in float64; weights of the mixed rows are s_i |g_0| / (|g_i| sum s_j)."""
    half, noise = make_rows(6, 300, 0, "gauss", seed=1).double(), make_rows(6, 300, 0, "gauss", seed=2).double()
    updates = torch.stack([half, 2e-6 * noise - half], 1).flatten(0, 1)
    mixed = (updates[0::2] + updates[1::2]) / 2
    own = noise.mean(0)
    lengths = mixed.norm(dim=1)
    scores = (mixed @ own / (lengths * own.norm())).clamp(min=0)
    wanted = (scores * own.norm() / lengths / scores.sum()) @ mixed
    found = agg.make("bucketing(s=2,shuffle=False)+fltrust")(updates, 0, round=Round(reference=own))
    assert float((found - wanted).norm() / wanted.norm()) < 1e-9


@given(data=st.data())
def test_distances_are_exact_to_a_billionth(data):
    updates, _ = data.draw(inputs(lambda n: n // 2))
    exact = oracle.squared_distances(updates.numpy())
    assert relative_error(Rows(updates).squared_distances, exact) < 1e-8


@pytest.mark.parametrize("kind", KINDS)
def test_distances_over_several_blocks(kind, monkeypatch):
    monkeypatch.setattr(geometry, "BLOCK_BYTES", 8 * 20 * 100)  # blocks of 100 columns; the last is shorter
    updates = make_rows(20, 1234, 4, kind, seed=2)
    rows = Rows(updates)
    assert sum(1 for _ in rows.blocks()) == 13
    assert relative_error(rows.squared_distances, oracle.squared_distances(updates.numpy())) < 1e-8
    weights = torch.linspace(-1, 2, 20, dtype=torch.float64)
    assert_weighted(rows.combine(weights), weights, updates)
    vector = updates[0]
    exact = oracle.squared_norms(updates.double().numpy() - vector.double().numpy())
    assert relative_error(rows.squared_distances_to(vector), exact) < 1e-12


def test_a_row_that_is_huge_between_the_sampled_columns_is_no_centre():
    """Around it the distances to a mean of the others would have no digits left."""
    updates = make_rows(12, 2560, 0, "gauss", seed=1)
    updates[0] = updates[1:].mean(0)
    updates[0, 5] = 1e12
    weights = torch.full((12,), 1 / 11, dtype=torch.float64)
    weights[0] = 0
    exact = oracle.squared_norms(updates.double().numpy() - updates[1:].double().numpy().mean(axis=0))
    assert relative_error(Rows(updates).squared_distances_to_mean(weights), exact) < 1e-8


def test_an_offset_costs_no_digits():
    """Rows 2^23 + (0, 1, 2, ...), up to half a unit in the last place: their mean is 2^23 + 4, for n = 9."""
    updates = 2.0**23 + torch.arange(9.0)[:, None].expand(9, 50)
    squares = Rows(updates).squared_distances_to_mean(torch.full((9,), 1 / 9, dtype=torch.float64))
    torch.testing.assert_close(squares.tolist(), [50.0 * (k - 4) ** 2 for k in range(9)], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", [1e6, 1e30])
def test_rows_close_to_each_other_and_far_from_all_others(size):
    """Two rows that differ in the last place only: their inner products do not know by how much."""
    updates = make_rows(10, 300, 0, "gauss", seed=1)
    updates[3] = size * updates[3]
    updates[7] = torch.nextafter(updates[3], torch.tensor(torch.inf))
    updates[8] = updates[7]
    assert relative_error(Rows(updates).squared_distances, oracle.squared_distances(updates.numpy())) < 1e-8


def test_equal_rows_are_found():
    updates = make_rows(6, 1000, 0, "gauss", seed=1)
    updates[3], updates[5] = updates[1], updates[1]
    updates[4] = updates[0]
    updates[4, 1] += 1  # a column that the sample leaves out
    assert Rows(updates).equal.tolist() == [0, 1, 2, 1, 4, 1]
    assert Rows(torch.zeros(3, 2)).equal.tolist() == [0, 0, 0]


def test_finite_rows():
    inf, nan = float("inf"), float("nan")
    rows = rows_of((1, 2), (inf, 0), (0, -inf), (nan, 1), (3e38, -3e38))
    assert finite_rows(rows).tolist() == [True, False, False, False, True]


def test_largest_step_by_hand():
    """Start 0, ray 1, bound 3: t stays within 3 of the rows 1 and -2 up to t = 1; of 1 alone up to 4."""
    norm, slopes = torch.tensor(1.0), torch.tensor([-1.0, 2.0])  # <ray, start - row>
    slacks = torch.tensor([9.0 - 1, 9.0 - 4])
    assert largest_step(norm, slopes, slacks) == pytest.approx(1)
    assert largest_step(norm, slopes[:1], slacks[:1]) == pytest.approx(4)
    assert largest_step(norm, slopes, torch.tensor([8.0, 0.0])) == 0
    assert largest_step(norm, slopes, torch.tensor([8.0, -1e-9])) == 0
    assert largest_step(torch.tensor(0.0), slopes, slacks) == 0
    assert largest_step(norm, torch.tensor([0.0]), torch.tensor([9.0])) == 3


def test_ray():
    """From the first row along the second: |ray|^2 = 25, slopes <(3, 4), (0, 0) - row>."""
    ray = Ray(Rows(rows_of((0, 0), (3, 4), (1, 0))), lambda block: (block[0], block[1]))
    assert ray.norm.item() == 25
    assert ray.slopes.tolist() == [0, -25, -3]
    assert ray.squares.tolist() == [0, 25, 1]
    assert ray.point(2.0).tolist() == [6, 8]


class Largest(TorchDispatchMode):
    """The bytes of the largest storage that an operation made (views of earlier ones count only once)."""

    def __init__(self, *known):
        super().__init__()
        self.known, self.bytes = {tensor.untyped_storage().data_ptr() for tensor in known}, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage().data_ptr() not in self.known:
                self.bytes = max(self.bytes, tensor.untyped_storage().nbytes())
        return result


N, D = 40, 80_000
LIMIT = 2 * geometry.BLOCK_BYTES  # the matrix itself has 12.8 MB, a vector 0.3 MB, (n, n, d) 0.5 GB


@pytest.mark.parametrize("case", RULES, ids=ids)
def test_rules_allocate_vectors_and_blocks_only(case):
    """No second matrix, let alone one (n, n, d): mixed rows exist block by block."""
    n = min(N, case.most)
    updates = torch.ones(n, D).cumsum(0).sin_()
    with Largest(updates) as largest:
        case.rule(updates, min(5, case.rule.max_f(n)))
    assert largest.bytes <= LIMIT


@pytest.mark.parametrize("name", ["lie", "ipm", "minmax", "minsum", "mimic", "strike"])
def test_attacks_allocate_vectors_and_blocks_only(name):
    honest, own = torch.ones(N, D).cumsum(0).sin_(), torch.zeros(1, D).expand(5, D)
    with Largest(honest, own) as largest:
        att.make(name)(honest, own)
    assert largest.bytes <= LIMIT


@pytest.mark.parametrize("d", [40, 8192])  # 64 x 8192 is wide
def test_norms_and_products_in_one_pass_are_those_of_two(d):
    updates = torch.randn(64, d, generator=torch.Generator().manual_seed(0)) * torch.linspace(0.1, 3, 64)[:, None] + 1
    once, twice = Rows(updates), Rows(updates)
    once.read_once()
    assert torch.allclose(once.norms, twice.norms, rtol=1e-12)
    assert torch.allclose(once.cosines, twice.cosines, rtol=1e-12, atol=1e-12)
    norms = twice.norms
    twice.read_once()
    assert twice.norms is norms


def test_mixtures_have_no_pass_of_their_own():
    rows = Rows(torch.randn(4, 9)).mix(torch.full((2, 4), 0.25))
    rows.read_once()
    assert "norms" not in vars(rows)
