"""The compiled kernels against float64, and against the same rules and attacks without them."""

import numpy as np
import oracle
import pytest
import torch
from cases import HARDEST, RuleCase, make_rows

from gradskew import aggregators, attacks
from gradskew.core import kernels
from gradskew.core import rows as geometry
from gradskew.core.columns import comparisons, median, sort_rows, sorted_mean
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
    np.testing.assert_allclose(kernels.gram(updates, n // 2), around @ around.T, rtol=1e-12, atol=1e-9)
    centre = torch.randn(d, generator=torch.Generator().manual_seed(1))
    gaps = exact - centre.double().numpy()
    np.testing.assert_allclose(kernels.squared_distances_to(updates, centre), (gaps**2).sum(1), rtol=1e-13)
    np.testing.assert_allclose(kernels.squared_distances_to(updates, centre.double()), (gaps**2).sum(1), rtol=1e-13)
    weights, value = torch.linspace(-1, 2, n, dtype=torch.float64), torch.empty(d)
    kernels.combine(updates, weights, value)
    np.testing.assert_allclose(value, weights.numpy() @ exact, rtol=2**-23, atol=1e-6)


@pytest.mark.parametrize(("n", "d"), SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sorted_mean(n, d, dtype):
    updates = torch.randn(n, d, generator=torch.Generator().manual_seed(n)).round(decimals=1)
    ordered = np.sort(updates.double().numpy(), axis=0)
    for first, last in {(0, 1), (0, n), (n // 2, n // 2 + 1), (n // 4, n - n // 4), (n - 1, n)}:
        value = torch.empty(d, dtype=dtype)
        kernels.sorted_mean(updates, None, comparisons(n, first, last), first, last, value)
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
    before = torch.get_num_threads()
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        results.append((kernels.gram(updates, 0), kernels.squared_distances_to(updates, updates[1])))
    torch.set_num_threads(before)
    for gram, squares in results[1:]:
        assert torch.equal(gram, results[0][0])
        assert torch.equal(squares, results[0][1])


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


def test_who_is_wide(compiled):
    assert wide(torch.zeros(3, 4))
    assert not wide(torch.zeros(3, 4, dtype=torch.float64))
    assert not wide(torch.zeros(4, 3).T)
    assert not wide(torch.zeros(1, 4).expand(3, 4))


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
