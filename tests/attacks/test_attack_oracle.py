"""Attacks against the oracle: closed forms against its bisection, and feasibility measured in float64."""

import math
from dataclasses import replace

import numpy as np
import oracle
import oracle_attacks
import pytest
import torch
from cases import KINDS, assert_close, assert_lowest, context_of, inputs, make_rows
from hypothesis import given
from hypothesis import strategies as st

from gradskew import aggregators
from gradskew import attacks as att
from gradskew.attacks.strike import num_skewed
from gradskew.core.randomness import generator
from gradskew.core.rows import Rows


def forge(attack, honest, f, n=None):
    forgery = attack.explain(honest, torch.zeros(f, honest.shape[1]), n=n)
    assert forgery.rows.shape == (f, honest.shape[1])
    return forgery.rows[0].double().numpy(), forgery.notes


def assert_row(row, exact, honest):
    assert_close(row, exact, np.ptp(honest, axis=0), np.abs(honest).max(axis=0))


def rounding(row):
    """What float32 may add to the distance of a forged row."""
    return 2.0**-23 * math.sqrt(len(row)) * float(np.abs(row).max())


def check_lie(name, honest, f):
    h, z = len(honest), 1.5
    if "None" in name:
        needed = (h + f) // 2 + 1 - f
        z = oracle.lie_z_max(h + f, f) if 0 < h - needed < h else math.copysign(8.0, h - needed - 0.5)  # cut at 8
    exact = oracle.lie(honest.numpy(), z, -1 if "sign" in name else 1)
    assert_row(forge(att.make(name), honest, f)[0], exact, honest.double().numpy())


def check_lie_options(name, honest, f):
    attack, rows = att.make(name), honest.double().numpy()
    n = len(honest) + f
    exact = oracle_attacks.lie_row(rows, n, f, attack.z, attack.sign, attack.ddof)
    row, notes = forge(attack, honest, f)
    assert_row(row, exact, rows)
    if attack.z == "byzpy":
        assert notes == {"z": pytest.approx(oracle_attacks.byzpy_z(n, f))}


def check_bitflip(name, honest, f):
    exact = oracle_attacks.flipped_mean(honest.numpy(), f, att.make(name).scale)
    assert_row(forge(att.make(name), honest, f)[0], exact, len(honest) * honest.double().numpy())


def check_byzmean(name, honest, f):
    attack, rows, n = att.make(name), honest.double().numpy(), len(honest) + f
    sent = attack.explain(honest, torch.zeros(f, honest.shape[1])).rows
    exact = oracle_attacks.byzmean(rows, n, f, attack.z, attack.sign, attack.ddof)
    for row, wanted in zip(sent, exact, strict=True):
        assert_row(row, wanted, n * rows)
    mean = torch.cat([sent, honest]).double().mean(0)
    assert_row(mean, oracle_attacks.lie_row(rows, n, f, attack.z, attack.sign, attack.ddof), n * rows)


def check_rop(name, honest, f):
    attack, rows = att.make(name), honest.double().numpy()
    exact = oracle_attacks.rop(rows, None, attack.z, attack.lam, attack.pi, attack.angle)
    row = forge(attack, honest, f)[0]
    u = oracle.mean(rows)
    size = np.linalg.norm(u)
    across = np.linalg.norm(1 - (u.sum() / size**2 if size else 0) * u) / math.sqrt(len(u))
    if size > 1e-4 * np.abs(rows).max() and across > 1e-3:  # else the direction is rounding
        assert_row(row, exact, np.concatenate([rows, [np.full(len(u), attack.z), np.full(len(u), -attack.z)]]))


