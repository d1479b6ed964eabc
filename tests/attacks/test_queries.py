"""Tries of forged rows in the span of the honest ones: they agree with the rule on the rows themselves."""

import math

import numpy as np
import pytest
import torch
from cases import RULES, known
from hypothesis import given
from hypothesis import strategies as st

from gradskew import aggregators as agg
from gradskew.aggregators.informed import Informed
from gradskew.attacks.answers import Answer
from gradskew.attacks.queries import Queries
from gradskew.attacks.tried_rule import vectors_of
from gradskew.core.errors import InputError
from gradskew.core.rows import WIDE, Rows
from gradskew.core.span import Span
from gradskew.core.tries import SampledTries, Tries

H, F, D = 20, 4, 40
ISOMETRIC = sorted({case.name for case in RULES if agg.make(case.name).isometric})
BATCHED = sorted({case.name for case in RULES if agg.make(case.name).batched})


def scene(seed, offset=0.0, h=H, d=D, vectors=3):
    """Return honest rows (h, d) float64 with an outlier and a common offset, and further vectors."""
    rng = torch.Generator().manual_seed(seed)
    rows = torch.randn(h, d, generator=rng, dtype=torch.float64) + offset
    rows[0] += 3
    return rows, list(torch.randn(vectors, d, generator=rng, dtype=torch.float64))


def forge(span, seed, count=4, f=F):
    """Return random forged rows (count, f, r): near the honest ones, equal ones, and far away."""
    rng = torch.Generator().manual_seed(seed)
    forged = torch.randn(count, f, span.size, generator=rng, dtype=torch.float64)
    forged[..., -1] = 1
    forged[1] = forged[1, :1]
    forged[2, :, :-1] *= 1e3
    return forged


def on_rows(span, points):
    """Return the matrix (f + h, d) of one try."""
    return torch.cat([torch.stack([span.vector_of(point) for point in points]), span.rows.updates])


def test_isometric_rules_are_those_that_claim_rotation():
    wrong = [case.name for case in RULES if agg.make(case.name).isometric and not case.rotation]
    assert wrong == []


@pytest.mark.parametrize("name", ISOMETRIC)
@given(seed=st.integers(0, 10**6), offset=st.sampled_from([0.0, 1e3]))
def test_an_isometric_rule_answers_in_the_span_as_on_the_rows(name, seed, offset):
    rows, vectors = scene(seed, offset)
    round = known(H + F, D, torch.float64)
    rule = Informed(rule=agg.make(name), round=round, known=range(F, H + F))
    span = Span(Rows(rows), [*vectors, *vectors_of(rule)])
    queries = Queries(span, rule, 2, F, torch.Generator().manual_seed(0))
    assert queries.way in ("batch", "coordinates")
    forged = forge(span, seed + 1)
    u = span.vector(0)
    spread = float((rows - rows.mean(0)).square().sum(1).mean().sqrt())
    scores = queries.scores(forged, lambda answer: answer.along(u))
    lengths = queries.scores(forged, lambda answer: answer.distance())
    seeds = queries.seeds[:2] if queries.draws else queries.seeds[:1]
    for points, score, length in zip(forged, scores, lengths, strict=True):
        matrix = on_rows(span, points)
        draws = [torch.Generator().manual_seed(each) for each in seeds]
        gaps = [rule.rule.explain(matrix, 2, generator=draw, round=round).value - rows.mean(0) for draw in draws]
        size = max(spread, *(float(gap.norm()) for gap in gaps))
        exact = float(np.mean([float(gap @ vectors[0]) for gap in gaps]))
        assert abs(float(score) - exact) <= 1e-6 * size * float(vectors[0].norm())
        assert abs(float(length) - float(np.mean([float(gap.norm()) for gap in gaps]))) <= 1e-6 * size


