"""Our preset `byzfl` against ByzFL 0.0.11. Where they differ on purpose, docs/semantics.md says why."""

from __future__ import annotations

import math

import pytest
import torch
from byzfl import (
    ARC,
    CAF,
    MDA,
    SMEA,
    ALittleIsEnough,
    Average,
    CenteredClipping,
    Clipping,
    GeometricMedian,
    InnerProductManipulation,
    Krum,
    Meamed,
    Median,
    MoNNA,
    MultiKrum,
    TrMean,
)
from byzfl import NNM as TheirNNM

from gradskew import aggregators, attacks
from gradskew.aggregators import NNM
from gradskew.core.rows import Rows

SHAPES = [(5, 1, 3), (11, 3, 40), (20, 0, 100), (50, 10, 1000), (51, 24, 200)]


def agree(ours, theirs):
    """They turn torch tensors into float32, so they get NumPy arrays."""
    torch.testing.assert_close(ours, torch.from_numpy(theirs), rtol=1e-9, atol=1e-9)


def rows(n: int, d: int, seed: int) -> torch.Tensor:
    """Float64, so that their distances do not drown in rounding."""
    generator = torch.Generator().manual_seed(seed)
    spread = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return spread * (1 + torch.arange(n)[:, None] / n) + 1.0


@pytest.mark.parametrize(("n", "f", "d"), SHAPES)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("mean", lambda f: Average()),
        ("median", lambda f: Median()),
        ("rbtm", lambda f: TrMean(f)),
        ("rfa", lambda f: GeometricMedian(nu=0.1, T=3)),
        ("cclip", lambda f: CenteredClipping(L=1, tau=100.0)),
        ("multikrum", lambda f: MultiKrum(f)),
        ("krum", lambda f: Krum(f)),
        ("meamed", lambda f: Meamed(f)),
        ("monna", lambda f: MoNNA(f, idx=0)),
    ],
)
def test_rules(name, theirs, n, f, d, seed):
    rule = aggregators.make(name, preset="byzfl")
    updates = rows(n, d, seed)
    agree(rule(updates, f), theirs(f)(updates.numpy().copy()))


@pytest.mark.parametrize(("n", "f", "d"), [(5, 1, 3), (11, 3, 40), (13, 0, 20)])
def test_minimum_diameter_averaging(n, f, d):
    """Theirs goes through all subsets."""
    for seed in range(3):
        updates = rows(n, d, seed)
        agree(aggregators.make("mda")(updates, f), MDA(f)(updates.numpy().copy()))


@pytest.mark.parametrize(("n", "f", "d"), SHAPES)
def test_clipped_rows(n, f, d):
    updates = rows(n, d, 0)
    for name, theirs in (("clipping", Clipping(2.0)), ("arc", ARC(f))):
        matrix = aggregators.make(f"{name}+mean").mixing.matrix(Rows(updates), f, torch.Generator())
        agree(matrix @ updates, theirs(updates.numpy().copy()))


def test_where_theirs_is_another_rule():
    """CAF without Byzantine rows returns nothing; SMEA's power step divides by zero on equal rows."""
    updates = rows(5, 3, 0)
    assert CAF(0)(updates.numpy().copy()) is None
    torch.testing.assert_close(aggregators.make("caf")(updates, 0), updates.mean(0))
    equal = torch.ones(5, 3, dtype=torch.float64)
    assert aggregators.make("smea")(equal, 1).tolist() == [1, 1, 1]
    with pytest.raises(Exception, match=r".*"):
        SMEA(1)(equal.numpy().copy())


@pytest.mark.parametrize(("n", "f", "d"), SHAPES)
def test_centred_clipping_over_rounds(n, f, d):
    ours, theirs = aggregators.make("cclip(tau=1.0,steps=3)"), CenteredClipping(L=3, tau=1.0)
    for seed in range(4):
        updates = rows(n, d, seed)
        value = ours(updates, f)
        ours.observe(value)
        agree(value, theirs(updates.numpy().copy()))


@pytest.mark.parametrize(("n", "f", "d"), SHAPES)
def test_nnm(n, f, d):
    updates = rows(n, d, 0)
    matrix = NNM().matrix(Rows(updates), f, torch.Generator())
    agree(matrix @ updates, TheirNNM(f)(updates.numpy().copy()))


@pytest.mark.parametrize(("n", "f", "d"), [(5, 1, 3), (50, 10, 1000)])
def test_attacks(n, f, d):
    honest, own = rows(n - f, d, 0), rows(f, d, 1)
    ours = attacks.make("ipm", preset="byzfl")(honest, own)[0]
    agree(ours, InnerProductManipulation(tau=2.0)(honest.numpy()))
    # they divide the variance by h - 1
    unbiased = math.sqrt(len(honest) / (len(honest) - 1))
    ours = attacks.make(f"lie(z={1.5 * unbiased!r})")(honest, own)[0]
    agree(ours, ALittleIsEnough(tau=1.5)(honest.numpy()))


@pytest.mark.parametrize(
    ("path", "theirs"),
    [
        ("byzfl:TrMean(f=10)", TrMean(10)),
        ("byzfl:MultiKrum(f=10)", MultiKrum(10)),
        ("byzfl:CenteredClipping(L=3,tau=1.0)", CenteredClipping(L=3, tau=1.0)),
    ],
)
def test_their_rules_by_their_path(path, theirs):
    """The same rounds give the same vectors as their own object does, what it remembers included."""
    rule = aggregators.make(path)
    for seed in range(3):
        updates = rows(50, 100, seed).float()
        torch.testing.assert_close(rule(updates, 10), theirs(updates.clone()))
    again = aggregators.make(path)
    again.load_state_dict(rule.state_dict())
    updates = rows(50, 100, 3).float()
    torch.testing.assert_close(again(updates, 10), theirs(updates.clone()))


def test_their_attacks_by_their_path():
    honest, own = rows(40, 100, 0).float(), rows(10, 100, 1).float()
    sent = attacks.make("byzfl:ALittleIsEnough(tau=1.5)")(honest, own)
    theirs = torch.from_numpy(ALittleIsEnough(tau=1.5)(honest.numpy())).float()
    torch.testing.assert_close(sent, theirs.expand(10, -1))
