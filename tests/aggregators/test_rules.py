"""Rules by hand: small examples that a reader can check, every option, state, presets."""

import pytest
import torch
from cases import known, make_rows, rows_of

from gradskew import InputError
from gradskew import aggregators as agg
from gradskew.core.round import Round
from gradskew.core.rows import Rows


def call(name, rows, f=0):
    return agg.make(name)(rows, f)


def test_mean():
    assert call("mean", rows_of((0, 3), (1, 4), (5, 5))).tolist() == [2, 4]


def test_multikrum_and_its_neighbours():
    """Rows 0, 1, 3, 7, 20 and f = 1: n - f - 2 = 2 neighbours.

    Scores: 0: 1 + 9 = 10. 1: 1 + 4 = 5. 3: 4 + 9 = 13. 7: 16 + 36 = 52. 20: 169 + 289 = 458.
    The best four are 0, 1, 3, 7 (mean 2.75), the best one is 1, the best two are 1 and 0 (mean 0.5).
    With n - f - 1 = 3 neighbours: 0: 10 + 49 = 59. 1: 5 + 36 = 41. 3: 13 + 16 = 29: the best one is 3.
    """
    rows = rows_of(0, 1, 3, 7, 20)
    assert call("multikrum", rows, 1).item() == 2.75
    assert call("multikrum(m=1)", rows, 1).item() == 1
    assert call("multikrum(m=2)", rows, 1).item() == 0.5
    assert call("multikrum(m=1,neighbours=n-f-1)", rows, 1).item() == 3
    assert agg.make("multikrum").explain(rows, 1).weights.tolist() == [0.25] * 4 + [0]


def test_median_of_an_even_and_an_odd_number_of_rows():
    rows = rows_of((0, 9), (1, 8), (4, -1), (100, 2))
    assert call("median", rows).tolist() == [2.5, 5]
    assert call("median(middle=lower)", rows).tolist() == [1, 2]
    assert call("median(middle=upper)", rows).tolist() == [4, 8]
    for middle in ("midpoint", "lower", "upper"):
        assert call(f"median(middle={middle})", rows[:3], 1).tolist() == [1, 8]


@pytest.mark.parametrize("size", [50, 1e6, 1e30, 3e38])
def test_rbtm_keeps_its_digits_next_to_huge_rows(size):
    """f = 2 at each end leave 1, 2, 6: mean 3."""
    assert call("rbtm", rows_of(size, 1, -size, 2, size, 6, -size), 2).item() == 3
    assert call("rbtm", rows_of(1, 2, 6)).item() == 3  # f = 0 drops nothing


def test_rfa_by_hand():
    """Rows 0, 0, 3, from the mean 1: v becomes 3 v / (6 - v), so 1/v becomes 2/v - 1/3: 3/5, 1/3, ..., 1/171."""
    rows = rows_of(0, 0, 3)
    for steps, v in ((1, 3 / 5), (2, 1 / 3), (8, 1 / 171)):
        assert call(f"rfa(steps={steps})", rows, 1).item() == pytest.approx(v, rel=1e-6)
    assert call("rfa", rows, 1).item() == pytest.approx(1 / 171, rel=1e-6)


def test_rfa_from_zero_with_a_floor():
    """Rows 1, 4 from 0: weights 1 and 1/4, v = (1 + 1) / 1.25 = 1.6; from the mean 2.5 they are equal, and v stays.

    Row 0 is at distance 0 from the start: nu = 0.5 caps its weight at 2; with row 4, 1/4: v = 1 / 2.25.
    """
    assert call("rfa(start=zero,steps=1)", rows_of(1, 4)).item() == pytest.approx(1.6)
    assert call("rfa(steps=1)", rows_of(1, 4)).item() == pytest.approx(2.5)
    assert call("rfa(start=zero,steps=1,nu=0.5)", rows_of(0, 4)).item() == pytest.approx(1 / 2.25)


