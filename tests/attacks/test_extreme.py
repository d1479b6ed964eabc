"""The exact worst case of monotone rules: by hand, against the closed form, and against random forged rows."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from cases import KINDS, context_of, make_rows, rows_of
from hypothesis import given
from hypothesis import strategies as st

import gradskew as gs
from gradskew import InputError, aggregators
from gradskew import attacks as att
from gradskew.aggregators import Aggregator, Outcome
from gradskew.attacks.extreme import extreme_row
from gradskew.core.rows import Rows
from gradskew.runs.listed import split_names

MEDIANS = [f"median(middle={middle})" for middle in ("midpoint", "lower", "upper")]
RULES = [*MEDIANS, "rbtm", "rbtm(tails=clamp)", "rbtm(share=0.4)"]


def forge(name, honest, f, rule="median", **context):
    made = context_of(aggregators.make(rule), *(len(honest), f), **context)
    return att.make(name).explain(honest, torch.zeros(f, honest.shape[1], dtype=honest.dtype), context=made)


def oracle(name, columns, f):
    """The aggregates of columns (..., n), straight from the definitions, in NumPy."""
    ordered, n = np.sort(columns, axis=-1), columns.shape[-1]
    if name.startswith("median"):
        low, high = ordered[..., (n - 1) // 2], ordered[..., n // 2]
        return {"midpoint": (low + high) / 2, "lower": low, "upper": high}[name[14:-1]]
    k = f if "share" not in name else int(np.floor(np.round(0.4 * n, 9)))
    if "clamp" in name:
        return np.clip(ordered, ordered[..., k, None], ordered[..., n - k - 1, None]).mean(-1)
    return ordered[..., k : n - k].mean(-1)


def test_by_hand():
    """Rows 0, 1, 2, 3, 10 (mean 3.2) and two forged ones: the median of all seven is within [1, 3], the trimmed mean
    within [(0 + 1 + 2) / 3, (2 + 3 + 10) / 3] = [1, 5]. The lower end is 2.2 from the mean, the upper 0.2 and 1.8.
    """
    honest = rows_of(0, 1, 2, 3, 10)
    for rule in ("median", "rbtm"):
        forgery = forge("extreme", honest, 2, rule)
        assert forgery.rows.tolist() == [[-10.0], [-10.0]]
        assert forgery.notes == {"objective": pytest.approx(2.2), "unbounded": False}
        assert forge("extreme", 2.0 - honest, 2, rule).rows.tolist() == [[12.0], [12.0]]
        progress = forge("extreme(objective=progress)", honest, 2, rule)
        assert progress.rows.tolist() == [[-10.0], [-10.0]]
        assert progress.notes == {"objective": pytest.approx(1 / 3.2), "unbounded": False}
    skewed = rows_of((-9, 0), (1, 0), (2, 0), (2, 0), (2, 1))  # means -0.4 and 0.2
    assert forge("extreme", skewed, 2, "median").rows.tolist() == [[13.0, -1.0]] * 2  # 2 is farther than 1; 0 than 0
    assert forge("extreme(objective=progress)", skewed, 2, "median").rows.tolist() == [[13.0, -1.0]] * 2


def test_an_even_number_of_rows_by_hand():
    """Rows 0, 4, 6 and one forged row: the midpoint is (0 + 4) / 2 or (4 + 6) / 2, the lower one 0 or 4, the upper one
    4 or 6; the mean is 10/3.
    """
    honest = rows_of(0, 4, 6)
    for middle, gap in {"midpoint": 5 / 3, "lower": 10 / 3, "upper": 8 / 3}.items():
        assert forge("extreme", honest, 1, f"median(middle={middle})").notes["objective"] == pytest.approx(gap)


def test_a_direction_chooses_the_side_of_each_entry():
    honest = rows_of((0, 0, 0), (1, 2, 3), (2, 4, 9))
    row = extreme_row(Rows(honest), torch.tensor([1.0, -2.0, 0.0]))
    assert row.tolist() == [-2.0, 8.0, 4.0]


@pytest.mark.parametrize("rule", RULES)
@given(data=st.data())
def test_no_random_forged_rows_do_more(rule, data):
    """1,000 matrices of f rows, inside, at the edge of and beyond the honest range: none is worse for any objective."""
    f = data.draw(st.integers(1, 3))
    n = data.draw(st.integers(2 * f + 1, 2 * f + 6))
    d, seed = data.draw(st.integers(1, 4)), data.draw(st.integers(0, 2**32 - 1))
    kind = data.draw(st.sampled_from(["gauss", "heavy", "duplicates", "offset", "identical", "sparse"]))
    if "share" in rule and int(0.4 * n) < f:
        return  # fewer entries are dropped than can be forged: there is no worst case
    honest = make_rows(n - f, d, 1, kind, seed).double()
    rows, draw = honest.numpy(), np.random.default_rng(seed)
    mean, span = rows.mean(0), np.ptp(rows, axis=0)
    forged = draw.uniform(rows.min(0) - span, rows.max(0) + span, (1000, f, d))
    copied = rows[draw.integers(n - f, size=(1000, f, d)), np.arange(d)]
    forged = np.where(draw.random((1000, f, d)) < 0.3, copied, forged)
    every = np.concatenate([forged, np.broadcast_to(rows, (1000, *rows.shape))], 1).swapaxes(1, 2)
    results = oracle(rule, every, f)
    u = draw.standard_normal(d)
    for name, direction in (("extreme", None), ("extreme(objective=progress)", mean), ("direction", u)):
        if name == "direction":
            sent = extreme_row(Rows(honest), torch.from_numpy(u)).numpy()
        else:
            forgery = forge(name, honest, f, rule)
            sent = forgery.rows[0].numpy()
            assert forgery.notes["unbounded"] is False
        reached = oracle(rule, np.concatenate([np.tile(sent, (f, 1)), rows]).T, f)
        slack = 1e-9 * (1 + np.abs(rows).max()) * (1 if direction is None else np.abs(direction).sum())
        if direction is None:
            worst = np.linalg.norm(reached - mean)
            assert worst >= np.linalg.norm(results - mean, axis=1).max() - slack
            assert forgery.notes["objective"] == pytest.approx(worst, rel=1e-6, abs=1e-6 * np.abs(rows).max())
        else:
            assert reached @ direction <= (results @ direction).min() + slack


@pytest.mark.parametrize("rule", ["median", "rbtm"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_other_attack_moves_the_aggregate_farther(rule, kind):
    honest, own = make_rows(15, 40, 1, kind, seed=3), make_rows(5, 40, 0, "gauss", seed=4)
    made, mean = aggregators.make(rule), honest.double().mean(0)

    def distance(attack):
        attack.observe(honest)
        context = replace(context_of(made, 15, 5, d=40), gradient=lambda params, data: params + 1)
        forged = attack(honest, own, context=context)
        return float((made(torch.cat([forged, honest]), 5).double() - mean).norm())

    worst = distance(att.make("extreme"))
    for name in set(att.names()) - {"extreme", "nonfinite", "mpaf"}:  # a rule refuses the one, the other needs a model
        assert distance(att.make(name)) <= worst * (1 + 1e-5), name


@pytest.mark.parametrize("rule", ["median", "median(middle=lower)", "rbtm(tails=clamp)"])
def test_each_coordinate_is_decided_alone(rule):
    """Masking to some of the coordinates commutes; so does a permutation of the honest rows."""
    honest = make_rows(9, 30, 0, "heavy", seed=2)
    sent = forge("extreme", honest, 3, rule).rows
    assert torch.equal(forge("extreme", honest[:, ::3].contiguous(), 3, rule).rows, sent[:, ::3])
    assert torch.equal(forge("extreme", honest.flip(0), 3, rule).rows, sent)


def test_with_some_honest_rows_known_the_share_stays():
    """Of n = 12, f = 4, three of eight honest rows are known: round(3 * 4 / 8) = 2 copies (of 1.5) and f' = 2 are
    tried. Rows 0, 0, 9: the median of five is 0 with both below, 9 with both above, and 9 is farther from 3.
    """
    made = context_of(aggregators.make("median"), 3, 4, n=12)
    forgery = att.make("extreme").explain(rows_of(0, 0, 9), torch.zeros(4, 1), n=12, context=made)
    assert forgery.rows.tolist() == [[18.0]] * 4
    assert forgery.notes["objective"] == pytest.approx(6.0)
    own = Rows(rows_of(0, 0, 9, 3))  # f = h = 4 of 12: floor(16 / 12) = 1 copy; the middle of 0, 0, 3, 9 and one more
    forgery = att.make("extreme").explain(own, own, n=12, context=context_of(made.rule, 4, 4, n=12))
    assert forgery.notes["objective"] == pytest.approx(3.0)  # 0 is 3 from the mean 3; the other end is 3 itself


@pytest.mark.parametrize("rule", ["mean", "rbtm(share=0)"])
def test_a_rule_without_a_worst_case_is_said_to_have_none(rule):
    assert forge("extreme", make_rows(9, 4, 0, "gauss", seed=0), 3, rule).notes["unbounded"] is True


def test_entries_that_would_overflow_stay_finite():
    honest = torch.tensor([[-3e38], [0.0], [3e38]])
    forgery = forge("extreme", honest, 1)
    assert forgery.rows.isfinite().all()
    assert forgery.rows.abs().item() > 3.3e38


@dataclass(frozen=True, kw_only=True)
class Largest(Aggregator):
    """The largest entry of each column: a user's own monotone rule."""

    key: ClassVar[str] = "largest_entry"
    monotone: ClassVar[bool] = True

    def outcome(self, rows, f, generator):
        return Outcome(rows.updates.amax(0))


