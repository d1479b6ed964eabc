"""Attacks by hand: small examples that a reader can check, and every option. Mimic has its own file."""

import itertools
import math

import numpy as np
import pytest
import torch
from cases import make_rows, rows_of

from gradskew import InputError
from gradskew import attacks as att
from gradskew.attacks.lie import z_max
from gradskew.attacks.strike import num_skewed
from gradskew.core.rows import Rows


def forge(name, honest, f=1, n=None):
    return att.make(name)(honest, torch.zeros(f, honest.shape[1]), n=n)


def test_none_labelflip_and_bitflip():
    honest, own = rows_of((9, 9)), rows_of((1, -2), (3, 0))
    assert torch.equal(att.NoAttack()(honest, own), own)
    assert torch.equal(att.LabelFlip()(honest, own), own)
    assert torch.equal(att.BitFlip()(honest, own), rows_of((-1, 2), (-3, 0)))


@pytest.mark.parametrize(
    ("name", "f", "n", "forged"),
    [  # of rows 1 and 3: mean 2, biased std 1; n counts honest clients that the attacker does not know
        ("byzmean(z=0.5)", 2, 4, [2.5, 3.5]),  # (4 - 1) 2.5 - 2 * 2
        ("byzmean(z=0.5)", 2, 8, [2.5, 5.5]),  # (8 - 1) 2.5 - 6 * 2
        ("lie(z=None)", 3, 8, [2.2533] * 3),  # the quantile of (8 - 4 - 1) / (8 - 3)
        ("bitflip(of=mean,scale=None)", 2, 8, [-2.0, -2.0]),  # -(h / f) 2, of the two known rows
    ],
)
def test_what_an_attacker_sends_who_knows_two_of_the_honest_rows(name, f, n, forged):
    assert forge(name, rows_of((1,), (3,)), f, n).flatten().tolist() == pytest.approx(forged, abs=1e-4)


@pytest.mark.parametrize("name", ["none", "labelflip", "mimic"])
def test_forged_rows_do_not_lie_in_the_memory_of_given_ones(name):
    honest, own = make_rows(6, 4, 0, "gauss", seed=2), torch.ones(2, 4)
    kinds = (lambda rows: rows, lambda rows: rows.numpy(), Rows)
    for of_honest, of_own in itertools.product(kinds, kinds):
        forged = att.make(name)(of_honest(honest), of_own(own))
        before = honest.clone(), own.clone()
        forged[:] = 7
        assert torch.equal(honest, before[0])
        assert torch.equal(own, before[1])


def test_what_is_no_generator():
    for given in (np.random.default_rng(0), 0):
        with pytest.raises(InputError, match=r"generator must be a torch\.Generator, not "):
            att.make("gaussian")(rows_of(1, 2), rows_of(0), generator=given)


def test_mixtures_of_rows_are_refused():
    honest = Rows(make_rows(6, 4, 0, "gauss", seed=2)).mix(torch.eye(6, dtype=torch.float64))
    with pytest.raises(InputError, match="an attack takes rows of clients, not mixtures of them"):
        att.make("lie")(honest, torch.ones(2, 4))


@pytest.mark.parametrize("name", ["minmax", "minsum", "strike", "mimic"])
def test_the_largest_rows_that_are_taken(name):
    """Entries just below 1e70: a power of two, so that the answer is the same times it, but for rounding."""
    honest, scale = make_rows(12, 5, 0, "gauss", seed=4).double(), 2.0**228
    assert 1e68 < float((honest * scale).abs().max()) < 1e70
    own = honest[:2].clone()
    small, large = att.make(name)(honest, own), att.make(name)(honest * scale, own * scale)
    torch.testing.assert_close(large / scale, small, rtol=1e-9, atol=1e-9)
    with pytest.raises(InputError, match="entries of 1e\\+70 or more"):
        att.make(name)(honest * 2.0**240, own)


def test_rows_of_a_tensor_that_requires_a_gradient():
    own = rows_of((1, -2)).requires_grad_()
    for given in (own, Rows(own)):
        assert att.BitFlip()(rows_of((9, 9)), given).tolist() == [[-1, 2]]


