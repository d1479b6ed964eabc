"""A matrix of one's own: what attacks would do to rules on it, against the float64 oracle."""

import numpy as np
import oracle
import pytest
import torch
from cases import without_data
from hypothesis import given
from hypothesis import strategies as st

from gradskew import aggregators, attacks, skew
from gradskew.core.errors import InputError
from gradskew.skew.matrices import kept

ROWS = torch.from_numpy(np.random.default_rng(3).exponential(size=(12, 7)))


def make(sent, rules):
    return [attacks.make(name) for name in sent.split(",")], [aggregators.make(name) for name in rules.split(",")]


def test_strike_against_multikrum_by_the_oracle() -> None:
    found = skew.examine(ROWS, *make("strike", "multikrum,median"), 3)
    honest, forged = ROWS.numpy(), oracle.strike(ROWS.numpy(), 3).row
    every = np.concatenate([np.tile(forged, (3, 1)), honest])
    usual, other, attacked, median = (found.trials[i] for i in (0, 1, 2, 3))
    assert [(t.attack, t.aggregator, t.byzantine, t.rows) for t in (usual, other, attacked, median)] == [
        ("none", "multikrum", 0, 12),
        ("none", "median", 0, 12),
        ("strike", "multikrum", 3, 15),
        ("strike", "median", 3, 15),
    ]
    assert usual.kappa == pytest.approx(oracle.kappa(honest, oracle.multikrum(honest, 3)), rel=1e-5)
    assert attacked.kappa == pytest.approx(oracle.kappa(honest, oracle.multikrum(every, 3)), rel=1e-5)
    assert median.kappa == pytest.approx(oracle.kappa(honest, oracle.median(every)), rel=1e-5)
    chosen = oracle.lowest(oracle.multikrum_scores(every, 3), 12)
    assert attacked.shut_out == [i - 3 for i in range(3, 15) if i not in chosen]
    assert attacked.byzantine_share == pytest.approx(sum(i < 3 for i in chosen) / 12)
    assert attacked.kappa_bound == pytest.approx(aggregators.make("multikrum").kappa_bound(15, 3), rel=1e-5)
    mean, value = honest.mean(0), oracle.multikrum(every, 3)
    assert attacked.progress == pytest.approx(value @ mean / (mean @ mean), rel=1e-5)
    assert (usual.byzantine_share, usual.kappa_bound, usual.selected) == (None, None, None)
    assert (median.byzantine_share, median.shut_out) == (None, None)


def test_replaced_rows_are_the_first() -> None:
    found = skew.examine(ROWS, *make("bitflip", "mean"), 2, replace=True)
    honest = ROWS[2:].numpy()
    flipped = np.concatenate([-ROWS[:2].numpy(), honest])
    usual, attacked = found.trials
    assert usual.kappa == pytest.approx(oracle.kappa(honest, ROWS.numpy().mean(0)), rel=1e-5)
    assert attacked.kappa == pytest.approx(oracle.kappa(honest, flipped.mean(0)), rel=1e-5)
    assert attacked.byzantine_share == pytest.approx(2 / 12)
    assert len(found.skew.towards) == 10


def test_f_is_a_fifth_of_the_rows_if_nothing_is_said() -> None:
    found = skew.examine(ROWS)
    assert (found.f, found.skew.skewed, found.trials) == (2, oracle.strike_size(12, 12, 2), [])
    assert found.skew == skew.measure(ROWS, 2)
    assert skew.examine(ROWS, *make("lie", "mean")).skew.skewed == oracle.strike_size(12, 14, 2)


def test_rows_that_are_not_finite_are_left_out() -> None:
    spoiled = torch.cat([ROWS[:5], torch.full((1, 7), torch.nan), ROWS[5:], torch.full((1, 7), torch.inf)])
    found, clean = (skew.examine(rows, *make("strike", "median"), 2) for rows in (spoiled, ROWS))
    assert (found.rows, list(found.left_out)) == (14, [5, 13])
    assert (found.skew, found.trials) == (clean.skew, clean.trials)
    with pytest.raises(InputError, match="all 2 rows"):
        skew.examine(spoiled[[5, 13]])


