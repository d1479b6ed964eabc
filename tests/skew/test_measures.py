"""The skew of rows in numbers: by hand, against NumPy in float64 straight from the definitions, and its properties."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import gradskew as gs
from gradskew.core.errors import InputError
from gradskew.core.rows import Rows
from gradskew.skew import Skew, empirical_kappa, kappa, look, measure, pearson, selection, skewness
from gradskew.skew.measures import progress
from gradskew.skew.statistics import above, interval, intervals, resampled

LINE = torch.tensor([[0.0], [3], [4], [5], [6]])


def lopsided(n: int, d: int, seed: int, offset: float = 3.0) -> Tensor:
    """Rows with a long tail on one side of each column."""
    rng = torch.Generator().manual_seed(seed)
    return offset + torch.randn(n, d, generator=rng).exp()


def oracle(rows: Tensor, f: int, n: int) -> dict[str, float | np.ndarray]:
    """Every number from its definition, on the whole rows, in float64."""
    x = rows.double().numpy()
    h, mean = len(x), x.mean(0)
    direction = np.median(x, 0) - mean
    towards = (x - mean) @ direction / np.linalg.norm(direction)
    members = np.argsort(-towards, kind="stable")[: max(1, h * (n - 2 * f) // (n - f))]
    spread = math.sqrt(((x - mean) ** 2).sum(1).mean())
    left, values, _ = np.linalg.svd(x - mean, full_matrices=False)
    principal = left[:, 0] * values[0]
    principal *= np.sign(principal @ towards)
    distances = np.linalg.norm(x[:, None] - x[None], axis=2) + np.diag([np.inf] * h)
    nearest, inside = distances.min(1), np.isin(np.arange(h), members)
    return {
        "towards": towards / towards.std(),
        "principal": principal / principal.std(),
        "principal_share": values[0] ** 2 / (values**2).sum(),
        "shift": np.linalg.norm(x[members].mean(0) - mean) / spread,
        "density": nearest[~inside].mean() / nearest[inside].mean(),
        "spread": spread,
        "skewed": len(members),
        "farthest": np.linalg.norm(x - mean, axis=1).max(),
        "mean_norm": np.linalg.norm(mean),
        "cosine": np.mean([a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in combinations(x, 2)]),
    }


def test_numbers_by_hand() -> None:
    """Mean 3.6 and median 4: up. Five rows, one Byzantine: |S| = 5 (5 - 2) // (5 - 1) = 3, the rows 4, 5 and 6."""
    skew = measure(LINE)
    variance = (3.6**2 + 0.6**2 + 0.4**2 + 1.4**2 + 2.4**2) / 5
    assert (skew.f, skew.skewed) == (1, 3)
    assert skew.members == (False, False, True, True, True)
    assert skew.above == 3 / 5
    assert skew.spread == pytest.approx(math.sqrt(variance))
    assert skew.shift == pytest.approx((5 - 3.6) / math.sqrt(variance))
    assert skew.density == pytest.approx(((3 + 1) / 2) / 1)  # 0 is 3 from its nearest, the others 1
    third = (-(3.6**3) - 0.6**3 + 0.4**3 + 1.4**3 + 2.4**3) / 5
    assert skew.skewness == pytest.approx(third / variance**1.5)
    assert skew.pearson == pytest.approx(3 * (3.6 - 4) / math.sqrt(variance))
    assert skew.principal == pytest.approx(skew.towards)  # a line has one direction
    assert skew.principal_share == pytest.approx(1)


