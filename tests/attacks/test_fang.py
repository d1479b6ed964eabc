"""Fang's two attacks, on Krum and on trimmed means: by hand, against the oracle, and where they cannot work."""

from dataclasses import replace

import numpy as np
import oracle
import oracle_attacks
import pytest
import torch
from cases import context_of, make_rows, rows_of
from hypothesis import given
from hypothesis import strategies as st
from tiny import Cuts, Tiny

from gradskew import InputError, Run, aggregators
from gradskew import attacks as att
from gradskew.core.rows import Rows
from gradskew.federation import SGD, Federation
from gradskew.models import Linear

SIZES = st.sampled_from([(5, 1), (6, 2), (9, 3), (13, 4), (20, 5)])


def explain(name, honest, own, rule="mean", n=None, seed=0):
    n = len(honest) + len(own) if n is None else n
    context = context_of(aggregators.make(rule), len(honest), len(own), n, own.shape[1])
    return att.make(name).explain(honest, own, n=n, context=context, generator=torch.Generator().manual_seed(seed))


@st.composite
def pools(draw):
    """Honest and own rows in general position, with an offset that none, some or all coordinates share."""
    h, f = draw(SIZES)
    d, seed = draw(st.integers(1, 12)), draw(st.integers(0, 2**20))
    shift = draw(st.sampled_from([0.0, 0.3, 3.0]))
    return make_rows(h, d, 0, "gauss", seed) + shift, make_rows(f, d, 0, "gauss", seed + 1) + shift


def test_halving_and_the_largest_strength_by_hand():
    """Rows e_1 to e_5, f = 2: lambda_0 = sqrt(6/10) + 1/sqrt(5), halved twice; the largest: 10 l^2 + 4 l - 4 = 0."""
    honest, own = torch.eye(5), torch.full((2, 5), 0.2)
    halved = explain("fang(target=krum,direction=mean)", honest, own)
    assert halved.notes == {"lambda": pytest.approx((0.6**0.5 + 0.2**0.5) / 4), "selected": True}
    assert torch.equal(halved.rows, torch.full((2, 5), -halved.notes["lambda"]))
    largest = explain("fang(target=krum,direction=mean,search=largest)", honest, own)
    assert largest.notes == {"lambda": pytest.approx((176**0.5 - 4) / 20, rel=1e-5), "selected": True}


@pytest.mark.parametrize("search", ["halving", "largest"])
def test_a_line_of_rows_on_which_krum_never_takes_a_copy(search):
    """1, 2, 3, 4 and f = 1: a copy scores at least 1 + 4, the row 2 has 1 + 1. The last lambda is below 1e-5."""
    forgery = explain(f"fang(target=krum,direction=mean,search={search})", rows_of(1, 2, 3, 4), rows_of(2))
    assert forgery.notes["selected"] is False
    assert 5e-6 <= forgery.notes["lambda"] < 1e-5
    assert forgery.rows.item() == pytest.approx(-forgery.notes["lambda"])
    assert "chosen its rows in no round" in att.Fang.idle("fang", [forgery.notes, {"called": False}])
    assert att.Fang.idle("fang", [forgery.notes, {"selected": True}]) == att.Fang.idle("fang", [{}]) == ""


@given(rows=pools())
def test_halving_agrees_with_the_oracle(rows):
    honest, own = rows
    forgery = explain("fang(target=krum,direction=mean)", honest, own)
    signs = np.sign(torch.cat([own, honest]).double().mean(0).numpy())
    strength, selected = oracle_attacks.fang_krum(honest.double().numpy(), signs, len(own))
    assert forgery.notes == {"lambda": pytest.approx(strength, rel=1e-6), "selected": selected}


@given(rows=pools())
def test_the_largest_strength_is_accepted_and_none_beyond_it_is(rows):
    honest, own = rows
    notes = explain("fang(target=krum,direction=mean,search=largest)", honest, own).notes
    signs = np.sign(torch.cat([own, honest]).double().mean(0).numpy())
    f, exact = len(own), honest.double().numpy()
    bound = oracle_attacks.fang_start(exact, len(honest) + f, f)
    taken = [
        strength
        for strength in np.linspace(0, 1.1 * bound, 400)
        if oracle_attacks.krum_chooses(exact, np.tile(-strength * signs, (f, 1)), f, slack=-1e-9)
    ]
    if notes["selected"]:
        sent = np.tile(-notes["lambda"] * signs, (f, 1))
        assert oracle_attacks.krum_chooses(exact, sent, f)
        assert max(taken, default=0) <= notes["lambda"] * (1 + 1e-5)
    else:
        assert not taken