@given(seed=st.integers(0, 10**6), offset=st.sampled_from([0.0, -50.0, 1e4]), h=st.integers(1, 6), d=st.integers(1, 8))
def test_tries_have_the_quantities_of_their_rows(seed, offset, h, d):
    rows, vectors = scene(seed, offset, h, d)
    span = Span(Rows(rows), vectors)
    forged = forge(span, seed, 3, 2)
    tries = Tries.of(span, forged)
    matrix = torch.rand(3, h + 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    matrix /= matrix.sum(1, keepdim=True)
    mixed = tries.mix(matrix)
    weights = matrix[0].expand(3, -1)
    for index, points in enumerate(forged):
        exact = on_rows(span, points).numpy()
        norms = (exact**2).sum(1)
        scale = 1e-9 * (1 + norms.max())
        gaps = exact[:, None] - exact
        assert np.allclose(tries.squared_distances[index], (gaps**2).sum(2), rtol=1e-6, atol=scale)
        assert np.allclose(tries.norms[index], np.sqrt(norms), rtol=1e-6, atol=math.sqrt(scale))
        assert np.allclose(tries.origin_gram[index], exact @ exact.T, rtol=1e-6, atol=scale)
        mean = matrix[0].numpy() @ exact
        assert np.allclose(span.vector_of(tries.combine(weights)[index]), mean, rtol=1e-6, atol=math.sqrt(scale))
        away = ((exact - mean) ** 2).sum(1)
        assert np.allclose(tries.squared_distances_to_mean(weights)[index], away, rtol=1e-6, atol=scale)
        assert np.allclose(tries.squared_distances_to(tries.combine(weights))[index], away, rtol=1e-6, atol=scale)
        both = matrix.numpy() @ exact
        gaps = both[:, None] - both
        assert np.allclose(mixed.squared_distances[index], (gaps**2).sum(2), rtol=1e-6, atol=scale)
        assert np.allclose(tries.projections(span.vector(0))[index], exact @ vectors[0].numpy(), rtol=1e-6, atol=scale)


@pytest.mark.parametrize("name", ["consensus", "consensus_dnc", "ptm"])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_a_row_of_zeros_has_no_direction_in_the_span_either(name, offset):
    rows, vectors = scene(8, offset)
    rows[1] = 0
    span, rule = Span(Rows(rows), vectors), agg.make(name)
    forged = forge(span, 9)
    values = rule.outcome(Tries.of(span, forged), 4, torch.Generator()).value
    for points, value in zip(forged, values, strict=True):
        exact = rule(on_rows(span, points), 4)
        torch.testing.assert_close(span.vector_of(value), exact, rtol=1e-6, atol=1e-6 * float(exact.abs().max()))


RELATIVE = ["nnm+multikrum", "bucketing+rfa", "bucketing+mean", "nnm+bucketing+monna"]
WITH_ORIGIN = [
    "cge",
    "dnc",
    "consensus",
    "ptm",
    "rfa(start=zero)",
    "nnm+cge",
    "clipping+multikrum",
    "arc+rfa",
    "nnm+cclip",
]
NOT_SPAN = ["aksel", "alignins", "fltrust", "foolsgold", "gas", "mda", "signguard", "smea", "nnm+median"]
NOT_SPAN += ["monna(pivot=reference)", "multikrum(select=one-by-one)", "keep+rfa", "bucketing+fltrust"]


@pytest.mark.parametrize("name", BATCHED)
def test_a_batched_rule_answers_many_tries_as_one_by_one(name):
    rows, vectors = scene(3, d=6)
    rule = agg.make(name)
    round = known(H + F, 6, torch.float64)
    span = Span(Rows(rows), [*vectors, *vectors_of(Informed(rule=rule, round=round, known=range(F, H + F)))])
    tries = Tries.of(span, forge(span, 4), round=round)
    if rule.batched == "columns":
        tries = SampledTries(span, tries.points, span.on_columns(torch.arange(6)), round=round, gram=tries.gram)
    outcome = rule.outcome(tries, 2, torch.Generator().manual_seed(5))
    for index, points in enumerate(tries.points):
        matrix = torch.stack([span.vector_of(point) for point in points])
        alone = rule.explain(matrix, 2, generator=torch.Generator().manual_seed(5), round=round)
        value = outcome.value[index] if rule.batched == "columns" else span.vector_of(outcome.value[index])
        assert torch.allclose(value, alone.value, rtol=1e-6, atol=1e-6)
        if alone.weights is not None:
            shared = outcome.weights.expand(len(tries.points), -1)[index]
            assert torch.allclose(shared @ matrix, alone.weights @ matrix, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["meamed", "phocas", "nnm+median"])
def test_many_tries_on_many_columns_are_answered_by_the_compiled_kernels_as_one_by_one(name):
    rows, vectors = scene(3, d=500)
    span, rule = Span(Rows(rows), vectors), agg.make(name)
    points = Tries.of(span, forge(span, 4, 40)).points
    tries = SampledTries(span, points, span.on_columns(torch.arange(500)))
    assert tries.entries.numel() >= WIDE
    value = rule.outcome(tries, 2, torch.Generator()).value
    assert value.shape == (len(points), 500)
    for each, exact in zip(value, tries.entries, strict=True):
        alone = rule.outcome(Rows(exact), 2, torch.Generator()).value
        torch.testing.assert_close(each, alone, rtol=1e-6, atol=1e-6 * float(exact.abs().max()))


@pytest.mark.parametrize("name", ["multikrum", "rfa", "monna", "monna(pivot=0)", "dnc(b=None)", "caf", *RELATIVE])
@pytest.mark.parametrize("point", [0.0, 3.0])
def test_weights_from_inner_products_around_any_point(name, point):
    rule = agg.make(name)
    rows = torch.randn(3, 10, 5, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    moved = rows - point
    weights = rule.weights(moved @ moved.mT, 2, torch.Generator().manual_seed(0))
    for matrix, one in zip(rows, weights, strict=True):
        assert torch.allclose(one, rule.explain(matrix, 2).weights, atol=1e-9)


def test_a_matrix_of_which_caf_leaves_no_weight_is_no_harm_to_others_beside_it():
    """Two groups as far from their mean as each other: the first step takes all of them."""
    mirrored = torch.cat([torch.ones(5, 4), -torch.ones(5, 4)]).double()
    other = torch.randn(10, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    rows, rule = torch.stack([mirrored, other]), agg.make("caf")
    weights = rule.weights(rows @ rows.mT, 2, torch.Generator())
    torch.testing.assert_close(weights[0], torch.full((10,), 0.1, dtype=torch.float64))
    torch.testing.assert_close(weights[1], rule.explain(other, 2).weights, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", [*WITH_ORIGIN, *NOT_SPAN])
def test_weights_that_do_not_follow_from_inner_products_are_one_line(name):
    gram = torch.eye(10, dtype=torch.float64).expand(3, -1, -1)
    with pytest.raises(InputError, match=r"inner products (alone|around any point)") as caught:
        agg.make(name).weights(gram, 2, torch.Generator().manual_seed(0))
    assert "\n" not in str(caught.value)


def test_every_rule_with_weights_is_one_or_the_other():
    weighs = {name for name in agg.names() if isinstance(agg.make(name), agg.WeightedRule)} - {"mean"}  # an option
    assert weighs <= {"multikrum", "rfa", "monna", "caf", *WITH_ORIGIN, *NOT_SPAN}


class Nearest(agg.WeightedRule):
    """A user's rule that writes `weights` alone: the row of the least norm."""

    key = "nearest"

    def weights(self, gram, f, generator):
        least = gram.diagonal(dim1=1, dim2=2).argmin(1)
        return torch.nn.functional.one_hot(least, gram.shape[1]).double()


def test_a_rule_may_write_weights_alone():
    rows = torch.tensor([[5.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    assert Nearest().explain(rows, 0).weights.sum() == 1


class Silent(agg.WeightedRule):
    """A rule that forgot both."""

    key = "silent"


def test_a_rule_with_neither_weights_nor_weigh_is_one_line():
    with pytest.raises(InputError, match="must implement weights or weigh"):
        Silent()(torch.ones(3, 2), 0)


def test_a_rule_that_fails_is_counted_and_never_chosen():
    def rule(updates, f, *, generator=None):
        if updates[0, 0] > 0:
            raise InputError("no")
        return updates.mean(0)

    rows, vectors = scene(7)
    span = Span(Rows(rows), vectors)
    queries = Queries(span, agg.make(rule), 2, 1, torch.Generator())
    points = torch.stack([span.mean, span.mean])[:, None].clone()
    points[0, 0] += 100 * span.points[0] - 100 * span.points[1]
    bad = [float(span.vector_of(point)[0]) > 0 for (point,) in points]
    assert any(bad)
    scores = queries.scores(points, Answer.distance)
    assert scores.isneginf().tolist() == bad
    assert queries.failed == sum(bad)
    queries.steady(points, Answer.distance)
    queries.judge(points, scores, Answer.distance)
    assert queries.failed == sum(bad), "a try counts once, however often it is asked again"