def test_seeds_draw_anew() -> None:
    found = skew.examine(ROWS, *make("strike", "bucketing+median"), 2, seeds=range(4))
    kappas = [trial.kappa for trial in found.trials if trial.attack == "strike"]
    assert [trial.seed for trial in found.trials] == [0, 1, 2, 3] * 2
    assert len(set(kappas)) > 1
    assert len(found.pictures) == 4


def test_a_rule_is_told_what_it_tolerates() -> None:
    (trial,) = skew.examine(ROWS, [], [aggregators.make("multikrum")], 11).trials
    assert trial.f == 4  # n > 2 f + 2
    assert trial.kappa_bound is None


@pytest.mark.parametrize(
    ("sent", "f", "replace", "said"),
    [
        ("labelflip", 2, True, "labelflip needs training"),
        ("bitflip(how=training)", 2, True, r"bitflip\(how=training\) needs training"),
        ("bitflip", 2, False, "attacker's own rows"),
        ("gaussian(around=own)", 2, False, "attacker's own rows"),
        ("test_examination:of_own", 2, False, "attacker's own rows"),
        ("strike", 13, False, "at most 12"),
        ("strike", 12, True, "at most 11"),
        ("none", 12, False, "at most 11"),
        ("strike", -1, False, "at least 0"),
    ],
)
def test_what_is_refused(sent, f, replace, said) -> None:
    with pytest.raises(InputError, match=said):
        skew.examine(ROWS, *make(sent, "mean"), f, replace=replace)


def of_own(updates, f, own):
    return -own


def test_an_attack_that_reads_own_rows_beside_honest_ones_gets_no_honest_row_for_its_own() -> None:
    with pytest.raises(InputError, match="attacker's own rows"):
        skew.examine(ROWS, ["gaussian(around=own,sigma=std)"], ["mean"], 2)


def test_own_rows_that_are_lost_are_not_replaced_by_honest_ones() -> None:
    rows = ROWS.clone()
    rows[5] = torch.nan
    assert skew.examine(rows, *make("zero", "mean"), 3, replace=True).left_out == [5]
    rows[1] = torch.inf
    with pytest.raises(InputError, match=r"^with replace the first 3 rows are the attacker's own, and 1 of them have"):
        skew.examine(rows, *make("zero", "mean"), 3, replace=True)


NOT_ON_A_MATRIX = {"labelflip", "nonfinite", without_data("mpaf"), "poisonedfl", "replay"}
WITH_OWN_ROWS = {"bitflip", "fang"}
UNINFORMED = [name for name in aggregators.names() if not aggregators.make(name).needs]  # of a matrix nothing is known


@given(
    n=st.integers(2, 9),
    d=st.integers(1, 4),
    f=st.integers(0, 3),
    seed=st.integers(0, 99),
    sent=st.sampled_from(sorted(set(map(without_data, attacks.names())) - NOT_ON_A_MATRIX - WITH_OWN_ROWS)),
    rule=st.sampled_from([*UNINFORMED, "nnm+median", "bucketing+rfa"]),
)
def test_every_attack_meets_every_rule_and_nothing_is_changed(n, d, f, seed, sent, rule) -> None:
    rows = torch.randn(n, d, generator=torch.Generator().manual_seed(seed))
    before, f = rows.clone(), min(f, n - 1)
    found = skew.examine(rows, *make(sent, rule), f)
    assert torch.equal(rows, before)
    for trial in found.trials:
        assert trial.byzantine == (0 if trial.attack == "none" else f)
        assert trial.kappa is None or trial.kappa >= 0
        assert set(trial.shut_out or ()) <= set(range(n))
    assert found.to_json()["f"] == f


def test_kept_rows_are_a_new_matrix() -> None:
    rows = kept(ROWS, torch.arange(12) % 2 == 0)
    assert torch.equal(rows, ROWS[::2])


def test_rows_of_another_type_are_refused_and_rows_with_a_gradient_are_read() -> None:
    whole = ROWS.long()
    with pytest.raises(InputError, match="float32 or float64"):
        skew.examine(whole)
    tracked = ROWS.clone().requires_grad_()
    same = (ROWS, tracked, ROWS.numpy())
    found = [skew.examine(rows, *make("strike,none", "median"), np.int64(3)).to_json() for rows in same]
    assert found[0] == found[1] == found[2]
    half = ROWS.half()
    half[0, 0] = torch.nan
    assert skew.examine(half).left_out == [0]