@pytest.mark.parametrize(
    ("kind", "entry", "scale", "largest"),
    [
        (torch.float16, 2.0**10, 128, 65504.0),
        (np.float16, 2.0**10, 128, 65504.0),
        (torch.bfloat16, 2.0**127, 1.9990234375, 2.0**127 * (2 - 2.0**-7)),
    ],
)
def test_what_overflows_in_half_precision_is_cut_at_its_largest_number(kind, entry, scale, largest):
    rows = torch.tensor([[entry, -0.5]]).repeat(2, 1)
    rows = rows.numpy().astype(kind) if kind is np.float16 else rows.to(kind)
    for name in (f"bitflip(scale={scale})", f"ipm(epsilon={scale})"):
        forged = att.make(name)(rows, rows[:1])
        assert forged.dtype == rows.dtype
        assert forged[0].tolist() == [-largest, pytest.approx(scale / 2, rel=1e-2)]
    assert att.make("nonfinite")(rows, rows[:1])[0].tolist() == [math.inf, math.inf]


def test_only_labelflip_relabels():
    labels = torch.tensor([0, 1, 25])
    for name in att.names():
        flipped = att.make(name).relabel(labels, 26)
        assert flipped.tolist() == ([25, 24, 0] if name == "labelflip" else [0, 1, 25])


def test_lie_with_its_default_z_and_both_signs():
    """Mean 3; deviations -2, 0, 2, so the biased std is sqrt(8 / 3) = 1.632993; 1.5 of it is 2.449490."""
    honest = rows_of(1, 3, 5)
    assert forge("lie", honest, f=2)[:, 0].tolist() == pytest.approx([5.449490, 5.449490])
    assert forge("lie(sign=-1)", honest).item() == pytest.approx(0.550510)
    assert forge("lie(z=0)", honest).item() == 3


def test_lie_z_max():
    """n = 50, f = 24: s = 26 - 24 = 2, so Phi(z) = (26 - 2) / 26 = 0.923077 and z = 1.426077.

    n = 50, f = 10: s = 16, (40 - 16) / 40 = 0.6, z = 0.253347. n = 10, f = 2: s = 4, (8 - 4) / 8 = 0.5, z = 0.
    n = 11, f = 2: s = 4, 5 / 9, z = 0.139710. n = 4, f = 1: s = 2, 1 / 3, z = -0.430727. n = 20, f = 4: s = 7, 9 / 16,
    z = 0.157311; ByzPy's share is (20 - 7) / 20, z = 0.385320. n = 10, f = 3: s = 3, 4 / 7, z = 0.180012.
    """
    assert z_max(4, 4) == 8  # all are Byzantine: no honest client is needed
    assert z_max(20, 4) == pytest.approx(0.157311, abs=1e-6)
    assert z_max(10, 3) == pytest.approx(0.180012, abs=1e-6)
    theirs = att.LIE(z="byzpy").explain(rows_of(*range(16)), torch.zeros(4, 1))
    assert theirs.notes["z"] == pytest.approx(0.385320, abs=1e-6)
    assert z_max(50, 24) == pytest.approx(1.426077, abs=1e-6)
    assert z_max(50, 10) == pytest.approx(0.253347, abs=1e-6)
    assert z_max(10, 2) == pytest.approx(0, abs=1e-12)
    assert z_max(11, 2) == pytest.approx(0.139710, abs=1e-6)
    assert z_max(4, 1) == pytest.approx(-0.430727, abs=1e-6)
    forgery = att.LIE(z=None).explain(rows_of(0, 0, 6), torch.zeros(1, 1))
    assert forgery.notes["z"] == pytest.approx(-0.430727, abs=1e-6)  # kept, and noted
    assert forgery.rows.item() == pytest.approx(2 - 0.430727 * math.sqrt(8), abs=1e-5)
    assert "z" not in att.LIE().explain(rows_of(0, 6), torch.zeros(1, 1)).notes


def test_ipm():
    assert forge("ipm", rows_of((1, 10), (3, 30))).tolist() == [pytest.approx([-0.2, -2])]
    assert forge("ipm(epsilon=2)", rows_of(1, 3)).item() == pytest.approx(-4)


