"""Rules that look at directions: `consensus`, `ptm`, `dnc` on all coordinates; by hand, and what is proven of them."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import oracle_rules
import pytest
import torch
from cases import inputs, make_rows, rows_of
from hypothesis import given
from hypothesis import strategies as st
from tiny import Tiny

from gradskew import InputError
from gradskew import aggregators as agg
from gradskew.federation import Federation, Run

SLACK = 1e-7  # of a bound, in units of what it bounds
FEW = 8  # rows whose honest sets are all gone through


def call(name, rows, f=0):
    return agg.make(name)(rows, f)


def test_dnc_on_all_coordinates_draws_nothing():
    rows = rows_of((1, 0), (1, 0.1), (1, -0.1), (1, 8.9))
    generator = torch.Generator().manual_seed(3)
    before = generator.get_state()
    assert agg.make("dnc(b=None)")(rows, 1, generator=generator).tolist() == pytest.approx([1, 0], abs=1e-7)
    assert torch.equal(generator.get_state(), before)
    assert (agg.make("dnc(b=None)").isometric, agg.make("dnc").isometric) == (True, False)
    for name in ("dnc(b=None,iterations=2)", "dnc(b=None,replacement=True)"):
        with pytest.raises(InputError, match="dnc: iterations and replacement are of draws: with b=None nothing is"):
            agg.make(name)


def test_consensus_by_hand():
    """Rows e, e (lengths 2, 3), e' (4) and 0, f = 1: 3 x + x = 1 for the equal ones, 3 x = 1, 2 x = 1.

    So lambda = 1/4, 1/4, 1/3, 1/2 and the scores, up to the sum, 1/4 + 1/4, the same, 1/3, 0: the first row goes. Then
    lambda = 1/3, 1/3, 1/2 and a = (1/3, 1/3); along it the rows are 2, 3, 4 and 0 over sqrt 2, their median is 2.5 /
    sqrt 2, and the aggregate (1.25, 1.25). The weights are 2.5 / sqrt 2 / |a| = 3.75 times lambda over the length.
    """
    outcome = agg.make("consensus").explain(rows_of((2, 0), (3, 0), (0, 4), (0, 0)), 1)
    assert outcome.value.tolist() == pytest.approx([1.25, 1.25])
    assert outcome.weights.tolist() == pytest.approx([0, 3.75 / 9, 3.75 / 12, 0])
    assert outcome.notes == {"certificate": pytest.approx(1 / 3)}  # 1/3 + 1/3 + 0, less the larger 1/3
    assert outcome.share(2) == pytest.approx(1 / 2)  # of lambda: 1/3 of 2/3, a row of zeros counts nothing
    assert call("consensus", rows_of((3, 0), (0, 1))).tolist() == pytest.approx([1, 1])  # median 2 / sqrt 2
    assert call("consensus", rows_of((1, 0), (1, 0), (-1, 0))).tolist() == pytest.approx([1, 0])  # a = 0.4 + 0.4 - 0.6


def test_consensus_drops_f_rows_in_all():
    """Seven of 22: with five steps 2, 2, 2 and 1; with three steps 3, 3 and 1; all at once with one step."""
    rows = make_rows(22, 9, 0, "gauss", seed=4)
    for steps in (1, 3, 5, 100):
        assert (agg.make(f"consensus(steps={steps})").explain(rows, 7).weights == 0).sum() == 7


def test_consensus_drops_the_lower_index_of_equal_scores():
    """The three rows of one direction have one score; two are dropped one after the other."""
    rows = rows_of((1, 0), (2, 0), (3, 0), (0, 1), (0, 0), (0, 0), (0, 0))
    assert (agg.make("consensus").explain(rows, 1).weights == 0).tolist() == [True, *[False] * 3, *[True] * 3]
    assert (agg.make("consensus").explain(rows, 2).weights == 0).tolist() == [True, True, *[False] * 2, *[True] * 3]


def test_a_power_that_is_not_whole_and_one_that_is_are_powers():
    """Of cosines 1, 0.6 and 0, by ridge 2: the score of the odd row falls with the power."""
    for power in (0.5, 1.0, 3.0, 6.0, 8.0, 12.0):
        alike = agg.Consensus(power=power)._alike(torch.tensor([[1.0, 0.6], [-0.3, 0.0]], dtype=torch.float64))
        assert alike.flatten().tolist() == pytest.approx([1, 0.6**power, 0, 0], rel=1e-12)


@pytest.mark.parametrize("name", ["consensus(ridge=1e160)", "consensus(power=1e7)"])
def test_numbers_beyond_those_of_float64_are_refused(name):
    with pytest.raises(InputError, match=r"consensus: (ridge|power) must be .* at most 1000000"):
        agg.make(name)


def test_ptm_of_rows_that_differ_by_rounding_is_the_mean():
    rows = torch.full((6, 40), 0.1).mul(
        1 + 2**-23 * torch.randint(2, (6, 40), generator=torch.Generator().manual_seed(1))
    )
    assert agg.make("ptm").explain(rows, 2).weights.tolist() == pytest.approx([1 / 6] * 6, rel=1e-6)


@pytest.mark.parametrize(
    "rows",
    [
        [(0, 0), (0, 0), (0, 0), (0, 0)],
        [(1, 0), (-2, 0)],  # a = 0
        [(1, 3), (-1, -3), (7, -2), (-7, 2)],
        [(25, 0), (-7, 24), (-7, -24)],  # a = (0.14, 0), against which two of three rows stand
    ],
)
def test_consensus_stays_where_no_direction_is(rows):
    outcome = agg.make("consensus").explain(rows_of(*rows), 0)
    assert outcome.value.tolist() == [0, 0]
    assert outcome.weights.tolist() == [0] * len(rows)


def test_ptm_by_hand():
    """All lengths are 5, so none is cut. Mean (1.8, 0); sums of squares 76.8 along the first axis, 32 along the other.

    f = 1: 5, 5, 5, -3, -3 without the ends: 7 / 3. f = 2: 5, which is the row of the majority, with weights of 1/3.
    """
    rows = rows_of((5, 0), (5, 0), (5, 0), (-3, 4), (-3, -4))
    outcome = agg.make("ptm").explain(rows, 1)
    assert outcome.value.tolist() == pytest.approx([7 / 3, 0], abs=1e-6)
    assert outcome.weights.tolist() == pytest.approx([2 / 9] * 3 + [1 / 6] * 2)
    assert outcome.notes == {"certificate": pytest.approx(1 / 3 * 76.8 / 4 + 32 / 16)}
    assert agg.make("ptm").explain(rows, 2).weights.tolist() == pytest.approx([1 / 3] * 3 + [0] * 2, abs=1e-9)
    assert call("ptm", rows_of(0, 1, 2, 9), 1).item() == pytest.approx(1.5)  # 9 is cut to 2: 0, 1, 2, 2


def test_ptm_is_the_trimmed_mean_of_clipped_rows_in_one_dimension():
    for seed in range(5):
        rows = make_rows(13, 1, 0, "heavy", seed=seed)
        torch.testing.assert_close(call("ptm", rows, 4), call("arc+rbtm", rows, 4), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("f", [1, 3, 6])
def test_ptm_is_exact_on_two_clusters_of_one_length(f):
    rows = torch.cat([rows_of((0, 5)).expand(f, -1), rows_of((3, 4)).expand(13 - f, -1)])
    assert call("ptm", rows, f).tolist() == pytest.approx([3, 4])


@given(data=st.data())
def test_the_certificate_of_consensus_holds_for_every_honest_set(data):
    """And the honest rows kept agree by at least their squares + ridge |a|^2 - k / 4, k the Byzantine rows kept."""
    rule = agg.make(data.draw(st.sampled_from(["consensus", "consensus(power=1,ridge=0.1,steps=2)"])))
    rows, f = data.draw(inputs(rule.max_f, most_n=FEW))
    exact = oracle_rules.consensus(rows.numpy(), f, rule.ridge, rule.power, rule.steps)
    certificate, n = rule.explain(rows, f).notes["certificate"], len(rows)
    if not exact.clear:
        return
    sums = []
    for honest in combinations(range(n), n - f):
        kept = exact.agreement[[i for i in exact.kept if i in honest]]
        sums.append(kept.sum())
        floor = (kept**2).sum() + rule.ridge * exact.length**2 - (n - f - len(kept)) / 4
        assert kept.sum() >= floor - SLACK * n
    assert certificate <= min(sums) + SLACK * n
    assert certificate >= min(sums) - SLACK * n  # some honest set reaches it: f rows or fewer are left out


@given(data=st.data())
def test_the_certificate_of_ptm_holds_for_every_honest_set(data):
    rule = agg.make("ptm")
    rows, f = data.draw(inputs(rule.max_f, most_n=FEW))
    outcome, exact, n = rule.explain(rows.double(), f), oracle_rules.ptm(rows.numpy(), f), len(rows)
    size = SLACK * float(oracle_rules.norms(exact.clipped).max()) ** 2
    first, second = exact.eigenvalues
    bound = f / (n - 2 * f) * first / (n - f) + f * second / (n - f) ** 2
    assert outcome.notes["certificate"] == pytest.approx(bound, rel=1e-5, abs=size)
    for honest in combinations(range(n), n - f):
        chosen = exact.clipped[list(honest)]
        missed = float(((outcome.value.numpy() - chosen.mean(axis=0)) ** 2).sum())
        assert missed <= outcome.notes["certificate"] + size
        if exact.clear:
            along = float((chosen @ exact.axis).var())
            assert missed <= f / (n - 2 * f) * along + f * second / (n - f) ** 2 + size


@given(data=st.data())
def test_clipped_dnc_is_no_farther_than_2_f_tau_from_any_clipped_honest_mean(data):
    rule = agg.make("clipping(c=median)+dnc(b=None)")
    rows, f = data.draw(inputs(rule.max_f, most_n=FEW))
    radius = float(np.median(oracle_rules.norms(rows.numpy())))
    clipped, value, n = oracle_rules.clipping(rows.numpy(), radius), rule(rows.double(), f).numpy(), len(rows)
    for honest in combinations(range(n), n - f):
        missed = float(np.linalg.norm(value - clipped[list(honest)].mean(axis=0)))
        assert missed <= 2 * f * radius / (n - f) + SLACK * radius


def test_the_bound_of_clipped_dnc_is_reached():
    """Rows 1, 1 and -1, -1 of four in one column: one of four is dropped. All lengths are tau = 1.

    The mean of the three left is 1/3 or -1/3, that of the other three is the opposite: 2/3 = 2 f tau / (n - f).
    """
    value = call("clipping(c=median)+dnc(b=None)", rows_of(1, 1, -1, -1), 1).item()
    assert abs(value) == pytest.approx(1 / 3)


@pytest.mark.parametrize("name", ["consensus", "ptm", "consensus_dnc"])
def test_scaled_rows_of_another_type_change_nothing(name):
    rows = make_rows(16, 7, 0, "heavy", seed=1)
    torch.testing.assert_close(call(name, rows.double(), 4), call(name, rows, 4).double(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rule", ["consensus_dnc", "ptm"])
@pytest.mark.filterwarnings("error")
def test_the_full_search_plays_against_it_without_a_warning(rule):
    run = Run(source=Tiny(), partition="iid", model="linear", clients=10, byzantine=3, rounds=2, seed=1)
    attacked, plain = (
        Federation(replace(run, aggregator=rule, attack=name)) for name in ("adaptive(effort=full)", "none")
    )
    first, harmless = attacked.round(0), plain.round(0)
    assert first["distance"] > harmless["distance"]
    assert attacked.round(1)["stepped"]
