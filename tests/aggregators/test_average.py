"""The average of two rules: by hand, names in options, draws, state, what it needs and tolerates."""

import math

import pytest
import torch
from cases import known, make_rows, rows_of

from gradskew import InputError
from gradskew import aggregators as agg
from gradskew.aggregators import Average, CClip, Consensus, DnC, Mean, Median
from gradskew.core.names import describe
from gradskew.core.rows import Rows
from gradskew.runs.settings import make_methods

FULL = "clipping(c=median)+average(a=consensus,b=dnc(b=None))"


def test_by_hand():
    """The median of 0, 1, 5 is 1, their mean 2; Krum, with one neighbour, takes 0, the first of two of the score 1."""
    assert agg.make("average(a=median,b=mean)")(rows_of(0, 1, 5), 1).item() == 1.5
    outcome = agg.make("average(a=mean,b=krum)").explain(rows_of(0, 1, 5), 0)
    assert outcome.weights.tolist() == pytest.approx([1 / 6 + 1 / 2, 1 / 6, 1 / 6])
    assert outcome.value.item() == 1
    assert agg.make("average(a=mean,b=median)").explain(rows_of(0, 1, 5), 0).weights is None


def test_consensus_and_dnc_behind_clipping_by_hand():
    """Rows (2, 0), (3, 0), (0, 4), (0, 0): the median norm is 2.5, to which the second and the third are cut.

    consensus: direction (1, 1) as unclipped, the median of 2, 2.5, 2.5, 0 over sqrt 2 is 2.25 / sqrt 2: (1.125, 1.125).
    dnc: the sums of squares around (1.125, 0.625) are 5.1875 and 4.6875, of products -2.8125; along the top direction
    the third row is farthest, and the mean of the others is (1.5, 0).
    """
    rows = rows_of((2, 0), (3, 0), (0, 4), (0, 0))
    outcome = agg.make("consensus_dnc").explain(rows, 1)
    assert outcome.value.tolist() == pytest.approx([1.3125, 0.5625])
    assert outcome.notes.keys() == {"a.certificate", "b.kept", f"f of {agg.make(FULL).rule.name}", "clamped"}
    assert outcome.notes["b.kept"] == 3