def test_a_users_own_rule_that_declares_it():
    """Its largest entry of 0, 1, 2 and one forged row is at least 2."""
    honest = rows_of(0, 1, 2)
    forgery = att.make("extreme").explain(honest, honest[:1], context=context_of(Largest(), 3, 1))
    assert forgery.rows.tolist() == [[4.0]]
    assert forgery.notes == {"objective": 3.0, "unbounded": True}


def test_a_rule_that_is_not_monotone_is_one_line():
    says = r"extreme takes rules that are monotone in every entry \(mean, median, rbtm\), not nnm\+median"
    honest = make_rows(9, 4, 0, "gauss", seed=0)
    calls = [
        lambda: forge("extreme", honest, 3, "nnm+median"),
        lambda: gs.Run(attack="extreme", aggregator="nnm+median"),
        lambda: gs.Run(attack="labelflip+extreme", aggregator="nnm+median"),
        lambda: gs.skew.examine(honest, ["extreme"], ["median", "nnm+median"], 2),
    ]
    for call in calls:
        with pytest.raises(InputError, match=says):
            call()
    with pytest.raises(InputError, match="extreme tries out the server's rule: it needs a context with an Aggregator"):
        att.make("extreme")(honest, honest[:2])
    with pytest.raises(InputError, match="extreme tries out a rule: name one"):
        gs.skew.examine(honest, ["extreme"], [], 2)


def test_the_list_of_all_attacks_has_those_that_take_any_rule():
    assert set(split_names("all", "attacks")) == {*att.names()} - {"extreme"}


def test_on_a_matrix_each_rule_gets_its_own_worst_case():
    rows = make_rows(12, 30, 0, "heavy", seed=4)
    trials = gs.skew.examine(rows, ["extreme"], ["median", "rbtm"], 3).trials
    for trial in trials[2:]:
        expected = forge("extreme", rows, 3, trial.aggregator).notes["objective"]
        assert trial.distance == pytest.approx(expected, rel=1e-5)