def test_minmax_with_its_three_perturbations():
    """Rows (0, 0), (2, 0), (1, 0): mean (1, 0), largest distance 2, std (sqrt(2/3), 0).

    std and unit (-1, 0) and sign (-1, 0) all move along the first axis: the row is at distance 2 from the farthest
    row, so at 2 (from the row 0), or at 0 going the other way. gamma = 1 / 0.816497 = 1.224745, or 1.
    """
    honest = rows_of((0, 0), (2, 0), (1, 0))
    expected = {"std": ((2, 0), 1.224745), "unit": ((0, 0), 1), "sign": ((0, 0), 1)}
    for p, (row, gamma) in expected.items():
        forgery = att.MinMax(p=p).explain(honest, torch.zeros(2, 2))
        assert forgery.rows.tolist() == [pytest.approx(row, abs=1e-6)] * 2
        assert forgery.notes["gamma"] == pytest.approx(gamma, abs=1e-6)


def test_minmax_perturbations_differ_where_the_mean_is_askew():
    """Rows (3, 0), (3, 8): mean (3, 4), diameter 8, std (0, 4), mean / |mean| = (0.6, 0.8).

    std: (3, 4 + 4 gamma) is 8 from (3, 0) at gamma = 1. unit: (3 - 0.6 g, 4 - 0.8 g) from (3, 8): 0.36 g^2 +
    (4 + 0.8 g)^2 = 64, g^2 + 6.4 g - 48 = 0, g = 4.430465. sign: g^2 + (4 + g)^2 = 64, g = -2 + sqrt(28) = 3.291503.
    """
    honest = rows_of((3, 0), (3, 8))
    unit = -3.2 + math.sqrt(3.2**2 + 48)
    sign = -2 + math.sqrt(28)
    expected = {
        "std": ((3, 8), 1),
        "unit": ((3 - 0.6 * unit, 4 - 0.8 * unit), unit),
        "sign": ((3 - sign, 4 - sign), sign),
    }
    for p, (row, gamma) in expected.items():
        forgery = att.MinMax(p=p).explain(honest, torch.zeros(1, 2))
        assert forgery.rows[0].tolist() == pytest.approx(row, abs=1e-5)
        assert forgery.notes["gamma"] == pytest.approx(gamma, abs=1e-6)


def test_minsum_and_both_bounds():
    """Rows 0, 0, 6: mean 2, std sqrt(8). Sums of squared distances: 36, 36, 72. The row x has 2 x^2 + (x - 6)^2.

    largest: 3 x^2 - 12 x + 36 = 72, x = 2 + 4 = 6. smallest: 3 x^2 - 12 x = 0, x = 4; gamma = (x - 2) / sqrt(8).
    """
    for name, x in (("minsum", 6), ("minsum(bound=smallest)", 4)):
        forgery = att.make(name).explain(rows_of(0, 0, 6), torch.zeros(1, 1))
        assert forgery.rows.item() == pytest.approx(x, abs=1e-6)
        assert forgery.notes["gamma"] == pytest.approx((x - 2) / math.sqrt(8), abs=1e-6)


