"""Rules, mixings and pipelines against the oracle, over random and adversarial rows."""

import numpy as np
import oracle
import oracle_rules
import pytest
import torch
from cases import (
    RULES,
    Informed,
    assert_lowest,
    assert_weighted,
    ids,
    inputs,
    kinds_of,
    known,
    make_rows,
)
from hypothesis import given
from hypothesis import strategies as st
from rule_checks import Call, check_outcome, is_weighted_sum

from gradskew.aggregators import ARC, NNM, Bucketing, Clipping, Foundation, Keep, Mixed
from gradskew.core.rows import Rows

EPSILON = 2.0**-50  # the oracle's own float64, with room for sums


def check_mixing(mixing, matrix, rows, f, noise):
    """The package's mixing matrix (m, n) is one that the definition allows on rows (n, d)."""
    n = len(rows)
    if isinstance(mixing, NNM):
        count = max(1, min(n - f, n - (not mixing.itself)))  # a lone row has no others, and stays
        assert ((matrix > 0).sum(axis=1) == count).all()
        for i, distances in enumerate(oracle.squared_distances(rows)):
            others = np.arange(n) != i
            assert bool(matrix[i, i] > 0) is (mixing.itself or n == 1)
            assert_lowest(distances[others], (matrix[i] > 0)[others], noise)
    elif isinstance(mixing, Bucketing):
        assert len(matrix) == -(-n // mixing.s)
        assert ((matrix > 0).sum(axis=0) == 1).all()  # every row in one bucket: none lost, none twice
        assert ((matrix[:-1] > 0).sum(axis=1) == mixing.s).all()
        assert mixing.shuffle or (np.diff(matrix.argmax(axis=0)) >= 0).all()
    elif isinstance(mixing, Keep):
        f = min(f, mixing.rule.max_f(n))
        weights = mixing.rule.outcome(Rows(torch.from_numpy(rows)), f, torch.Generator()).weights
        assert (matrix.sum(axis=0) <= 1).all()
        assert list(matrix.argmax(axis=1)) == sorted(matrix.argmax(axis=1))
        assert len(matrix) == (weights > 0).sum() or noise
    elif isinstance(mixing, Foundation):
        copied = matrix[n:].argmax(axis=1)
        assert np.array_equal(matrix[:n], np.eye(n))
        assert len(matrix) == n + (n // 2 if mixing.m is None else mixing.m)
        scores = np.minimum(oracle.squared_norms(rows - rows.max(0)), oracle.squared_norms(rows - rows.min(0)))
        assert (scores[copied] >= scores.max() * (1 - 1e-9) - noise).all()
    elif isinstance(mixing, Clipping | ARC):
        clips = isinstance(mixing, Clipping)
        radius = oracle_rules.clipping_radius(rows, mixing.c) if clips else oracle_rules.arc_radius(rows, f)
        np.testing.assert_allclose(matrix @ rows, oracle_rules.clipping(rows, radius), rtol=1e-9)
    else:
        raise AssertionError(f"{mixing.name} has no check")
    if not isinstance(mixing, Clipping | ARC):
        for row in matrix:
            np.testing.assert_allclose(row[row > 0], 1 / (row > 0).sum(), rtol=1e-15)


def check_against_oracle(rule, updates, f):
    outcome = rule.explain(updates, f)
    generator, rows, exact, noise = torch.Generator().manual_seed(0), Rows(updates), updates.double().numpy(), 0.0
    if isinstance(rule, Informed):
        rule, rows.round = rule.rule, known(rows.n, rows.d)
    while isinstance(rule, Mixed):
        matrix = rule.mixing.matrix(rows, f, generator).numpy()
        check_mixing(rule.mixing, matrix, exact, f, noise)
        noise = EPSILON * float(np.abs(exact).max()) * exact.shape[1] ** 0.5  # of mixed rows
        rows = rows.mix(torch.from_numpy(matrix), keeps_rows=rule.mixing.keeps_rows)
        f = rule.mixing.rule_f(matrix.shape[1], f, rule.rule, len(matrix))
        exact, rule = matrix @ exact, rule.rule
    replay = torch.Generator()
    replay.set_state(generator.get_state())
    last = rule.outcome(rows, f, generator)
    assert torch.equal(last.value, outcome.value)
    check_outcome(Call(rule, exact, f, last, noise, replay, rows))
    if outcome.weights is not None and is_weighted_sum(rule):
        assert_weighted(outcome.value, outcome.weights, updates)  # sharing among equal rows changes nothing


@pytest.mark.parametrize("case", RULES, ids=ids)
@given(data=st.data())
def test_rule_agrees_with_the_oracle(case, data):
    updates, f = data.draw(inputs(case.rule.max_f, most_n=case.most))
    check_against_oracle(case.rule, updates, f)


@pytest.mark.parametrize(
    ("case", "kind"),
    [pytest.param(case, kind, id=f"{case.name}-{kind}") for case in RULES for kind in kinds_of(case.name)],
)
def test_every_kind_of_rows_at_the_bound_of_f(case, kind):
    for n, d in ((3, 2), (12, 1), (13, 300), (30, 3)):
        n = min(n, case.most)
        f = case.rule.max_f(n)
        check_against_oracle(case.rule, make_rows(n, d, f, kind, seed=n), f)


@pytest.mark.parametrize("case", RULES, ids=ids)
def test_every_legal_f(case):
    for n in (n for n in (1, 2, 3, 4, 5, 6, 9, 16) if n <= case.most):
        for f in range(case.rule.max_f(n) + 1):
            check_against_oracle(case.rule, make_rows(n, 5, f, "gauss", seed=f), f)


PIPELINES = {"nnm+multikrum", "nnm+median", "bucketing+rfa"}  # by distances, by columns, by buckets


@pytest.mark.parametrize(
    "case",
    [case for case in RULES if (case.name in PIPELINES or not set("=+") & set(case.name)) and case.most >= 55],
    ids=ids,
)
def test_wide_rows_in_several_blocks(case):
    check_against_oracle(case.rule, make_rows(55, 10_000, 10, "offset", seed=1), 10)


@pytest.mark.parametrize("name", ["multikrum", "rfa", "nnm+rfa", "nnm+multikrum", "aksel"])
@pytest.mark.parametrize("size", [1e6, 1e10, 1e30])
def test_a_row_that_looks_central_on_a_sample_of_columns(name, size):
    """The engine picks its centre on every tenth column here; the first row is huge between them only."""
    case = next(case for case in RULES if case.name == name)
    updates = make_rows(20, 2560, 1, "gauss", seed=3)
    updates[0] = updates[1:].mean(0)
    updates[0, 7] = size
    check_against_oracle(case.rule, updates, 1)