@given(rows=pools(), m=st.sampled_from([None, 2, 5]))
def test_all_copies_are_among_the_rows_that_are_averaged(rows, m):
    honest, own = rows
    n, f = len(honest) + len(own), len(own)
    rule = "multikrum" if m is None else f"multikrum(m={m})"
    exact, told = honest.double().numpy(), min(f, aggregators.make(rule).max_f(n))
    for search in ("halving", "largest"):
        notes = explain(f"fang(accept=all,direction=mean,search={search})", honest, own, rule).notes
        signs = np.sign(torch.cat([own, honest]).double().mean(0).numpy())
        sent = np.tile(-notes["lambda"] * signs, (f, 1))
        if told == f:
            assert oracle_attacks.all_chosen(exact, sent, f, m or n - f) is notes["selected"]


@pytest.mark.parametrize("search", ["halving", "largest"])
@pytest.mark.parametrize("m", [25, 30, 35])
def test_a_fixed_number_of_averaged_rows_is_that_share_of_the_known_ones(search, m):
    """Of 50 rows, 10 Byzantine, it knows ten: two copies among twelve rows, of which 0.24 m are averaged."""
    honest, own = make_rows(10, 6, 0, "gauss", 3) + 0.3, make_rows(10, 6, 0, "gauss", 4) + 0.3
    forgery = explain(f"fang(accept=all,direction=mean,search={search})", honest, own, f"multikrum(m={m})", n=50)
    signs = np.sign(torch.cat([own, honest]).double().mean(0).numpy())
    exact, few = honest.double().numpy(), {25: 6, 30: 7, 35: 8}[m]
    chosen = [
        oracle_attacks.all_chosen(exact, np.tile(-factor * forgery.notes["lambda"] * signs, (2, 1)), 2, few)
        for factor in ((1, 2) if search == "halving" else (1, 1.001))
    ]
    assert forgery.notes["selected"]
    assert chosen == [True, False]


@given(rows=pools())
def test_partial_knowledge_agrees_with_the_oracle(rows):
    honest, own = rows
    forgery = explain("fang(target=krum,knowledge=partial)", honest, own)
    strength, selected = oracle_attacks.fang_krum_partial(own.double().numpy())
    assert forgery.notes == {"lambda": pytest.approx(strength), "selected": selected}
    signs = np.sign(own.double().numpy().mean(0))
    np.testing.assert_allclose(forgery.rows.numpy(), np.tile(-strength * signs, (len(own), 1)), rtol=1e-6)
    if len(own) <= 2:  # Krum has no neighbour then
        assert (strength, selected) == (1e-5, False)


def test_the_other_rows_lie_within_epsilon():
    honest, own = make_rows(12, 30, 0, "gauss", seed=1), make_rows(4, 30, 0, "gauss", seed=2)
    forgery = explain("fang(target=krum,direction=mean,epsilon=0.25)", honest, own)
    gaps = (forgery.rows - forgery.rows[0]).norm(dim=1)
    assert gaps[0] == 0
    assert ((gaps[1:] > 0) & (gaps[1:] <= 0.25 * (1 + 1e-5))).all()
    assert forgery.notes["selected"] is oracle_attacks.krum_chooses(honest.numpy(), forgery.rows.double().numpy(), 4)


@pytest.mark.parametrize(
    ("column", "ends"),
    [((1, 2, 4), (0.5, 1)), ((-1, 2, 4), (-2, -1)), ((-1, -2, -4), (-1, -0.5)), ((1, -2, -4), (1, 2))],
)
def test_the_range_of_a_column_by_hand(column, ends):
    honest = rows_of(*column)
    rows = explain("fang(direction=mean)", honest, honest, seed=3).rows[:, 0]
    assert ((rows >= ends[0]) & (rows <= ends[1])).all()
    assert len(set(rows.tolist())) == 3  # a draw for each client
    far = explain("fang(direction=mean,draw=end)", honest, honest).rows
    assert far[0].item() in ends
    assert far[0].item() != {1: 1, -1: -1}[column[0]]