@pytest.mark.parametrize("name", ["minmax", "minsum"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_identical_rows_leave_no_room(name, dtype):
    honest = torch.tensor([[0.1, -3.3, 1e6]], dtype=dtype).expand(7, 3)
    forgery = att.make(name).explain(honest, torch.zeros(3, 3, dtype=dtype))
    assert forgery.notes["gamma"] == 0
    torch.testing.assert_close(forgery.rows, honest[:3], rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["minmax", "minsum", "minmax(p=unit)", "minsum(p=sign)"])
def test_nothing_to_perturb_gives_gamma_zero(name):
    honest = rows_of((0, 0), (0, 0))
    forgery = att.make(name).explain(honest, torch.zeros(1, 2))
    assert forgery.notes["gamma"] == 0
    assert forgery.rows.tolist() == [[0, 0]]


def test_minmax_sign_of_a_zero_mean_stays():
    """Rows -1 and 1: the mean is 0, and so is its sign."""
    assert forge("minmax(p=sign)", rows_of(-1, 1)).item() == 0


def test_strike_by_hand():
    """Honest 0, 1, 2, 9 and f = 1, n = 5: median 1.5, mean 3, direction -1.5. S: the n - 2f = 3 rows 0, 1, 2.

    mean_S = 1 < 3, so the sign is -; std_S = sqrt(2/3), diameter 2. 1 - alpha std is at distance 2 from the row 2
    at alpha std = 1: g_b = 0. With nu = 0.5 it is 1 - 0.5 = 0.5; with alpha capped at 0.5 it is 1 - 0.5 std = 0.591752.
    """
    honest = rows_of(0, 9, 1, 2)
    forgery = att.STRIKE().explain(honest, torch.zeros(1, 1))
    assert forgery.rows.item() == pytest.approx(0, abs=1e-6)
    assert forgery.notes["alpha"] == pytest.approx(math.sqrt(1.5))
    assert forgery.notes["skewed"] == 3
    assert forge("strike(nu=0.5)", honest).item() == pytest.approx(0.5, abs=1e-6)
    assert forge("strike(nu=0)", honest).item() == pytest.approx(1)
    assert forge("strike(max_alpha=0.5)", honest).item() == pytest.approx(0.591752, abs=1e-6)
    assert forge("strike(max_alpha=10)", honest).item() == pytest.approx(0, abs=1e-6)


def test_strike_takes_the_median_that_it_is_told():
    """Honest 0, 4, 6, 9, n = 7, f = 3, so |S| = 1: mean 4.75. Lower median 4: direction -0.75, S = {0}; g_b = 0.

    Upper median 6 and midpoint 5: direction +, S = {9}, g_b = 9.
    """
    honest = rows_of(0, 4, 6, 9)
    rows = [forge(f"strike(middle={middle})", honest, f=3).tolist() for middle in ("lower", "midpoint", "upper")]
    assert rows == [[[0]] * 3, [[9]] * 3, [[9]] * 3]


def test_strike_on_orthogonal_rows_of_equal_norm_has_alpha_near_one():
    honest = torch.eye(40)
    forgery = att.STRIKE().explain(honest, torch.zeros(10, 40))
    assert forgery.notes["alpha"] == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_strike_on_identical_rows_sends_the_row(dtype):
    honest = torch.tensor([[0.1, -3.3, 1e6]], dtype=dtype).expand(7, 3)
    forgery = att.STRIKE().explain(honest, torch.zeros(3, 3, dtype=dtype))
    assert forgery.notes["alpha"] == 0
    torch.testing.assert_close(forgery.rows, honest[:3], rtol=1e-6, atol=0)


def test_strike_reaches_the_diameter():
    """For nu = 1, equality holds in Eq. 9 for some row of S."""
    honest = make_rows(15, 30, 0, "gauss", seed=1)
    attack = att.STRIKE()
    row = attack(honest, torch.zeros(5, 30))[0]
    skewed = honest[attack.search(Rows(honest), 10)].double()
    assert float((skewed - row.double()).norm(dim=1).max()) == pytest.approx(
        float(torch.cdist(skewed, skewed).max()), rel=1e-6
    )


@pytest.mark.parametrize(
    ("known", "n", "f", "size"),
    [(40, 50, 10, 30), (22, 29, 7, 15), (20, 50, 10, 15), (1, 50, 10, 1), (3, 6, 3, 1), (2, 7, 5, 1), (2, 2, 2, 1)],
)
def test_how_many_honest_rows_strike_selects(known, n, f, size):
    """k (n - 2f) // (n - f): 40 * 30 / 40, 22 * 15 / 22, 20 * 30 / 40, 30 / 40 -> 1, and 1 for n <= 2f."""
    assert num_skewed(known, n, f) == size


def test_strike_without_an_honest_majority():
    """Honest 0, 1, 5, n = 6, f = 3: median 1, mean 2, direction -1, S = {0}, so g_b = 0; extrapolated 2 - 10 = -8."""
    honest = rows_of(0, 1, 5)
    forgery = att.STRIKE().explain(honest, torch.zeros(3, 1))
    assert forgery.notes["skewed"] == 1
    assert forgery.rows.tolist() == [[0]] * 3
    assert forge("strike(few=extrapolate)", honest, f=3).tolist() == [[-8]] * 3
    assert forge("strike(few=extrapolate)", rows_of(2), f=3).tolist() == [[-20]] * 3
    assert forge("strike(few=extrapolate)", honest, f=2).tolist() == forge("strike", honest, f=2).tolist()  # n > 2f
