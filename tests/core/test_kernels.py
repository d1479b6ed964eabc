"""The compiled kernels against float64, and against the same rules and attacks without them."""

import itertools
import math

import numpy as np
import oracle
import pytest
import torch
from cases import HARDEST, RuleCase, make_rows

from gradskew import InputError, aggregators, attacks
from gradskew.core import column_kernels, sum_kernels
from gradskew.core import rows as geometry
from gradskew.core.columns import comparisons, median, sort_rows, sorted_mean
from gradskew.core.numerics import fixed_threads
from gradskew.core.round import Round
from gradskew.core.rows import Rows, wide

pytestmark = pytest.mark.xdist_group("kernels")  # one worker waits for the compiler
SIZES = [(1, 1), (3, 700), (4, 256), (9, 257), (50, 1000), (61, 66_000)]


@pytest.fixture
def compiled(monkeypatch):
    """Every matrix counts as wide."""
    monkeypatch.setattr(geometry, "WIDE", 0)


@pytest.mark.parametrize(("n", "d"), SIZES)
def test_kernels_against_float64(n, d):
    updates = torch.randn(n, d, generator=torch.Generator().manual_seed(n)) + 3
    exact = updates.double().numpy()
    around = exact - exact[n // 2]
    np.testing.assert_allclose(sum_kernels.gram(updates, n // 2), around @ around.T, rtol=1e-12, atol=1e-9)
    centre = torch.randn(d, generator=torch.Generator().manual_seed(1))
    gaps = exact - centre.double().numpy()
    np.testing.assert_allclose(sum_kernels.squared_distances_to(updates, centre), (gaps**2).sum(1), rtol=1e-13)
    np.testing.assert_allclose(sum_kernels.squared_distances_to(updates, centre.double()), (gaps**2).sum(1), rtol=1e-13)
    vector = torch.randn(d, generator=torch.Generator().manual_seed(2))
    for middle, part in ((None, exact), (centre, gaps)):
        products, squares = sum_kernels.products_with(updates, vector, middle)
        slack = 1e-13 * (np.abs(part) @ np.abs(vector.double().numpy()))
        assert (np.abs(products.numpy() - part @ vector.double().numpy()) <= slack).all()
        np.testing.assert_allclose(squares, (part**2).sum(1), rtol=1e-13)
    weights, value = torch.linspace(-1, 2, n, dtype=torch.float64), torch.empty(d)
    column_kernels.combine(updates, weights, 3, None, 0.0, value)
    np.testing.assert_allclose(value, weights.numpy() @ exact / 3, rtol=2**-23, atol=1e-6)
    column_kernels.combine(updates, weights, 1, centre, 0.25, value)
    np.testing.assert_allclose(value, weights.numpy() @ exact + 0.25 * centre.double().numpy(), rtol=2**-23, atol=1e-6)
    np.testing.assert_allclose(sum_kernels.squared_distances_to(updates, None), (exact**2).sum(1), rtol=1e-13)


@pytest.mark.parametrize(("n", "d"), SIZES)
def test_rows_of_weight_zero_are_not_read(n, d):
    updates = torch.randn(n, d, generator=torch.Generator().manual_seed(n))
    weights = torch.arange(n) % 3 == 0
    wanted = updates[weights].double().mean(0)
    updates[~weights] = torch.nan
    value = torch.empty(d)
    column_kernels.combine(updates, weights.double(), int(weights.sum()), None, 0.0, value)
    torch.testing.assert_close(value, wanted.float(), rtol=2**-23, atol=1e-30)


@pytest.mark.parametrize(("n", "d"), SIZES)
@pytest.mark.parametrize(("offset", "outlier"), [(0.0, 1.0), (1e6, 1.0), (0.0, 1e30)])
def test_mean_and_deviations(n, d, offset, outlier):
    """An offset of 10^6 times the spread, or a first row of 1e30, costs no digit of a float32."""
    updates = torch.randn(n, d, generator=torch.Generator().manual_seed(n)) + offset
    updates[0] *= outlier
    exact, value = updates.double().numpy(), torch.empty(d)
    for factor in (0.0, 1.5, -40.0):
        column_kernels.mean_and_deviations(updates, factor, value)
        wanted = exact.mean(0) + factor * exact.std(0)
        np.testing.assert_allclose(value, wanted, rtol=2**-22, atol=1e-5 * exact.std(0).min() + 1e-30)


@pytest.mark.parametrize(("n", "d"), SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sorted_mean(n, d, dtype):
    updates = torch.randn(n, d, generator=torch.Generator().manual_seed(n)).round(decimals=1)
    ordered = np.sort(updates.double().numpy(), axis=0)
    for first, last in {(0, 1), (0, n), (n // 2, n // 2 + 1), (n // 4, n - n // 4), (n - 1, n)}:
        value = torch.empty(d, dtype=dtype)
        column_kernels.sorted_mean(updates, None, comparisons(n, first, last), first, last, value)
        np.testing.assert_allclose(value, ordered[first:last].mean(0), rtol=2**-22, atol=1e-7)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 16, 33, 50])
def test_a_pruned_network_still_puts_the_wanted_rows_in_place(n):
    columns = torch.rand(n, 200, generator=torch.Generator().manual_seed(n))
    for first in range(n):
        strip = columns.clone()
        for low, high in zip(*comparisons(n, first, first + 1), strict=True):
            strip[low], strip[high] = torch.minimum(strip[low], strip[high]), torch.maximum(strip[low], strip[high])
        assert torch.equal(strip[first], columns.sort(0).values[first])
    assert len(comparisons(n, 0, 1)[0]) == n - 1  # a minimum of n takes n - 1 comparisons


def test_results_do_not_depend_on_the_number_of_threads():
    updates = torch.randn(7, 200_000, generator=torch.Generator().manual_seed(0))
    results = []
    for threads in (1, 2, 3):
        with fixed_threads(threads):
            gram, squares = sum_kernels.gram(updates, 0), sum_kernels.squared_distances_to(updates, updates[1])
            results.append((gram, squares, *sum_kernels.products_with(updates, updates[1], None)))
    for each in results[1:]:
        assert all(map(torch.equal, each, results[0]))


PIPELINES = [*aggregators.names(), "nnm+multikrum", "nnm+median", "nnm+aksel", "bucketing+rbtm", "bucketing+cclip"]


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name in PIPELINES for kind in ["gauss", *HARDEST]])
def test_rules_give_the_same(name, kind, monkeypatch):
    rule, updates = RuleCase(name).rule, make_rows(23, 700, 5, kind, seed=1)
    plain = rule.explain(updates, 5)
    monkeypatch.setattr(geometry, "WIDE", 0)
    fast = rule.explain(updates, 5)
    if plain.weights is not None:
        torch.testing.assert_close(fast.weights, plain.weights, rtol=1e-6, atol=1e-12)
    torch.testing.assert_close(fast.value, plain.value, rtol=1e-5, atol=1e-6 * float(plain.value.abs().max()))


@pytest.mark.parametrize("name", ["lie", "ipm", "minmax", "minsum", "strike", "strike(middle=upper)"])
def test_attacks_give_the_same(name, monkeypatch):
    attack, updates = attacks.make(name), make_rows(23, 700, 5, "gauss", seed=1)
    plain = attack(updates[5:], updates[:5])
    monkeypatch.setattr(geometry, "WIDE", 0)
    torch.testing.assert_close(attack(updates[5:], updates[:5]), plain, rtol=1e-5, atol=1e-5)


AVERAGES = ["mean", "multikrum(neighbours=n-f-1)", "aksel(select=n-f)", "cge", "monna(pivot=0)", "dnc", "mda"]
AVERAGES += ["cclip(tau=100)", "keep+mean"]


@pytest.mark.parametrize("wide", [0, geometry.WIDE])
@pytest.mark.parametrize("name", AVERAGES)
def test_the_mean_of_1_4_and_7_is_4(name, wide, monkeypatch):
    """In float64 also: the three rows are added, and then divided by 3. 1/3 + 4/3 + 7/3 is above 4 by rounding."""
    monkeypatch.setattr(geometry, "WIDE", wide)
    far = [[1e6, 1e6]] if name != "mean" and not name.startswith(("cclip", "keep")) else []
    rows = [[1.0, 49.0], [4.0, 49.0], [7.0, 49.0], *far]
    f = len(far)
    for dtype in (torch.float32, torch.float64):
        updates = torch.tensor(rows, dtype=dtype)
        found = aggregators.make(name)(updates, f)
        assert found.tolist() == [4.0, 49.0], (name, dtype)


BAD = [math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("wide", [0, geometry.WIDE])
@pytest.mark.parametrize("name", ["mean", "cclip", "cclip(start=median)", "cge", "monna", "median", "multikrum"])
def test_rows_that_are_not_finite_are_refused_on_both_paths(name, wide, monkeypatch):
    monkeypatch.setattr(geometry, "WIDE", wide)
    for bad, dtype in itertools.product(BAD, (torch.float32, torch.float64)):
        updates = torch.ones(9, 40, dtype=dtype)
        updates[2, 39] = bad
        with pytest.raises(InputError, match="updates: 1 of 9 rows are not finite, the first is row 2: remove them"):
            aggregators.make(name)(updates, 2)
        updates[2, 39] = 1.0
        assert aggregators.make(name)(Rows(updates), 2).isfinite().all()


@pytest.mark.parametrize("wide", [0, geometry.WIDE])
@pytest.mark.parametrize("name", ["lie", "ipm", "ipm(epsilon=0)", "minmax"])
def test_honest_rows_that_are_not_finite_are_refused_on_both_paths(name, wide, monkeypatch):
    monkeypatch.setattr(geometry, "WIDE", wide)
    for bad in BAD:
        honest, own = torch.ones(9, 40), torch.ones(2, 40)
        honest[8, 39] = bad
        with pytest.raises(InputError, match="honest: 1 of 9 rows are not finite, the first is row 8: remove them"):
            attacks.make(name)(honest, own)
        with pytest.raises(InputError, match="own: 1 of 9 rows are not finite, the first is row 8: remove them"):
            attacks.make("bitflip")(own, honest)


def test_finite_rows_whose_sum_overflows_are_taken():
    """The largest float32 numbers: the float32 sum of their mean is infinite, so the rows are read once more."""
    updates = torch.full((3, 5), torch.finfo(torch.float32).max)
    assert torch.equal(aggregators.make("mean")(updates, 0), updates[0])


def test_who_is_wide(compiled):
    assert wide(torch.zeros(3, 4))
    assert not wide(torch.zeros(3, 4, dtype=torch.float64))
    assert not wide(torch.zeros(4, 3).T)
    assert not wide(torch.zeros(1, 4).expand(3, 4))


def test_who_is_wide_by_default():
    """The default bench has 50 rows of 2,410 entries, and does not wait for the compiler."""
    assert not wide(torch.zeros(50, 2410))
    assert not wide(torch.zeros(100, 2410))
    assert wide(torch.zeros(50, 10_000))


def test_mixed_and_transposed_rows(compiled):
    updates = torch.randn(9, 1000, generator=torch.Generator().manual_seed(0))
    mixing = torch.rand(4, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    mixing /= mixing.sum(1, keepdim=True)
    exact = mixing.numpy() @ updates.double().numpy()
    rows = Rows(updates).mix(mixing)
    np.testing.assert_allclose(rows.squared_distances, oracle.squared_distances(exact), rtol=1e-9)
    np.testing.assert_allclose(median(rows), np.median(exact, axis=0), atol=1e-6)
    np.testing.assert_allclose(median(rows, dtype=torch.float64), np.median(exact, axis=0), atol=1e-12)
    columns = torch.randn(1000, 9, generator=torch.Generator().manual_seed(2)).T
    assert torch.equal(sorted_mean(Rows(columns), 4, 5), sort_rows(columns)[4])


@pytest.mark.parametrize("wide", [0, geometry.WIDE])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name", ["fltrust", "nnm+fltrust", "alignins", "flame(noise=0)", "monna(pivot=reference)"])
def test_a_reference_and_a_model_of_any_float_type(name, dtype, wide, monkeypatch):
    """Small whole numbers, which each type holds."""
    monkeypatch.setattr(geometry, "WIDE", wide)
    updates = make_rows(9, 40, 0, "gauss", seed=3)
    one = (torch.arange(40) % 5 - 1).float()
    rule = aggregators.make(name)
    wanted = rule(updates, 2, round=Round(reference=one, params=one))
    found = rule(updates, 2, round=Round(reference=one.to(dtype), params=one.to(dtype)))
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("wide", [0, geometry.WIDE])
def test_norms_that_differ_by_rounding_are_within_the_same_bounds(wide, monkeypatch):
    """The ninth of nine equal rows is summed in another order."""
    monkeypatch.setattr(geometry, "WIDE", wide)
    for seed in range(5):
        rows = torch.randn(1, 999, generator=torch.Generator().manual_seed(seed)).repeat(9, 1)
        notes = aggregators.make("signguard(low=1,high=1)").explain(rows, 2).notes
        assert notes["usual norm"] == 9


@pytest.mark.parametrize("base", [aggregators.Clipping, aggregators.ARC])
def test_a_mixing_of_ones_own_gets_checked_rows(base):
    class Careful(base):
        def matrix(self, rows, f, generator):
            raise AssertionError("called")

    assert base.late_check
    with pytest.raises(InputError, match="1 of 2 rows are not finite"):
        aggregators.Mixed(mixing=Careful(), rule=aggregators.Mean())(torch.tensor([[1.0], [math.nan]]), 0)


def test_a_rule_of_ones_own_gets_checked_rows():
    """Mean is safe on any numbers; what a subclass of it does is not known."""

    class Careful(aggregators.Mean):
        def weigh(self, rows, f, generator):
            raise AssertionError("called")

    assert aggregators.Mean.late_check
    with pytest.raises(InputError, match="1 of 2 rows are not finite"):
        Careful()(torch.tensor([[1.0], [math.nan]]), 0)