@given(
    rows=pools(),
    b=st.sampled_from([1.0, 1.5, 10.0]),
    space=st.sampled_from(["update", "model"]),
    seed=st.integers(0, 9),
)
def test_trimmed_ranges_agree_with_the_oracle(rows, b, space, seed):
    honest, own = rows
    context = context_of(aggregators.make("median"), len(honest), len(own), d=own.shape[1])
    model = make_rows(1, own.shape[1], 0, "gauss", seed)[0]
    context = replace(context, params=model)
    rng = torch.Generator().manual_seed(seed)
    sent = att.make(f"fang(b={b},space={space})").explain(honest, own, context=context, generator=rng).rows.numpy()
    a = oracle.median(torch.cat([own, honest]).double().numpy())
    for j in range(honest.shape[1]):
        low, high = oracle_attacks.trim_range(
            honest[:, j].numpy(), a[j], b, float(model[j]) if space == "model" else None
        )
        slack = 1e-5 * (abs(low) + abs(high))
        assert (sent[:, j] >= low - slack).all()
        assert (sent[:, j] <= high + slack).all()


@given(rows=pools(), draw=st.sampled_from(["uniform", "end"]))
def test_partial_ranges_are_three_to_four_deviations(rows, draw):
    honest, own = rows
    sent = explain(f"fang(target=trim,knowledge=partial,draw={draw})", honest, own).rows.numpy()
    again = explain(
        f"fang(target=trim,draw={draw})", honest[:0], own, n=len(honest) + len(own), rule="mean"
    ).rows.numpy()
    assert (sent == again).all()  # no honest row is known
    for j in range(own.shape[1]):
        column = own[:, j].double().numpy()
        low, high = oracle_attacks.partial_range(column, column.mean(), near=3 if draw == "uniform" else 4)
        slack = 1e-5 * (abs(low) + abs(high))
        assert ((sent[:, j] >= low - slack) & (sent[:, j] <= high + slack)).all()


@pytest.mark.parametrize("draw", ["uniform", "end"])
def test_partial_ranges_move_with_the_rows_while_the_signs_stay(draw):
    honest, own = make_rows(9, 5, 0, "gauss", seed=1), make_rows(3, 5, 0, "gauss", seed=2)
    shift = own.mean(0).sign() * torch.tensor([3.0, 1.0, 0.5, 8.0, 0.0])
    name = f"fang(target=trim,knowledge=partial,draw={draw})"
    moved, wanted = explain(name, honest, own + shift).rows, explain(name, honest, own).rows + shift
    torch.testing.assert_close(moved, wanted, rtol=1e-5, atol=1e-5)


def test_a_single_own_row_goes_out():
    own = rows_of((1.0, -2.0))
    assert torch.equal(explain("fang(target=trim,knowledge=partial)", rows_of((5.0, 5.0)), own).rows, own)


@given(rows=pools(), rule=st.sampled_from(["rbtm", "median"]))
def test_no_option_of_the_ranges_changes_what_a_trimmed_rule_makes_of_them(rows, rule):
    honest, own = rows
    f, made = len(own), aggregators.make(rule)
    f = min(f, made.max_f(len(honest) + f))
    own = own[:f]
    values = [
        made(torch.cat([explain(f"fang({options}direction=mean)", honest, own, rule).rows, honest]), f)
        for options in ("b=1.01,", "b=2,", "b=10,", "b=10,draw=end,", "b=2,space=model,")
    ]
    for value in values[1:]:
        assert torch.equal(value, values[0])


@given(rows=pools(), rule=st.sampled_from(["rbtm", "median"]), seed=st.integers(0, 2**20))
def test_no_other_rows_go_farther_against_the_honest_mean(rows, rule, seed):
    """<R, m> is the least that any rows of f clients reach, where a has the signs of m."""
    honest, own = rows
    made = aggregators.make(rule)
    f = min(len(own), made.max_f(len(honest) + len(own)))
    own, mean = honest.mean(0).expand(f, -1), honest.double().mean(0)
    least = made(torch.cat([explain("fang(direction=mean)", honest, own, rule).rows, honest]), f).double() @ mean
    draw = np.random.default_rng(seed)
    for size in (0.5, 2.0, 10.0):
        other = torch.from_numpy(size * draw.standard_normal(own.shape)).float()
        assert made(torch.cat([other, honest]), f).double() @ mean >= least - 1e-5 * honest.abs().max() ** 2 * len(mean)


@given(rows=pools(), rule=st.sampled_from(["rbtm", "median"]))
def test_the_worst_case_moves_these_rules_at_least_as_far(rows, rule):
    honest, own = rows
    made, mean = aggregators.make(rule), honest.double().mean(0)
    f = min(len(own), made.max_f(len(honest) + len(own)))
    moved = [
        float((made(torch.cat([explain(name, honest, own[:f], rule).rows, honest]), f).double() - mean).norm())
        for name in ("extreme", "fang", "fang(direction=mean,space=model)", "fang(knowledge=partial)")
    ]
    assert max(moved[1:]) <= moved[0] * (1 + 1e-5) + 1e-6