def test_aksel_and_its_options():
    """Rows 0, 1, 4, 10: midpoint 2.5; squared distances 6.25, 2.25, 2.25, 56.25; lower median 2.25 keeps 1 and 4.

    Lower median 1: 1, 0, 9, 81 keeps 0 and 1. Upper median 4: 16, 9, 0, 36 keeps 1 and 4. The 3 nearest: 0, 1, 4.
    """
    rows = rows_of(0, 1, 4, 10)
    assert call("aksel", rows, 1).item() == 2.5
    assert call("aksel(middle=lower)", rows, 1).item() == 0.5
    assert call("aksel(middle=upper)", rows, 1).item() == 2.5
    assert call("aksel(select=n-f)", rows, 1).item() == pytest.approx(5 / 3)


def test_aksel_keeps_all_ties():
    """Rows -2, -1, 0, 1, 2: median 0, squared distances 4, 1, 0, 1, 4, their median 1 keeps three rows."""
    outcome = agg.make("aksel").explain(rows_of(-2, -1, 0, 1, 2), 2)
    assert outcome.weights.tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3, 0])
    assert outcome.notes["kept"] == 3


def test_aksel_does_not_round_its_centre():
    """The midpoint 2^23 + 1.5 is no float32: rounded, one of the outer rows would come in."""
    outcome = agg.make("aksel").explain(rows_of(*(2**23 + k for k in range(4))), 1)
    assert outcome.weights.tolist() == [0, 0.5, 0.5, 0]


def test_cclip_by_hand():
    """tau = 5 around 0: (3, 4) has norm 5 and stays; (6, 8) is halved to (3, 4); (0, 0) stays. Mean (2, 8/3)."""
    rows = rows_of((3, 4), (6, 8), (0, 0))
    outcome = agg.make("cclip(tau=5)").explain(rows, 1)
    assert outcome.value.tolist() == pytest.approx([2, 8 / 3])
    assert outcome.weights.tolist() == pytest.approx([1 / 3, 1 / 6, 1 / 3])
    assert outcome.notes["clipped"] == 1
    assert call("cclip", 4 * rows, 1).tolist() == pytest.approx(
        [(6 + 6) / 3, (8 + 8) / 3]
    )  # tau = 10: (12, 16), (24, 32)


def test_cclip_takes_steps_and_starts_from_the_last_aggregate():
    """tau = 1, rows 0.5, -10, 10, 10: from 0: (0.5 - 1 + 1 + 1) / 4 = 0.375. From there: 0.375 + (0.125 + 1) / 4."""
    rows, rule = rows_of(0.5, -10, 10, 10), agg.make("cclip(tau=1)")
    assert call("cclip(tau=1,steps=2)", rows, 1).item() == pytest.approx(0.65625)
    for _ in range(2):
        assert rule(rows, 1).item() == 0.375  # trying the rule out does not move it
    rule.observe(torch.tensor([0.375]))
    assert rule(rows, 1).item() == pytest.approx(0.65625)


def test_cclip_remembers_rows_of_its_width():
    rule = agg.make("cclip")
    rule.observe(torch.arange(5.0))
    for d in (3, 7):
        with pytest.raises(InputError, match=rf"a vector of shape \(5,\) does not fit rows of {d} columns"):
            rule(torch.ones(3, d), 1)


def test_cclip_around_the_servers_own_update():
    """Rows 2, 3, 5 around 1 at distances 1, 2, 4: the least is 1, and the first step 1 + (1 + 1 + 1) / 3 = 2.

    The radius is that of the first step: then 2 + (0 + 1 + 1) / 3. With tau = 2: 1 + (1 + 2 + 2) / 3.
    """
    rows, round = rows_of(2, 3, 5), Round(reference=torch.tensor([1.0]))
    outcome = agg.make("cclip(centre=reference,tau=least)").explain(rows, 1, round=round)
    assert outcome.value.item() == pytest.approx(2)
    assert outcome.weights.tolist() == pytest.approx([1 / 3, 1 / 6, 1 / 12])
    assert outcome.notes == {"clipped": 2}
    assert agg.make("cclip(centre=reference,steps=2,tau=least)")(rows, 1, round=round).item() == pytest.approx(8 / 3)
    assert agg.make("cclip(centre=none)") == agg.make("cclip")
    assert agg.make("cclip(centre=reference,start=mean,tau=2)")(rows, 1, round=round).item() == pytest.approx(8 / 3)


