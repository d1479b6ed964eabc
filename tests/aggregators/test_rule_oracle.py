"""Rules, mixings and pipelines against the oracle, over random and adversarial rows."""

from math import comb

import numpy as np
import oracle
import oracle_rules
import pytest
import torch
from cases import (
    RULES,
    TOLERANCE,
    Informed,
    assert_close,
    assert_lowest,
    assert_weighted,
    ids,
    inputs,
    kinds_of,
    make_rows,
    reference,
)
from hypothesis import given
from hypothesis import strategies as st

from gradskew.aggregators import (
    ARC,
    CAF,
    CGE,
    MDA,
    NNM,
    RBTM,
    RFA,
    SMEA,
    Aksel,
    CClip,
    Clipping,
    DnC,
    FLTrust,
    MeaMed,
    Mean,
    Median,
    Mixed,
    MoNNA,
    MultiKrum,
)
from gradskew.core.round import Round
from gradskew.core.rows import Rows

FEW = 300  # subsets that the oracle goes through
EPSILON = 2.0**-50  # the oracle's own float64, with room for sums


def check_mixing(mixing, matrix, rows, f, noise):
    """The package's mixing matrix (m, n) is one that the definition allows on rows (n, d)."""
    n = len(rows)
    if isinstance(mixing, Clipping | ARC):
        clips = isinstance(mixing, Clipping)
        radius = oracle_rules.clipping_radius(rows, mixing.c) if clips else oracle_rules.arc_radius(rows, f)
        np.testing.assert_allclose(matrix @ rows, oracle_rules.clipping(rows, radius), rtol=1e-9)
        return
    if isinstance(mixing, NNM):
        count = max(1, min(n - f, n - (not mixing.itself)))  # a lone row has no others, and stays
        assert ((matrix > 0).sum(axis=1) == count).all()
        for i, distances in enumerate(oracle.squared_distances(rows)):
            others = np.arange(n) != i
            assert bool(matrix[i, i] > 0) is (mixing.itself or n == 1)
            assert_lowest(distances[others], (matrix[i] > 0)[others], noise)
    else:
        assert len(matrix) == -(-n // mixing.s)
        assert ((matrix > 0).sum(axis=0) == 1).all()  # every row in one bucket: none lost, none twice
        assert ((matrix[:-1] > 0).sum(axis=1) == mixing.s).all()
    for row in matrix:
        np.testing.assert_allclose(row[row > 0], 1 / (row > 0).sum(), rtol=1e-15)


def check_selection(rule, inside, rows, f, noise, generator):
    """The rows that a rule averages are a selection that the definition allows."""
    n = len(rows)
    if isinstance(rule, MultiKrum):
        assert inside.sum() == (n - f if rule.m is None else rule.m)
        assert_lowest(oracle.multikrum_scores(rows, f, rule.neighbours), inside, noise * n)
    elif isinstance(rule, Aksel):
        scores = oracle.aksel_scores(rows, rule.middle)
        assert_lowest(scores, inside, noise)
        if rule.select == "n-f":
            assert inside.sum() == n - f
        else:
            threshold = np.sort(scores)[(n - 1) // 2]
            assert inside.sum() >= (n + 1) // 2
            assert (np.sqrt(scores[inside]) <= np.sqrt(threshold) * (1 + 1e-5) + noise).all()
    elif isinstance(rule, CGE):
        assert inside.sum() == n - f
        assert_lowest(oracle.squared_norms(rows), inside, noise)
    elif isinstance(rule, MoNNA):
        pivot = reference(rows.shape[1]).numpy() if rule.pivot == "reference" else rows[rule.pivot]
        assert inside.sum() == n - f
        assert_lowest(oracle.squared_norms(rows - pivot), inside, noise)
    elif isinstance(rule, MDA | SMEA):
        assert inside.sum() == n - f
        if comb(n, f) <= FEW:
            size, least = {
                MDA: (oracle_rules.diameter, oracle_rules.least_diameter),
                SMEA: (oracle_rules.top_variance, oracle_rules.least_top_variance),
            }[type(rule)]
            if getattr(rule, "search", "exact") == "greedy":
                return
            wanted = least(rows, f)
            assert size(rows, inside.nonzero()[0]) <= wanted * (1 + TOLERANCE["score"]) + noise**2
    elif isinstance(rule, DnC) and rule.iterations == 1:
        dropped = int(np.ceil(rule.c * f))
        assert inside.sum() == n - dropped
        columns = rule._draw(rows.shape[1], generator).numpy()
        sample = rows[:, columns]
        centred = sample - sample.mean(axis=0)
        values = np.linalg.svd(centred, compute_uv=False)
        if len(values) == 1 or values[0] > (1 + 1e-6) * values[1]:  # else the direction is anyone's choice
            size = np.sqrt(oracle.squared_norms(centred)).max()
            assert_lowest(oracle.dnc_scores(rows, columns), inside, 1e-9 * size + noise)


def check_value(rule, value, weights, rows, f):
    """The aggregate, from the package's weights or straight from the definition."""
    if weights is not None:
        assert_weighted(value, weights, rows)
    ordered = np.sort(rows, axis=0)
    n = len(rows)
    if isinstance(rule, Median):
        used = ordered[(n - 1) // 2 : n // 2 + 1]
        assert_close(value, oracle.median(rows, f, rule.middle), np.ptp(used, axis=0), np.abs(used).max(axis=0))
    elif isinstance(rule, RBTM):
        used = ordered[f : n - f]
        assert_close(value, oracle.rbtm(rows, f), np.ptp(used, axis=0), np.abs(used).max(axis=0))
    elif isinstance(rule, (RFA, CClip, Mean)):
        if isinstance(rule, RFA):
            exact = oracle.rfa(rows, f, rule.start, rule.steps, rule.nu)
        elif isinstance(rule, CClip):
            exact = oracle.cclip(rows, f, None, rule.tau, rule.steps)
        else:
            exact = oracle.mean(rows)
        share = np.asarray(weights)[:, None]
        spread, magnitude = (share * np.abs(rows - exact)).sum(axis=0), (share * np.abs(rows)).sum(axis=0)
        assert_close(value, exact, spread, magnitude)
    elif isinstance(rule, MeaMed):
        low, high = oracle_rules.meamed_bounds(rows, f, rule.centre, rule.middle, noise=TOLERANCE["ulp"])
        value = np.asarray(value, dtype=np.float64)
        assert_close(np.maximum(value, high), high, high - low, np.abs(high))
        assert_close(np.minimum(value, low), low, high - low, np.abs(low))
    elif isinstance(rule, CAF):
        exact, clear = oracle_rules.caf(rows, f)
        share = np.asarray(weights)[:, None]
        if clear:
            assert_close(value, exact, (share * np.abs(rows - exact)).sum(axis=0), (share * np.abs(rows)).sum(axis=0))
    elif isinstance(rule, FLTrust):
        exact = oracle.fltrust_weights(rows, reference(rows.shape[1]), rule.none_trusted)
        np.testing.assert_allclose(weights, exact, rtol=1e-6, atol=1e-9 * exact.max())


def check_against_oracle(rule, updates, f):
    outcome = rule.explain(updates, f)
    generator, rows, exact, noise = torch.Generator().manual_seed(0), Rows(updates), updates.double().numpy(), 0.0
    total = np.eye(len(exact))
    if isinstance(rule, Informed):
        rule, rows.round = rule.rule, Round(reference=reference(rows.d))
    while isinstance(rule, Mixed):
        matrix = rule.mixing.matrix(rows, f, generator).numpy()
        check_mixing(rule.mixing, matrix, exact, f, noise)
        noise = EPSILON * float(np.abs(exact).max()) * exact.shape[1] ** 0.5  # of mixed rows
        rows, exact, total = rows.mix(torch.from_numpy(matrix)), matrix @ exact, matrix @ total
        f, rule = rule.mixing.rule_f(matrix.shape[1], f, rule.rule), rule.rule
    replay = torch.Generator()
    replay.set_state(generator.get_state())
    last = rule.outcome(rows, f, generator)
    assert torch.equal(last.value, outcome.value)
    weights = None if last.weights is None else last.weights.numpy()
    check_value(rule, outcome.value, weights, exact, f)
    if weights is not None:
        check_selection(rule, weights > 0, exact, f, noise, replay)
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