def test_the_target_follows_the_rule():
    honest, own = make_rows(9, 4, 0, "gauss", seed=1), make_rows(2, 4, 0, "gauss", seed=2)
    for rule, krum in (("multikrum", True), ("krum", True), ("nnm+multikrum(m=3)", True), ("keep+median", False)):
        assert ("lambda" in explain("fang", honest, own, rule).notes) is krum
        assert "lambda" in explain("fang(target=krum)", honest, own, rule).notes
        assert "lambda" not in explain("fang(target=trim)", honest, own, rule).notes


def test_the_direction_is_the_rules_aggregate_of_own_and_honest_rows():
    """Own 9, honest -1, -1, -2: the median of all is -1, their mean is 1.25."""
    honest, own = rows_of(-1, -1, -2), rows_of(9)
    assert explain("fang(draw=end)", honest, own, "median").rows.item() == -0.5  # above all: max / b
    assert explain("fang(draw=end,direction=mean)", honest, own, "median").rows.item() == -4.0


@pytest.mark.parametrize(("told", "end"), [(0, 10.0), (2, 0.5)])
def test_the_direction_is_that_of_the_rule_with_the_f_that_the_server_expects(told, end):
    """Own rows -100, -100 and honest ones 1 to 5: the mean is below 0; without two on each side, it is 2."""
    honest, own = rows_of(1, 2, 3, 4, 5), rows_of(-100, -100)
    context = replace(context_of(aggregators.make("rbtm"), 5, 2), f=told)
    forgery = att.make("fang(target=trim,draw=end)").explain(honest, own, context=context)
    assert forgery.rows.tolist() == [[end]] * 2


@pytest.mark.parametrize("value", [np.inf, np.nan])
@pytest.mark.parametrize("target", ["krum", "trim", "auto"])
@pytest.mark.parametrize("direction", ["mean", "rule"])
def test_honest_rows_that_are_not_finite_are_refused_where_they_count(value, target, direction):
    honest, own = rows_of(1, value, 2, 3, 4, 5), rows_of(1, 2)
    for rule in ("mean", "multikrum"):
        with pytest.raises(InputError, match="honest: 1 of 6 rows are not finite, the first is row 1"):
            explain(f"fang(target={target},direction={direction})", honest, own, rule)
        assert explain("fang(knowledge=partial)", honest, own, rule).rows.isfinite().all()


def test_halving_ends_for_any_start():
    class Never:
        def accepted(self, strengths):
            return [False] * len(strengths)

    fang = att.Fang(target="krum", direction="mean", threshold=5e-324)
    for start, last in ((1e300, 0.0), (np.inf, np.inf), (0.0, 0.0)):
        assert fang._searched(Never(), start) == (last, False)


def test_own_rows_in_place_of_honest_ones_are_partial_knowledge():
    own = Rows(make_rows(5, 4, 0, "gauss", seed=2))
    context = context_of(aggregators.make("median"), 5, 5, 20, 4)
    sent = att.make("fang").explain(own, own, n=20, context=context)
    wanted = att.make("fang(knowledge=partial,target=trim)").explain(own, own, n=20)
    assert torch.equal(sent.rows, wanted.rows)


@pytest.mark.parametrize("rule", ["median", "nnm+multikrum", "fltrust"])
@pytest.mark.parametrize("change", [{}, {"knowledge": 0.5}, {"knowledge": 0.0}, {"known": "own"}], ids=str)
def test_it_runs_in_a_federation_whatever_it_knows(rule, change):
    run = Run(
        source=Tiny(),
        partition=Cuts(sizes=(4,) * 9),
        model=Linear(),
        attack="fang(space=model,search=largest)",
        aggregator=rule,
        clients=9,
        byzantine=2,
        sgd=SGD(epochs=1, batch=2),
        root_examples=4 if rule == "fltrust" else 0,
        **change,
    )
    metrics = Federation(replace(run, partition="iid") if rule == "fltrust" else run).round(0)
    assert metrics["attack"]["called"] is True
    assert metrics["rejected"] == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fang(target=median)", "target must be one of auto, krum, trim"),
        ("fang(b=0.5)", "b must be at least 1"),
        ("fang(b=1e300)", "b must be at least 1 and at most"),
        ("fang(threshold=0)", "threshold must be above 0"),
        ("fang(knowledge=partial,accept=all)", "accept = all belongs to knowledge = full"),
        ("fang(search=largest,epsilon=0.01)", "search = largest is for equal rows"),
    ],
)
def test_options_that_are_wrong(name, message):
    with pytest.raises(InputError, match=message):
        att.make(name)