@pytest.mark.parametrize("typed", ["consensus_dnc", "Consensus-DnC", FULL, FULL.replace(",", ", ")])
def test_names(typed):
    rule = agg.make(typed)
    assert (rule, rule.name) == (agg.make(FULL), FULL)
    assert rule.rule == Average(a=Consensus(), b=DnC(b=None))
    parts = describe(rule)["rule"]
    assert (parts["name"], parts["a"]["name"], parts["b"]["b"]) == ("average", "consensus", None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("consensus_dnc(a=mean)", f"consensus_dnc takes no options: it is {FULL}"),
        ("consensus_dnc+mean", "consensus_dnc is a rule and stands last"),
        ("consensus-dn", f"did you mean 'consensus_dnc' ({FULL})?"),
        ("average(a=nnm,b=mean)", "average: nnm is a mixing and stands before a rule"),
        ("average(a=medean,b=mean)", "average: unknown rule 'medean'; did you mean 'median'"),
        ("average(a=3,b=mean)", "average: a must be a rule, not 3"),
        ("average(c=mean)", "unknown option of average 'c'"),
        ("bucketing+average(a=foolsgold,b=mean)", "needs clients, and bucketing mixes the rows of clients"),
    ],
)
def test_names_that_are_wrong(name, message):
    with pytest.raises(InputError) as caught:
        agg.make(name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_inside_options_in_lists_and_files():
    """As on the command line and in TOML, where a list is joined by commas."""
    _, rules, _ = make_methods({"rules": f"mean,{FULL},average(a=gas(base=nnm+median,p=3),b=keep+rbtm),krum"})
    assert [rule.name for rule in rules] == [
        "mean",
        FULL,
        "average(a=gas(base=nnm+median,p=3),b=keep+rbtm)",
        "multikrum(m=1)",
    ]
    nested = agg.make("nnm+average(a=average(a=mean,b=consensus_dnc),b=bucketing(s=3)+median)")
    assert nested.name == f"nnm+average(a=average(a=mean,b={FULL}),b=bucketing(s=3)+median)"
    assert agg.make(nested.name) == nested


def test_a_preset_reaches_both_rules():
    rule = agg.make("average(a=multikrum,b=nnm+rfa(steps=5))", preset="byzfl")
    assert rule == agg.make("average(a=multikrum(neighbours=n-f-1),b=nnm+rfa(start=zero,steps=5,nu=0.1))")


def test_the_first_rule_draws_first():
    rows = make_rows(12, 40, 0, "gauss", seed=2)
    a, b = agg.make("dnc(b=5)"), agg.make("bucketing+median")
    generator = torch.Generator().manual_seed(7)
    wanted = (a(rows, 2, generator=generator) + b(rows, 2, generator=generator)) / 2
    found = agg.make("average(a=dnc(b=5),b=bucketing+median)")(rows, 2, generator=torch.Generator().manual_seed(7))
    torch.testing.assert_close(found, wanted)
    twice = agg.make("average(a=dnc(b=5),b=dnc(b=5))")
    assert not torch.equal(twice(rows, 2), a(rows, 2)), "two draws, not one"


def test_what_it_claims_is_what_both_claim():
    for a, b, isometric, batched, monotone in [
        ("consensus", "dnc(b=None)", True, "span", False),
        ("median", "rbtm", False, "columns", True),
        ("mean", "median", False, "columns", True),
        ("multikrum", "caf", True, "span", False),
        ("multikrum", "mda", True, "", False),
    ]:
        rule = agg.make(f"average(a={a},b={b})")
        assert (rule.isometric, rule.batched, rule.monotone) == (isometric, batched, monotone)
    rule = agg.make("average(a=fltrust,b=flame)")
    assert rule.needs == {"reference", "params"}
    with pytest.raises(InputError, match="needs the model"):
        rule(rows_of(1, 2, 3), 1)
    assert [agg.make(f"average(a=bulyan,b={b})").max_f(23) for b in ("median", "consensus")] == [5, 5]
    assert agg.make("average(a=median,b=consensus)").max_f(23) == 7
    assert agg.make("average(a=mda,b=cge)").least(10, 2) == 8
    assert agg.make("average(a=mda,b=median)").least(10, 2) is None
    assert agg.make("average(a=foolsgold,b=gas)").extra_rows(10, 50) == 110
    assert agg.make("average(a=mean,b=mean)").kappa_bound(10, 0) == 0
    assert agg.make("average(a=median,b=mean)").kappa_bound(10, 1) == math.inf


def test_state_of_both():
    rows = Rows(make_rows(7, 4, 0, "gauss", seed=1), round=known(7, 4))
    rule, fresh = (agg.make("nnm+average(a=cclip(tau=1),b=clippedclustering)") for _ in range(2))
    before = rule(rows, 1)
    rule.observe(torch.full((4,), 5.0), rows=rows)
    state = rule.state_dict()
    assert state.keys() == {"a.centre", "b.norms"}
    assert not torch.equal(rule(rows, 1), before)
    assert fresh.is_valid_state(state, 4)
    assert not fresh.is_valid_state(state, 5)
    assert not fresh.is_valid_state({**state, "c.centre": state["a.centre"]}, 4)
    fresh.load_state_dict(state)
    assert torch.equal(fresh(rows, 1), rule(rows, 1))
    assert [vector.tolist() for vector in rule.vectors()] == [[5] * 4]
    rule.reset()
    assert rule.state_dict() == {}
    assert torch.equal(rule(rows, 1), before)
    assert (rule.has_state, agg.make("average").has_state) == (True, False)


def test_two_equal_pipelines_remember_their_own_draws():
    """Each has mixed the rows by a draw of its own, and remembers the norms of its own mixtures."""
    rows = Rows(make_rows(8, 4, 0, "gauss", seed=1))
    rule = agg.make("average(a=bucketing+clippedclustering,b=bucketing+clippedclustering)")
    alone = agg.make("bucketing+clippedclustering")
    for each in (rule, alone):
        each(rows, 1, generator=torch.Generator().manual_seed(3))
        each.observe(torch.zeros(4), rows=rows)
    state = rule.state_dict()
    assert torch.equal(state["a.norms"], alone.state_dict()["norms"])
    assert not torch.equal(state["a.norms"], state["b.norms"])


def test_both_must_be_rules_of_their_own():
    with pytest.raises(InputError, match="b must be a rule, not 'mean'"):
        Average(a=Mean(), b="mean")
    shared = CClip()
    with pytest.raises(InputError, match="a and b must be two objects"):
        Average(a=shared, b=shared)
    assert Average(a=Median(), b=Median())(rows_of(0, 1, 5), 1).item() == 1


def test_a_clamp_of_either_rule_is_told():
    """Five buckets of ten rows: the median tolerates two Byzantine ones, not three."""
    outcome = agg.make("average(a=mean,b=bucketing+median)").explain(make_rows(10, 3, 0, "gauss", seed=0), 3)
    assert outcome.notes == {"b.f of median": 2, "clamped": True}