@pytest.mark.parametrize("rate", [1.0, 0.5])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["rop", "rop(z=1.5)", "rop(lam=0.4,pi=0.3,angle=200,z=0.5)", "rop(angle=180,z=2)"])
def test_rop_goes_on_from_the_last_step_of_the_server(name, seed, rate):
    """Its M is (w^{t-1} - w^t) / rate, and where the model stood still, M = 0 and u = (1 - lam) m."""
    honest = make_rows(11, 6, 0, "gauss", seed) + 0.5
    attack, rows = att.make(name), honest.double().numpy()
    z = oracle.lie_z_max(13, 2) if attack.z is None else attack.z
    last, params = make_rows(2, 6, 0, "gauss", seed + 100)
    for previous in (last, params):
        context = replace(
            context_of(aggregators.make("mean"), 11, 2, d=6), round=1, params=params, previous=previous, rate=rate
        )
        sent = attack.explain(honest, torch.zeros(2, 6), context=context).rows.double().numpy()
        step = (previous.double() - params.double()).numpy() / rate
        exact = oracle_attacks.rop(rows, step, z, attack.lam, attack.pi, attack.angle)
        np.testing.assert_allclose(sent, [exact, exact], rtol=1e-5, atol=1e-6)


def check_ipm(name, honest, f):
    assert_row(forge(att.make(name), honest, f)[0], oracle.ipm(honest.numpy(), 0.1), honest.double().numpy())


def check_minmax(name, honest, f):
    attack, rows = att.make(name), honest.double().numpy()
    row, notes = forge(attack, honest, f)
    exact, gamma = oracle.minmax(rows, attack.p)
    check_gamma(attack, notes["gamma"], gamma, rows)
    assert_row(row, exact, rows)
    diameter = math.sqrt(oracle.squared_distances(rows).max())
    assert math.sqrt(oracle.squared_norms(rows - row).max()) <= (1 + 1e-6) * diameter + rounding(row)


def check_minsum(name, honest, f):
    attack, rows = att.make(name), honest.double().numpy()
    row, notes = forge(attack, honest, f)
    exact, gamma = oracle.minsum(rows, attack.p, attack.bound)
    check_gamma(attack, notes["gamma"], gamma, rows)
    assert_row(row, exact, rows)
    sums = oracle.squared_distances(rows).sum(axis=1)
    bound = math.sqrt(sums.max() if attack.bound == "largest" else sums.min())
    reached = math.sqrt(oracle.squared_norms(rows - row).sum())
    assert reached <= (1 + 1e-6) * bound + math.sqrt(len(rows)) * rounding(row)


def check_gamma(attack, gamma, exact, rows):
    """Strengths agree to 1e-6, but where a distance or a deviation is float64 rounding in the oracle itself."""
    noise = 2.0**-50 * float(np.abs(rows).max()) * math.sqrt(rows.shape[1])
    if np.linalg.norm(oracle.std(rows)) > 1e6 * noise:
        assert gamma == pytest.approx(exact, rel=1e-6)


def check_strike(name, honest, f, n=None):
    attack, rows = att.make(name), honest.double().numpy()
    row, notes = forge(attack, honest, f, n)
    n = len(rows) + f if n is None else n
    size = oracle.strike_size(len(rows), n, f)
    assert notes["skewed"] == size == num_skewed(len(rows), n, f)
    chosen = attack.search(Rows(honest), size).numpy()
    signs = (
        (honest.double()[chosen.tolist()].mean(0) - honest.double().mean(0)).sign().numpy()
    )  # where both are allowed
    expected = oracle.strike(rows, f, n, attack.nu, attack.middle, attack.max_alpha, signs=signs, selection=chosen)
    inside = np.isin(np.arange(len(rows)), chosen)
    scores = -(rows * expected.direction).sum(axis=1)
    noise = 2.0**-50 * (np.abs(rows) * np.abs(expected.direction)).sum(axis=1).max()
    if inside.any() and not inside.all():
        assert scores[inside].max() <= scores[~inside].min() + 1e-5 * np.abs(scores[~inside].min()) + noise
    spread = math.sqrt(oracle.squared_distances(rows[chosen]).max())
    if spread > 2.0**-26 * np.abs(rows).max():
        assert notes["alpha"] == pytest.approx(expected.alpha, rel=1e-6, abs=1e-9)
        assert_row(row, expected.row, rows)
    else:
        assert_row(row, expected.mean_S, rows)
    if attack.nu <= 1:
        reached = math.sqrt(oracle.squared_norms(rows[chosen] - row).max())
        assert reached <= (1 + 1e-6) * spread + rounding(row)


