"""Our preset `byzpy` against ByzPy 0.1.4, on float64 torch rows. Where they differ, docs/semantics.md says why."""

from __future__ import annotations

import pytest
import torch
from byzpy.aggregators.coordinate_wise.mean_of_medians import MeanOfMedians
from byzpy.aggregators.coordinate_wise.median import CoordinateWiseMedian
from byzpy.aggregators.coordinate_wise.trimmed_mean import CoordinateWiseTrimmedMean
from byzpy.aggregators.geometric_wise.geometric_median import GeometricMedian
from byzpy.aggregators.geometric_wise.krum import Krum, MultiKrum
from byzpy.aggregators.geometric_wise.minimum_diameter_average import MinimumDiameterAveraging
from byzpy.aggregators.geometric_wise.monna import MoNNA
from byzpy.aggregators.geometric_wise.smea import SMEA
from byzpy.aggregators.norm_wise.caf import CAF
from byzpy.aggregators.norm_wise.center_clipping import CenteredClipping
from byzpy.aggregators.norm_wise.comparative_gradient_elimination import ComparativeGradientElimination
from byzpy.attacks.empire import EmpireAttack
from byzpy.attacks.gaussian import GaussianAttack
from byzpy.attacks.inf import InfAttack
from byzpy.attacks.label_flip import LabelFlipAttack
from byzpy.attacks.little import LittleAttack
from byzpy.attacks.mimic import MimicAttack
from byzpy.attacks.sign_flip import SignFlipAttack
from byzpy.pre_aggregators.arc import ARC
from byzpy.pre_aggregators.clipping import Clipping
from byzpy.pre_aggregators.nnm import NearestNeighborMixing
from test_byzfl import rows

from gradskew import aggregators, attacks
from gradskew.core.rows import Rows

SHAPES = [(5, 1, 3), (11, 3, 40), (20, 0, 100), (13, 2, 200)]


@pytest.mark.parametrize(("n", "f", "d"), SHAPES)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("median", lambda n, f: CoordinateWiseMedian()),
        ("rbtm", lambda n, f: CoordinateWiseTrimmedMean(f)),
        ("meamed", lambda n, f: MeanOfMedians(f)),
        ("multikrum", lambda n, f: MultiKrum(f, q=n - f)),
        ("krum(neighbours=n-f-1)", lambda n, f: Krum(f)),
        ("mda", lambda n, f: MinimumDiameterAveraging(f)),
        ("monna", lambda n, f: MoNNA(f)),
        ("smea", lambda n, f: SMEA(f)),
        ("cclip(tau=3.0)", lambda n, f: CenteredClipping(c_tau=3.0)),
        ("cge", lambda n, f: ComparativeGradientElimination(f)),
    ],
)
def test_rules(name, theirs, n, f, d, seed):
    rule = aggregators.make(name, preset="byzpy")
    updates = rows(n, d, seed)
    wanted = theirs(n, f).aggregate(list(updates.clone()))
    torch.testing.assert_close(rule(updates, f), wanted, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("n", "f", "d"), SHAPES)
def test_geometric_median(n, f, d):
    """They start at torch's lower median, we at the midpoint; both stop once a step is 1e-6 long."""
    updates = rows(n, d, 0)
    wanted = GeometricMedian().aggregate(list(updates.clone()))
    torch.testing.assert_close(aggregators.make("rfa", preset="byzpy")(updates, f), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("n", "f", "d"), SHAPES)
@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("clipping(c=2)", lambda f: Clipping(threshold=2.0)),
        ("arc", lambda f: ARC(f)),
        ("nnm", lambda f: NearestNeighborMixing(f)),
    ],
)
def test_mixings(name, theirs, n, f, d):
    updates = rows(n, d, 0)
    mixing = aggregators.make(f"{name}+mean").mixing
    ours = mixing.matrix(Rows(updates), f, torch.Generator()) @ updates
    wanted = torch.stack(theirs(f).pre_aggregate(list(updates.clone())))
    torch.testing.assert_close(ours, wanted, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("n", "f"), [(50, 10), (20, 4), (10, 3), (50, 24)])
def test_attacks(n, f):
    honest, own = rows(n - f, 40, 0), rows(f, 40, 1)
    given = {"honest_grads": list(honest.clone())}
    wanted = LittleAttack(f).apply(**given)
    torch.testing.assert_close(attacks.make("lie", preset="byzpy")(honest, own)[0], wanted, rtol=1e-7, atol=1e-7)
    assert not torch.allclose(attacks.make("lie(z=None)")(honest, own)[0], wanted, rtol=1e-2)  # the paper's z
    torch.testing.assert_close(attacks.make("ipm(epsilon=1)")(honest, own)[0], EmpireAttack().apply(**given))
    for index in (0, n - f - 1):
        ours = attacks.make(f"mimic(index={index})", preset="byzpy")(honest, own)[0]
        assert torch.equal(ours, MimicAttack(epsilon=index).apply(**given))
    for scale in (1.0, 0.5):
        ours = attacks.make(f"bitflip(scale={scale})")(honest, own)
        for row, sent in zip(own, ours, strict=True):
            torch.testing.assert_close(sent, SignFlipAttack(scale=-scale).apply(base_grad=row))
    assert torch.equal(attacks.make("nonfinite")(honest, own)[0], InfAttack().apply(**given))


def test_gaussian_noise_with_a_seed_is_the_same_in_every_call():
    """Theirs makes its generator anew in each call; ours draws from that of the round. The law is the same."""
    honest, own = rows(8, 40_000, 0), rows(3, 40_000, 1)
    theirs = GaussianAttack(mu=2.0, sigma=0.5, seed=3)
    first, second = (theirs.apply(honest_grads=list(honest)) for _ in range(2))
    assert torch.equal(first, second)
    made = attacks.make("gaussian(mu=2,sigma=0.5)", preset="byzpy")
    ours = [made(honest, own, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    assert not torch.equal(*ours)
    for row in (first, ours[0][0]):
        assert (row.mean().item(), row.std().item()) == pytest.approx((2, 0.5), abs=0.02)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("labelflip", LabelFlipAttack(num_classes=10)),
        ("labelflip(map=pair,of=3,target=8)", LabelFlipAttack(mapping={3: 8})),
    ],
)
def test_label_flipping(name, theirs):
    """Theirs gives the gradient on flipped labels, of one client's batch."""
    model = torch.nn.Linear(5, 10)
    images, labels = torch.randn(30, 5, generator=torch.Generator().manual_seed(0)), torch.arange(30) % 10
    loss = torch.nn.functional.cross_entropy(model(images), attacks.make(name).relabel(labels, 10))
    wanted = torch.cat([grad.flatten() for grad in torch.autograd.grad(loss, list(model.parameters()))])
    found = theirs.apply(model=model, x=images, y=labels)
    found = found if isinstance(found, torch.Tensor) else torch.cat([each.flatten() for each in found])
    torch.testing.assert_close(found.flatten(), wanted)


def test_caf_takes_its_largest_score_over_removed_rows_too():
    """Of 0, 1, 2, 9 the row 9 is removed first: the mean of the others, by their weights, is 51/47. ByzPy goes on."""
    line = torch.tensor([[0.0], [1.0], [2.0], [9.0]], dtype=torch.float64)
    assert aggregators.make("caf")(line, 1).item() == pytest.approx(51 / 47, rel=1e-9)
    assert CAF(1).aggregate(list(line)).item() == pytest.approx(1.121239, abs=1e-6)