def test_a_row_at_the_servers_own_update_makes_the_least_radius_0():
    outcome = agg.make("cclip(centre=reference,tau=least)").explain(
        rows_of(2, 3, 5), 1, round=Round(reference=torch.tensor([3.0]))
    )
    assert (outcome.value.item(), outcome.weights.tolist()) == (3, [0, pytest.approx(1 / 3), 0])


def test_cclip_around_the_servers_own_update_has_no_state_and_needs_root_data():
    rule = agg.make("cclip(centre=reference,tau=1)")
    rule.observe(torch.ones(1))
    assert (rule.state_dict(), rule.has_state, rule.needs) == ({}, False, {"reference"})
    with pytest.raises(InputError, match=r"cclip.* needs the server's own update: root_examples = 100"):
        rule(rows_of(2, 3, 5), 1)
    with pytest.raises(InputError, match="cclip: tau must be a number without centre=reference"):
        agg.make("cclip(tau=least)")


def test_dnc_drops_the_rows_that_stand_out():
    """The variance lies along the second axis: centre 8.9 / 4 = 2.225, and the row 8.9 is farthest from it.

    c = 2 drops two rows: squared distances to 2.225 are 4.95, 4.52, 5.41, 44.6, so 8.9 and -0.1 go.
    """
    rows = rows_of((1, 0), (1, 0.1), (1, -0.1), (1, 8.9))
    assert call("dnc", rows, 1).tolist() == pytest.approx([1, 0], abs=1e-7)
    outcome = agg.make("dnc(c=2)").explain(rows, 1)
    assert outcome.weights.tolist() == [0.5, 0.5, 0, 0]
    assert outcome.notes["kept"] == 2
    assert agg.make("dnc(c=0.5)").explain(rows, 1).notes["kept"] == 3  # rounded up
    assert call("dnc", rows).tolist() == pytest.approx([1, 8.9 / 4])  # f = 0 drops nothing


def test_dnc_iterations_intersect():
    """Row i is huge in column i alone: an iteration on column i drops row i, and b = 1 draws one column at a time."""
    rows = 100 * torch.eye(9)
    rows[torch.arange(9), torch.arange(9)] += torch.arange(9)
    for iterations in (1, 3):
        for seed in range(5):
            generator = torch.Generator().manual_seed(seed)
            rule = agg.make(f"dnc(b=1,iterations={iterations})")
            weights = rule.explain(rows, 1, generator=generator).weights
            generator.manual_seed(seed)
            drawn = {int(rule._draw(9, generator)) for _ in range(iterations)}
            assert set((weights == 0).nonzero()[:, 0].tolist()) == drawn


@pytest.mark.parametrize(("d", "b"), [(10, 4), (100, 4), (5, 5), (10_000, 1000)])
def test_dnc_draws_its_columns(d, b):
    once, again = agg.make(f"dnc(b={b})"), agg.make(f"dnc(b={b},replacement=True)")
    seen, repeated = set(), False
    for seed in range(20):
        columns = once._draw(d, torch.Generator().manual_seed(seed)).tolist()
        assert len(columns) == len(set(columns)) == b
        assert set(columns) <= set(range(d))
        seen.add(tuple(columns))
        columns = again._draw(d, torch.Generator().manual_seed(seed)).tolist()
        assert len(columns) == b
        repeated |= len(set(columns)) < b
    assert repeated
    assert len(seen) > 1
    assert agg.make(f"dnc(b={d + 1})")._draw(d, torch.Generator()).tolist() == list(range(d))


def test_dnc_refuses_to_drop_all():
    rule = agg.make("dnc(iterations=3,c=2)")
    assert rule.max_f(19) == 3  # 3 * 2 * 3 = 18 < 19 <= 24
    rows = make_rows(19, 3, 0, "gauss", seed=0)
    assert rule(rows, 3).isfinite().all()
    with pytest.raises(ValueError, match="tolerates at most f = 3 of n = 19"):
        rule(rows, 4)