CHECKS = {
    "lie": check_lie,
    "lie(sign=-1)": check_lie,
    "lie(z=None)": check_lie,
    "lie(z=byzpy)": check_lie_options,
    "lie(z=2,ddof=1,sign=-1)": check_lie_options,
    "bitflip(of=mean)": check_bitflip,
    "bitflip(of=mean,scale=None)": check_bitflip,
    "byzmean": check_byzmean,
    "byzmean(z=0.5,sign=-1,ddof=1)": check_byzmean,
    "rop(z=1.5)": check_rop,
    "rop(z=0.5,pi=0.3,angle=200)": check_rop,
    "ipm": check_ipm,
    "minmax": check_minmax,
    "minmax(p=unit)": check_minmax,
    "minmax(p=sign)": check_minmax,
    "minsum": check_minsum,
    "minsum(p=unit,bound=smallest)": check_minsum,
    "minsum(p=sign)": check_minsum,
    "strike": check_strike,
    "strike(nu=0.5,middle=upper)": check_strike,
    "strike(middle=lower,max_alpha=0.7)": check_strike,
}


@pytest.mark.parametrize("name", CHECKS)
@given(data=st.data())
def test_attack_agrees_with_the_oracle(name, data):
    rows, f = data.draw(inputs(lambda n: (n - 1) // 2, least_f=1))
    CHECKS[name](name, rows[f:], f)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CHECKS)
def test_every_kind_of_honest_rows(name, kind):
    for h, d in ((1, 3), (2, 1), (8, 2), (15, 300)):
        CHECKS[name](name, make_rows(h, d, 2, kind, seed=h), max(1, h // 3))


@pytest.mark.parametrize("name", CHECKS)
def test_wide_rows_in_several_blocks(name):
    CHECKS[name](name, make_rows(55, 10_000, 1, "offset", seed=1), 10)


@given(data=st.data())
def test_strike_with_some_honest_rows_known(data):
    n, known = data.draw(st.integers(4, 60)), data.draw(st.integers(1, 30))
    f = data.draw(st.integers(1, max(1, n - known)))
    honest = make_rows(min(known, n - 1), 20, 1, data.draw(st.sampled_from(KINDS)), n)
    check_strike("strike", honest, min(f, n - len(honest)), n)


@pytest.mark.parametrize("variant", ["paper", "strike-authors"])
@pytest.mark.parametrize("kind", ["gauss", "heavy", "one 1e6", "one 1e30", "offset", "sparse", "duplicates"])
@pytest.mark.parametrize(("h", "d"), [(3, 2), (20, 300)])
def test_mimic_learns_the_direction_of_the_oracle(variant, kind, h, d):
    attack = att.make("mimic(warmup=3)" if variant == "paper" else f"mimic(variant={variant})")
    attack.begin(5)
    expected = oracle.MimicOracle(torch.randn(d, generator=generator(5, "mimic")).numpy(), 3, variant)
    clients = list(range(100, 100 + h))
    for t in range(attack.warmup + 2):
        honest = make_rows(h, d, 1, kind, seed=t)
        attack.observe(honest, clients=clients)
        expected.observe(honest.numpy(), clients)
        assert np.linalg.norm(attack.state_dict()["z"].double().numpy() - expected.z) < 1e-4
        if t < 3 or variant != "paper":
            scores = -expected.scores(honest.numpy())
            target = attack.state_dict()["target"]
            assert_lowest(scores, np.arange(100, 100 + h) == target)
