"""What the table in cases.py claims of each rule, limits, and errors."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from cases import RULES, RuleCase, ids, make_rows, rows_of

from gradskew import InputError
from gradskew import aggregators as agg
from gradskew.aggregators import Aggregator, Outcome, WeightedRule
from gradskew.core.round import Round

F = 2


def claiming(claim):
    return pytest.mark.parametrize("case", [case for case in RULES if getattr(case, claim)], ids=ids)


EVERY = pytest.mark.parametrize("case", RULES, ids=ids)


@pytest.fixture
def rows():
    return make_rows(11, 6, 0, "gauss", seed=7)


@EVERY
def test_calls_are_pure(case, rows):
    kept, state, rule = rows.clone(), torch.get_rng_state(), case.rule
    first = rule(rows, F)
    assert torch.equal(first, rule(rows, F))
    assert torch.equal(first, case.rule(rows, F, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(first, rule.explain(rows, F).value)
    assert torch.equal(rows, kept)
    assert torch.equal(torch.get_rng_state(), state)
    assert first.shape == (6,)
    assert first.dtype == rows.dtype
    assert rule(rows.double(), F).dtype == torch.float64
    assert rule.state_dict() == {}


@EVERY
def test_strided_and_read_only_rows_do_as_well(case, rows):
    torch.testing.assert_close(case.rule(rows.T.contiguous().T, F), case.rule(rows, F))
    torch.testing.assert_close(case.rule(rows[:1].expand(11, 6), F), case.rule(rows[:1].repeat(11, 1), F))


@claiming("permutation")
def test_the_order_of_rows_does_not_matter(case, rows):
    order = torch.randperm(11, generator=torch.Generator().manual_seed(1))
    one, other = case.rule.explain(rows, F), case.rule.explain(rows[order], F)
    torch.testing.assert_close(one.value, other.value)
    if one.weights is not None:
        torch.testing.assert_close(one.weights[order], other.weights)


@claiming("translation")
def test_translation(case, rows):
    shift = torch.tensor([5.0, -3.0, 0.0, 1.0, 100.0, -0.5])
    torch.testing.assert_close(case.rule(rows + shift, F), case.rule(rows, F) + shift, rtol=1e-5, atol=2e-5)


@claiming("scale")
@pytest.mark.parametrize("factor", [2.0**-20, 2.0**40])
def test_scale(case, rows, factor):
    if "rfa" in case.name:  # a floor has a unit
        options = "nu=1e-30"
        case = replace(
            case, name=f"{case.name[:-1]},{options})" if case.name.endswith(")") else f"{case.name}({options})"
        )
    torch.testing.assert_close(case.moved(factor)(factor * rows, F) / factor, case.rule(rows, F))


def falls(rule, kind, seed):
    """Return by how much the aggregate falls at most, in units of the largest entry, as one entry of a row rises."""
    rows, rng, most = make_rows(9, 6, F, kind, seed), np.random.default_rng(seed), 0.0
    for _ in range(30):
        raised = rows.clone()
        i, j = rng.integers(9), rng.integers(6)
        raised[i, j] += float(rng.choice([0.1, 1.0, 10.0]) * rows[:, j].std())
        most = max(most, float((rule(rows, F) - rule(raised, F)).amax() / rows.abs().amax()))
    return most


@pytest.mark.parametrize("case", [case for case in RULES if case.rule.monotone], ids=ids)
@pytest.mark.parametrize("kind", ["gauss", "heavy", "duplicates", "offset", "sparse"])
def test_a_monotone_rule_never_falls_as_an_entry_rises(case, kind):
    assert max(falls(case.rule, kind, seed) for seed in range(5)) <= 1e-6


def test_which_rules_are_monotone():
    """No pipeline and no rule that selects is: as an entry rises, its row is dropped; an average of two that are is."""
    monotone = {case.name for case in RULES if case.rule.monotone}
    assert monotone == {
        *("mean", "mean(weights=examples)", "rbtm", "rbtm(share=0.2)", "rbtm(tails=clamp)"),
        *("median", "median(middle=lower)", "median(middle=upper)"),
        "average(a=median,b=rbtm)",
    }
    for name in ("meamed", "multikrum", "nnm+median"):
        assert max(falls(agg.make(name), "gauss", seed) for seed in range(5)) > 0.01, name


@claiming("odd")
def test_odd(case, rows):
    torch.testing.assert_close(case.moved(-1.0)(-rows, F), -case.rule(rows, F))


@claiming("rotation")
def test_rotation(case, rows):
    turn = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2)))[0]
    rows = rows.double()
    torch.testing.assert_close(case.moved(turn)(rows @ turn, F), case.rule(rows, F) @ turn)


@claiming("fixed")
def test_identical_rows_are_a_fixed_point(case, rows):
    for n in (1, 2, 5, 11):
        row = rows[0]
        value = case.rule(row.repeat(n, 1), min(F, case.rule.max_f(n)))
        torch.testing.assert_close(value, row, rtol=3e-7, atol=0)


@claiming("hull")
def test_never_outside_the_range_of_the_rows(case, rows):
    for f in (0, F):
        value = case.rule(rows, f)
        assert (value <= rows.amax(0) * (1 + 1e-6 * rows.amax(0).sign())).all()
        assert (value >= rows.amin(0) * (1 - 1e-6 * rows.amin(0).sign())).all()


@claiming("honest")
@pytest.mark.parametrize("size", [1.0, 1e6, 1e30, 3e38])
def test_within_the_honest_range_whatever_the_others_send(case, size):
    for n in (3, 4, 5, 10, 11):
        f = case.rule.max_f(n)
        honest = make_rows(n - f, 40, 0, "heavy", seed=n)
        signs = torch.where(torch.rand(f, 40, generator=torch.Generator().manual_seed(n)) < 0.5, -1.0, 1.0)
        value = case.rule(torch.cat([size * signs, honest]), f)
        assert (value <= honest.amax(0)).all()
        assert (value >= honest.amin(0)).all()


@claiming("far")
@pytest.mark.parametrize("size", [1e6, 1e30, 3e38])
def test_far_rows_are_left_out(case, rows, size):
    value = case.rule(torch.cat([torch.full((F, 6), size), rows[F:]]), F)
    assert (value <= rows[F:].amax(0) + 1e-5).all()
    assert (value >= rows[F:].amin(0) - 1e-5).all()


@EVERY
@pytest.mark.parametrize("size", [1e-38, 1e30, 3e38])
def test_finite_rows_give_a_finite_aggregate(case, rows, size):
    if size == 3e38 and not case.largest:
        return
    updates = size * (rows / rows.abs().max()) if size != 3e38 else size * rows.sign()
    for f in (0, F):
        assert case.rule(updates, f).isfinite().all()
        mixed = torch.cat([updates[:F], rows[F:]])
        assert case.rule(mixed, f).isfinite().all()


@EVERY
def test_no_byzantine_row_is_legal_for_any_number_of_rows(case):
    for n in range(1, 8):
        assert case.rule(make_rows(n, 3, 0, "gauss", seed=n), 0).isfinite().all()


BOUNDS = {  # the largest f for n rows; for all others n > 2f, also for buckets, which clamp
    "multikrum": lambda n: (n - 3) // 2,
    "nnm+multikrum": lambda n: (n - 3) // 2,
    "keep+median": lambda n: (n - 3) // 2,
    "bulyan": lambda n: (n - 3) // 4,
    "foolsgold": lambda n: n - 1,
    "consensus": lambda n: (n - 1) // 3,
    "consensus_dnc": lambda n: (n - 1) // 3,
}
PIPELINES = ["nnm+median", "nnm+multikrum", "bucketing+multikrum", "keep+median", "consensus_dnc"]


@pytest.mark.parametrize("name", [*agg.names(), *PIPELINES])
def test_the_bound_on_f(name):
    rule = RuleCase(name).rule
    for n in (1, 2, 3, 4, 5, 10, 11):
        bound = max(0, BOUNDS.get(name, lambda n: (n - 1) // 2)(n))
        assert rule.max_f(n) == bound
        rows = make_rows(n, 2, 0, "gauss", seed=n)
        assert rule(rows, bound).isfinite().all()
        with pytest.raises(InputError, match=f"tolerates at most f = {bound} of n = {n} rows, not {bound + 1}"):
            rule(rows, bound + 1)


def test_the_bound_on_f_of_clamped_and_unclamped_buckets():
    """n = 10, s = 2: five buckets, two of which median tolerates. ceil(f / 2) <= 2 for f <= 4; clamped: any f < n / 2.

    multikrum tolerates one of five: ceil(f / 2) <= 1 for f <= 2.
    """
    assert agg.make("bucketing+median").max_f(10) == 4
    assert agg.make("bucketing(told_f=f/s)+median").max_f(10) == 4
    assert agg.make("bucketing(told_f=f/s)+multikrum").max_f(10) == 2


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@EVERY
def test_rows_that_are_not_finite_are_refused(case, rows, bad):
    rows[3, 1], rows[5, 5] = bad, bad
    with pytest.raises(InputError, match="2 of 11 rows are not finite, the first is row 3") as caught:
        case.rule(rows, F)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("f", [-1, 1.0, True, None, "2", math.nan])
def test_f_is_a_whole_number(rows, f):
    with pytest.raises(InputError, match="f must be"):
        agg.make("median")(rows, f)


@pytest.mark.parametrize(
    ("updates", "message"),
    [
        (torch.zeros(3), "shape"),
        (torch.zeros(3, 2, 2), "shape"),
        (torch.zeros(0, 4), "shape"),
        (torch.zeros(4, 0), "shape"),
        (torch.zeros(3, 2, dtype=torch.int64), "float32 or float64, not int64"),
        (torch.zeros(3, 2, dtype=torch.complex64), "float32 or float64, not complex64"),
        (np.zeros((3, 2), dtype=np.int64), "float32 or float64, not int64: convert them first"),
        (np.zeros((3, 2), dtype=np.longdouble), "float32 or float64, not "),
        (np.zeros(3), "shape"),
        ([[1.0], [2.0], [3.0]], "torch tensor or a NumPy array, not list"),
        (torch.eye(3).to_sparse(), "dense tensor with values"),
        (torch.zeros(3, 2, device="meta"), "dense tensor with values"),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["mean", "median", "nnm+multikrum"])
def test_updates_of_another_shape_or_type(name, updates, message):
    with pytest.raises(InputError, match=message):
        agg.make(name)(updates, 0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"round": {}}, "round must be a gradskew.Round, not dict"),
        ({"generator": np.random.default_rng(0)}, "generator must be a torch.Generator, not Generator"),
    ],
)
def test_what_is_no_round_and_no_generator(given, message):
    with pytest.raises(InputError, match=message):
        agg.make("bucketing+median")(torch.eye(3), 0, **given)


def test_client_ids_of_numpy():
    ids = [np.int64(3), np.int32(1), np.uint8(2)]
    assert Round(clients=ids).clients == [3, 1, 2]
    agg.make("foolsgold")(torch.eye(3), 0, round=Round(clients=ids))
    with pytest.raises(InputError, match="clients must be a sequence of client ids, not int"):
        Round(clients=5)


@pytest.mark.parametrize(
    "name",
    [
        *("multikrum(m=0)", "multikrum(m=1.5)", "multikrum(m=True)", "multikrum(neighbours=n-f-3)"),
        *("median(middle=mid)", "median(middle=1)", "aksel(middle=none)", "aksel(select=f)"),
        *(
            "rfa(steps=0)",
            "rfa(steps=2.0)",
            "rfa(nu=0)",
            "rfa(nu=-1)",
            "rfa(nu=1e-310)",
            "rfa(nu=1e999)",
            "rfa(start=1)",
        ),
        *("consensus(ridge=0)", "consensus(power=0)", "consensus(steps=0)", "cclip(centre=mean)", "cclip(tau=least)"),
        *("cclip(tau=0)", "cclip(tau=-1)", "cclip(tau=nan)", "cclip(steps=0)", "cclip(tau=low)"),
        *("dnc(b=0)", "dnc(c=0)", "dnc(c=-1)", "dnc(iterations=0)", "dnc(replacement=1)"),
        *("bucketing(s=0)+mean", "bucketing(s=1.5)+mean", "bucketing(told_f=2)+mean", "nnm(itself=1)+mean"),
    ],
)
def test_hyperparameters_out_of_range(name):
    """One line that names the rule and the option."""
    with pytest.raises(InputError) as caught:
        agg.make(name)
    key, option = name.split("(")[0], name.split("(")[1].split("=")[0]
    assert str(caught.value).startswith(f"{key}: {option} must be")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mulitkrum", "unknown rule 'mulitkrum'; did you mean 'multikrum'"),
        ("nmn+median", "unknown mixing 'nmn'; did you mean 'nnm'"),
        ("median(midle=upper)", "unknown option of median 'midle'; did you mean 'middle'"),
        ("cge(x=1)", "unknown option of cge 'x'; known: none"),
        ("nnm", "nnm is a mixing and stands before a rule"),
        ("median+rfa", "median is a rule and stands last"),
        ("rfa(nu=1,nu=2)", "given twice"),
        ("rfa(1)", "written name=value"),
        ("(" * 240 + "mean" + ")" * 240, "cannot read"),
        ("mean()()", "cannot read"),
        ("nnm(itself=nnm(itself=True))+mean", "nnm: itself must be one of True, False"),
        ("nnm+" * 200 + "mean", "more than 500 characters"),
        ("", "cannot read"),
        ("nnm+", "cannot read"),
        ("nnm*mean", "cannot read"),
    ],
    ids=lambda text: text[:30],
)
def test_names_that_are_wrong(name, message):
    with pytest.raises(InputError) as caught:
        agg.make(name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_multikrum_averages_no_more_rows_than_there_are():
    """m = 4 of the rows 1, 2, 6: their mean is 3. m = 2: the two that are nearest to another."""
    outcome = agg.make("multikrum(m=4)").explain(rows_of(1, 2, 6), 0)
    assert outcome.value.item() == 3
    assert outcome.weights.tolist() == pytest.approx([1 / 3] * 3)
    assert outcome.notes == {"averaged": 3}
    outcome = agg.make("multikrum(m=2)").explain(rows_of(1, 2, 6), 0)
    assert outcome.value.item() == 1.5
    assert outcome.notes == {"averaged": 2}
    assert agg.make("multikrum").explain(make_rows(11, 6, 0, "gauss", seed=0), 2).notes == {"averaged": 9}


@EVERY
def test_a_name_makes_the_same_rule_again(case):
    assert agg.make(case.rule.name).name == case.rule.name


@dataclass(frozen=True, kw_only=True)
class Wrong(Aggregator):
    """A rule with one fault."""

    key: ClassVar[str] = "wrong"
    fault: str

    def outcome(self, rows, f, generator):
        value, weights = rows.updates.mean(0), torch.full((rows.n,), 1 / rows.n)
        if self.fault == "in place":
            rows.updates[0] = 0.0
        return {
            "row": lambda: Outcome(value[None]),
            "short": lambda: Outcome(value[:-1], weights),
            "list": lambda: Outcome(value.tolist()),
            "few weights": lambda: Outcome(value, weights[1:]),
            "weight matrix": lambda: Outcome(value, weights[:, None]),
            "in place": lambda: Outcome(value, weights),
        }[self.fault]()


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("row", r"wrong\(fault=row\)'s aggregate must have the shape \(6,\), not \(1, 6\)"),
        ("short", r"aggregate must have the shape \(6,\), not \(5,\)"),
        ("list", r"aggregate must have the shape \(6,\), not list"),
        ("few weights", r"weights must have the shape \(11,\), not \(10,\)"),
        ("weight matrix", r"weights must have the shape \(11,\), not \(11, 1\)"),
        ("in place", r"wrong\(fault='in place'\) changed the rows: it must copy them"),
    ],
)
def test_a_rule_that_breaks_its_promise_is_one_error(rows, fault, says):
    for call in (Wrong(fault=fault), Wrong(fault=fault).explain):
        with pytest.raises(InputError, match=says) as caught:
            call(rows.clone(), F)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("base", [Aggregator, WeightedRule, agg.Mean, agg.Mixed])
def test_a_rule_cannot_override_its_call(base):
    with pytest.raises(TypeError, match="Loud must override outcome"):
        type("Loud", (base,), {"__call__": lambda self, updates, f, generator=None: updates[0]})


@EVERY
def test_rows_that_require_gradients_do_as_well(case, rows):
    wanted = case.rule(rows, F)
    for given in (rows.clone().requires_grad_(), 1 * rows.clone().requires_grad_()):
        value = case.rule(given, F)
        assert torch.equal(value, wanted)
        assert not value.requires_grad