def test_f_is_a_fifth_of_the_clients_unless_told_otherwise() -> None:
    rows = lopsided(9, 4, 0)
    assert (measure(rows).f, measure(rows).skewed) == (1, 9 * 7 // 8)
    assert (measure(rows, n=12).f, measure(rows, n=12).skewed) == (2, 9 * 8 // 10)
    assert (measure(rows, 3, n=12).f, measure(rows, 3, n=12).skewed) == (3, 6)
    assert measure(rows, 0).skewed == 9
    assert measure(rows, 0).density is None
    assert measure(rows, 8, n=9).skewed == 1


@pytest.mark.parametrize(("n", "d", "f"), [(40, 300, 8), (12, 5, 2), (7, 2, 1)])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_numbers_agree_with_their_definitions(n: int, d: int, f: int, kind: torch.dtype) -> None:
    for seed in range(3):
        rows = lopsided(n, d, seed).to(kind)
        skew, wanted = measure(rows, f), oracle(rows, f, n)
        for name, value in wanted.items():
            np.testing.assert_allclose(getattr(skew, name), value, rtol=1e-6, atol=1e-9, err_msg=name)


@given(st.integers(0, 1000), st.floats(-3, 3), st.sampled_from([1e-20, 1e-3, 1.0, 1e20]))
def test_moving_and_scaling_the_rows_changes_only_the_spread(seed: int, shift: float, scale: float) -> None:
    rows = lopsided(11, 6, seed).double()
    one, other = measure(rows), measure((rows + shift) * scale)
    assert other.spread == pytest.approx(one.spread * scale, rel=1e-9)
    for name in ("towards", "principal", "shift", "density", "principal_share", "skewness", "pearson"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name), rtol=1e-6, atol=1e-6, err_msg=name)


@given(st.integers(0, 1000), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_is_that_of_the_projections(seed: int, random) -> None:
    order = list(range(9))
    random.shuffle(order)
    rows = lopsided(9, 5, seed).double()
    one, other = measure(rows), measure(rows[order])
    np.testing.assert_allclose(np.array(one.towards)[order], other.towards, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(np.array(one.principal)[order], other.principal, rtol=1e-7, atol=1e-7)
    assert other.density == pytest.approx(one.density)


def test_a_reflection_of_the_rows_points_the_other_way() -> None:
    """Eq. 6 follows the mass, so that skewness on it does not tell left from right."""
    rows = lopsided(15, 4, 1)
    assert measure(-rows).skewness == pytest.approx(measure(rows).skewness)
    assert measure(rows).skewness < 0
    assert measure(rows).above > 0.5


def test_equal_rows_have_no_skew() -> None:
    skew = measure(torch.full((5, 3), 0.1))
    assert (skew.spread, skew.shift, skew.density, skew.above, skew.principal_share) == (0, 0, None, 0, 0)
    assert set(skew.towards) | set(skew.principal) == {0.0}
    assert math.isnan(skew.skewness)
    assert math.isnan(skew.pearson)
    assert measure(torch.ones(1, 3)).skewed == 1


def test_equal_float64_rows_have_no_skew_either() -> None:
    """Their mean may differ from them in the last bit, which is no direction."""
    rows = torch.tensor([[-3.406605591857252e-30, 1e29, 0.1]], dtype=torch.float64).expand(12, -1)
    skew = measure(rows)
    assert (skew.spread, skew.above) == (0, 0)
    assert set(skew.towards) | set(skew.principal) == {0.0}


def test_a_kappa_beyond_all_numbers_is_none() -> None:
    assert kappa(1e140, 1e-140) is None
    assert kappa(1e70, 1e-70) == pytest.approx(1e280)


def test_what_is_left_of_symmetric_rows_is_rounding() -> None:
    """The median is the mean: there is no direction, whatever float64 says of 0.1 + 0.2."""
    half = torch.rand(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    skew = measure(torch.cat([0.1 + half, 0.1 - half, torch.full((1, 6), 0.1, dtype=torch.float64)]))
    assert set(skew.towards) == {0.0}
    assert skew.spread > 0


def test_what_cannot_be_measured_is_one_line() -> None:
    for rows, words in (
        (torch.ones(3), "shape"),
        (torch.ones(2, 2) / 0, "not finite"),
        (torch.ones(2, 2).int(), "float32"),
    ):
        with pytest.raises(InputError, match=words):
            measure(rows)
    with pytest.raises(InputError, match="f must be at least 0 and below 5"):
        measure(LINE, 5)
    with pytest.raises(InputError, match="n must be at least 5"):
        measure(LINE, n=4)


def test_statistics_by_hand() -> None:
    """Of 0, 3, 3, 3: mean 9/4, variance 27/16, third moment (3 (3/4)^3 - (9/4)^3) / 4 = -81/32; median 3."""
    samples = np.array([0.0, 3, 3, 3])
    assert float(skewness(samples)) == pytest.approx(-81 / 32 / (27 / 16) ** 1.5)
    assert float(pearson(samples)) == pytest.approx(3 * (9 / 4 - 3) / math.sqrt(27 / 16))
    assert float(above(np.array([-3.0, 0, 1, 2]))) == 0.5
    both = skewness(np.stack([samples, -samples]))
    assert both[0] == -both[1]
    assert math.isnan(skewness(np.zeros(3)))


def test_the_bootstrap_holds_what_repeated_draws_give() -> None:
    """Of 400 draws of 60 from an exponential distribution, the spread of their means is what the bootstrap says."""
    rng = np.random.Generator(np.random.PCG64(7))
    draws = rng.exponential(size=(400, 60))

    def mean(samples: np.ndarray) -> np.ndarray:
        return samples.mean(-1)

    found = [interval(resampled(mean, draw)) for draw in draws]
    held = np.mean([low <= 1 <= high for low, high in found])
    assert 0.88 < held < 0.98  # 95 % are meant; the percentile bootstrap of a lopsided sample holds somewhat fewer
    assert interval(resampled(mean, [2.0] * 5)) == (2, 2)
    assert interval(resampled(skewness, [2.0] * 5)) is None
    assert intervals(resampled(mean, draws[:20])) == found[:20]
    assert intervals(resampled(skewness, [[2.0] * 5, [1.0, 2.0, 3.0, 4.0, 6.0]]))[0] is None
    assert (resampled(mean, draws[0]) == resampled(mean, draws[0])).all()


def test_kappa_by_hand() -> None:
    """Rows at 0 and 4 in one of two columns: mean (2, 0), mean squared deviation 4; (2, 6) is 36 off: kappa 9."""
    honest = torch.tensor([[0.0, 0], [4, 0]])
    assert empirical_kappa(torch.tensor([2.0, 6.0]), honest) == pytest.approx(9)
    assert empirical_kappa(torch.tensor([2.0, 0.0]), honest) == 0
    assert empirical_kappa(torch.tensor([torch.inf, 0.0]), honest) is None
    same = honest[:1].expand(3, -1)
    assert empirical_kappa(same[0], same) == 0
    assert empirical_kappa(same[0] + 1, same) is None
    assert kappa(None, 1.0) is None
    with pytest.raises(InputError, match="shape"):
        empirical_kappa(torch.ones(3), honest)


def test_two_rows_by_hand() -> None:
    """Rows 1 and 3 of ATTACKS.md 4.3: mean |g_i|^2 = 5, |mean|^2 = 4, divergence 1, B_t = sqrt(5) / 2."""
    skew = measure(torch.tensor([[1.0], [3.0]]))
    assert (skew.spread, skew.mean_norm, skew.farthest, skew.cosine) == (1, 2, 1, 1)
    assert skew.relative_divergence == 0.5
    assert skew.dissimilarity == pytest.approx(1.118, abs=5e-4)
    assert skew.unit_mean == pytest.approx(1)
    assert measure(torch.tensor([[-1.0], [3.0]])).cosine == -1


def test_cosines_by_hand() -> None:
    """(1, 0), (0, 2), (3, 3): 0 and twice 1/sqrt(2); a row of zeros is at right angles to all; one row has no pair."""
    rows = torch.tensor([[1.0, 0], [0, 2], [3, 3]])
    assert measure(rows).cosine == pytest.approx(math.sqrt(2) / 3)
    assert measure(torch.cat([rows, torch.zeros(1, 2)])).cosine == pytest.approx(math.sqrt(2) / 6)
    assert measure(rows[:1]).cosine is None


def test_a_mean_of_zeros_has_no_relative_measure() -> None:
    skew = measure(torch.tensor([[-1.0], [1.0]]))
    assert (skew.mean_norm, skew.relative_divergence, skew.dissimilarity) == (0, None, None)


@given(st.integers(0, 1000), st.sampled_from([1e-20, 1.0, 1e20]))
def test_a_scale_changes_lengths_and_a_rotation_nothing(seed: int, scale: float) -> None:
    rows = lopsided(9, 4, seed).double()
    turned = rows @ torch.linalg.qr(lopsided(4, 4, seed + 1).double()).Q
    one, scaled, other = measure(rows), measure(rows * scale), measure(turned)
    for name in ("farthest", "mean_norm"):
        assert getattr(scaled, name) == pytest.approx(scale * getattr(one, name), rel=1e-6)
    for name in ("cosine", "relative_divergence", "dissimilarity"):
        assert getattr(scaled, name) == pytest.approx(getattr(one, name), rel=1e-6)
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-6)
    lengths = rows.square().sum(1).mean() / rows.mean(0).square().sum()
    assert one.dissimilarity == pytest.approx(float(lengths.sqrt()), rel=1e-6)


def test_progress_by_hand() -> None:
    """Of the mean (2, 0): the mean itself makes 1, half of it 1/2, (-1, 7) goes back by half; orthogonal is 0."""
    mean = torch.tensor([2.0, 0.0])
    assert progress(mean, mean) == 1
    for vector, wanted in (([1.0, 0], 0.5), ([-1.0, 7], -0.5), ([0.0, 3], 0), ([6.0, 1], 3)):
        assert progress(torch.tensor(vector), mean) == wanted
    assert progress(mean, torch.zeros(2)) is None
    assert progress(torch.tensor([math.inf, 0]), mean) is None


@pytest.mark.parametrize("rule", ["mean", "median", "nnm+multikrum"])
def test_a_round_has_the_progress_of_its_aggregate(rule: str) -> None:
    honest, rows = lopsided(20, 30, 0), torch.cat([-lopsided(5, 30, 1), lopsided(20, 30, 0)])
    outcome = gs.aggregators.make(rule).explain(Rows(rows), 5)
    _, seen = look(Rows(rows), Rows(honest), range(25), outcome, distance=1.0, bound=None)
    value, mean = outcome.value.double(), honest.double().mean(0)
    assert seen["progress"] == pytest.approx(float(value @ mean / (mean @ mean)), rel=1e-5)
    _, unknown = look(Rows(rows), Rows(honest), range(25), outcome, distance=None, bound=None)
    assert unknown["progress"] is None


def test_selection_by_hand() -> None:
    """Of five rows an even share is 1/5: rows with a tenth of the weight or more are chosen, the others shut out."""
    weights = torch.tensor([0.0, 0.1, 0.5, 0.3, 0.1], dtype=torch.float64)
    assert selection(weights, 2) == (0.5, [])
    assert selection(torch.tensor([0.5, 0.41, 0.09, 0.0, 0.0], dtype=torch.float64), 2) == (1.0, [0, 1, 2])
    assert selection(weights, 0) == (None, [0])
    assert selection(None, 2) == (None, None)
    assert selection(torch.zeros(3, dtype=torch.float64), 1) == (0.0, [0, 1])


@pytest.mark.parametrize("rule", ["multikrum", "nnm+rfa", "median", "aksel", "bucketing+dnc", "cclip", "mean"])
@pytest.mark.parametrize("attack", ["strike", "minmax", "ipm", "lie"])
def test_what_rule_and_attack_computed_gives_the_same_numbers(rule: str, attack: str) -> None:
    """Sharing their distances and projections is a matter of speed alone."""
    honest, own = lopsided(20, 200, 0), lopsided(5, 200, 1)
    shared = Rows(honest)
    updates = torch.cat([gs.attacks.make(attack)(shared, own), honest])
    rows = Rows(updates)
    outcome = gs.aggregators.make(rule).explain(rows, 5)
    given = {"distance": 0.5, "bound": 2.0}
    skew, seen = look(rows, shared, range(25), outcome, **given)
    _, alone = look(Rows(updates), Rows(honest), range(25), outcome, **given)
    assert seen == alone
    wanted = measure(honest, 5, n=25)
    assert skew.to_json() == wanted.to_json()
    assert seen["kappa"] == pytest.approx(0.25 / wanted.spread**2, rel=1e-5)


def test_what_is_computed_once_is_shared_by_all_who_have_the_rows() -> None:
    rows, calls = Rows(lopsided(20, 50, 0)), []

    def compute(given: Rows) -> torch.Tensor:
        calls.append(given)
        return torch.ones(1)

    assert rows.once(compute) is rows.once(compute)
    assert calls == [rows]
    assert Rows(rows.updates).once(compute) is not rows.once(compute)


def test_rows_that_are_huge_beside_the_honest_do_not_blur_them() -> None:
    honest = lopsided(20, 50, 0)
    rows = Rows(torch.cat([torch.full((5, 50), 1e30), honest]))
    outcome = gs.aggregators.make("multikrum").explain(rows, 5)
    skew, _ = look(rows, Rows(honest), range(25), outcome, distance=1.0, bound=None)
    for name, value in oracle(honest, 5, 25).items():
        np.testing.assert_allclose(getattr(skew, name), value, rtol=1e-6, atol=1e-9, err_msg=name)


def test_a_record_keeps_four_decimals_and_six_digits() -> None:
    skew = Skew(1, 2, (0.123456, -0.98765), (1.0, -1.0), 0.12345678, 1234567.8, None, 1e-9 / 3, 2.0, 1.5, -1 / 3)
    assert skew.to_json() == {
        "f": 1,
        "skewed": 2,
        "towards": [0.1235, -0.9877],
        "principal": [1.0, -1.0],
        "principal_share": 0.123457,
        "shift": 1234570.0,
        "density": None,
        "spread": 3.33333e-10,
        "farthest": 2.0,
        "mean_norm": 1.5,
        "cosine": -0.333333,
    }


@pytest.mark.xdist_group("kernels")
def test_wide_rows_take_the_compiled_path(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = lopsided(8, 1 << 17, 0)
    monkeypatch.setattr("gradskew.core.rows.WIDE", rows.numel())
    skew, wanted = measure(rows), oracle(rows, 1, 8)
    for name, value in wanted.items():
        np.testing.assert_allclose(getattr(skew, name), value, rtol=1e-5, atol=1e-9, err_msg=name)