def test_shares_of_rows_of_torch_and_of_numpy():
    """Multi-Krum keeps four of five: a quarter each."""
    rows = rows_of(0, 1, 3, 7, 20)
    for given in (rows, rows.numpy()):
        assert agg.make("multikrum").explain(given, 1).shares.tolist() == [0.25] * 4 + [0]


def test_equal_rows_share_their_weight():
    """Krum picks the first of three equal rows; each is credited with a third."""
    outcome = agg.make("multikrum(m=1)").explain(rows_of(5, 1, 1, 9, 1), 1)
    assert outcome.value.item() == 1
    assert outcome.weights.tolist() == pytest.approx([0, 1 / 3, 1 / 3, 0, 1 / 3])


@pytest.mark.parametrize("name", ["cclip", "nnm+cclip", "bucketing+nnm+cclip"])
def test_state_round_trip(name):
    rows, rule, fresh = make_rows(7, 4, 0, "gauss", seed=1), agg.make(name), agg.make(name)
    before = rule(rows, 1)
    aggregate = torch.full((4,), 20.0)
    rule.observe(aggregate)
    moved = rule(rows, 1)
    assert not torch.equal(before, moved)
    assert torch.equal(fresh(rows, 1), before)  # state is not shared between objects
    assert rule == fresh
    assert repr(rule) == repr(fresh)
    aggregate.zero_()
    rule.state_dict()["centre"].zero_()  # both are copies
    fresh.load_state_dict(rule.state_dict())
    assert torch.equal(rule(rows, 1), moved)
    assert torch.equal(fresh(rows, 1), moved)
    rule.reset()
    assert torch.equal(rule(rows, 1), before)
    assert rule.state_dict() == {}


@pytest.mark.parametrize("name", [*agg.names(), *(f"{mixing}+multikrum" for mixing in agg.MIXINGS)])
def test_which_rules_have_a_state(name):
    rule, rows = agg.make(name), Rows(torch.ones(4, 3), round=known(4, 3))
    rule.observe(torch.ones(3), rows=rows)
    assert bool(rule.state_dict()) is (name in ("cclip", "foolsgold", "clippedclustering"))


def test_presets():
    made = {preset: lambda name, preset=preset: agg.make(name, preset=preset) for preset in ("strike-authors", "byzfl")}
    assert made["byzfl"]("multikrum") == agg.make("multikrum(neighbours=n-f-1)")
    assert made["byzfl"]("rfa") == agg.make("rfa(start=zero,steps=3,nu=0.1)")
    assert made["byzfl"]("nnm+rfa(steps=5)") == agg.make("nnm+rfa(start=zero,steps=5,nu=0.1)")
    assert made["strike-authors"]("median") == agg.make("median(middle=upper)")
    assert made["strike-authors"]("aksel(select=n-f)") == agg.make("aksel(middle=upper,select=n-f)")
    assert made["strike-authors"]("bucketing+nnm+mean") == agg.make("bucketing(told_f=f/s)+nnm(itself=False)+mean")
    assert agg.make("rfa", preset="paper") == agg.make("rfa(start=mean,steps=8,nu=1e-7)")
    with pytest.raises(ValueError, match="unknown preset 'byzlf'; did you mean 'byzfl'"):
        agg.make("rfa", preset="byzlf")


def test_cclip_counts_clipped_rows_over_all_steps():
    """Rows 12 from 0 with tau = 10: all three are clipped, to 10; then 2 away, none is. A row at tau is not clipped."""
    outcome = agg.make("cclip(tau=10.0,steps=2)").explain(rows_of(12, 12, 12), 0)
    assert outcome.value.item() == pytest.approx(12)
    assert outcome.notes == {"clipped": 3}
    assert agg.make("cclip(tau=10.0)").explain(rows_of(10, 3, -10), 0).notes == {"clipped": 0}
    assert agg.make("cclip(tau=1.0,steps=2)").explain(rows_of(0, 0, 9), 0).notes == {"clipped": 2}  # 9 in each step
