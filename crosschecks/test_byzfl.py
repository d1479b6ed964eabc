"""Our preset `byzfl` against ByzFL 0.0.11. Where they differ on purpose, docs/semantics.md says why."""

from __future__ import annotations

import math
from types import SimpleNamespace

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
    Gaussian,
    GeometricMedian,
    Inf,
    InnerProductManipulation,
    Krum,
    Meamed,
    Median,
    Mimic,
    MoNNA,
    MultiKrum,
    Optimal_ALittleIsEnough,
    Optimal_InnerProductManipulation,
    SignFlipping,
    TrMean,
)
from byzfl import NNM as TheirNNM
from byzfl.fed_framework import Client

from gradskew import aggregators, attacks
from gradskew.aggregators import NNM
from gradskew.attacks import Context
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
    agree(attacks.make("lie", preset="byzfl")(honest, own)[0], ALittleIsEnough(tau=1.5)(honest.numpy()))
    agree(attacks.make("bitflip", preset="byzfl")(honest, own)[0], SignFlipping()(honest.numpy()))
    for index in (0, len(honest) - 1):
        ours = attacks.make(f"mimic(index={index})", preset="byzfl")(honest, own)[0]
        agree(ours, Mimic(epsilon=index)(honest.numpy()))
    assert attacks.make("nonfinite")(honest, own)[0].tolist() == Inf()(honest.numpy()).tolist()


def test_where_their_attack_is_another():
    """Their sign flip is of the honest mean, ours of each own row; their LIE divides the variance by h - 1."""
    honest, own = rows(8, 30, 0), rows(3, 30, 1)
    theirs = torch.from_numpy(SignFlipping()(honest.numpy()))
    assert not torch.allclose(attacks.make("bitflip")(honest, own)[0], theirs)
    theirs = torch.from_numpy(ALittleIsEnough(tau=1.5)(honest.numpy()))
    ours = attacks.make("lie")(honest, own)[0]
    torch.testing.assert_close(
        (theirs - honest.mean(0)) / (ours - honest.mean(0)), torch.full_like(ours, (8 / 7) ** 0.5)
    )
    assert Inf()(honest.numpy().astype("float32")).dtype == "float64"  # whatever the rows are


def optimal(p, name, honest, f):
    """Our row and its strength, with their line search against one of our rules."""
    rule = aggregators.make(name, preset="byzfl")
    n = len(honest) + f
    context = Context(round=0, params=honest[0], rule=rule, clients=range(f, n), f=f)
    forgery = attacks.make(f"opt(p={p})", preset="byzfl").explain(honest, honest[:f], n=n, context=context)
    return forgery.rows[0], forgery.notes["tau"]


TRIED = [
    ("mean", lambda f: Average()),
    ("median", lambda f: Median()),
    ("rbtm", TrMean),
    ("multikrum", MultiKrum),
]


@pytest.mark.parametrize(("n", "f", "d"), [(11, 3, 40), (20, 4, 100), (50, 10, 200)])
@pytest.mark.parametrize(("name", "theirs"), TRIED)
def test_their_optimal_strengths(name, theirs, n, f, d):
    """IPM is the same; along their deviation, which divides by h - 1, the same strength goes farther."""
    for seed in range(3):
        honest = rows(n - f, d, seed)
        found = Optimal_InnerProductManipulation(agg=theirs(f), pre_agg_list=[], f=f)(honest.numpy().copy())
        torch.testing.assert_close(optimal("ipm", name, honest, f)[0], torch.from_numpy(found), rtol=1e-9, atol=1e-9)
    if name != "multikrum":  # which jumps at strengths that depend on the deviation
        row, tau = optimal("std", name, honest, f)
        found = Optimal_ALittleIsEnough(agg=theirs(f), pre_agg_list=[], f=f)(honest.numpy().copy())
        assert not torch.allclose(row, torch.from_numpy(found))
        torch.testing.assert_close(honest.mean(0) + tau * honest.std(0), torch.from_numpy(found), rtol=1e-6, atol=1e-6)


def test_their_client_flips_labels_as_reverse_does():
    """Their Byzantine row is the mean of the honest clients' gradients on such labels, ours is of its own inputs."""
    images = Images()
    batch = torch.utils.data.DataLoader(images, batch_size=40)
    given = {"model_name": "logreg_mnist", "device": "cpu", "loss_name": "NLLLoss", "LabelFlipping": True}
    given |= {"nb_labels": 10, "momentum": 0.0, "training_dataloader": batch, "store_per_client_metrics": False}
    client = Client(given)
    client.compute_gradients()
    labels = torch.tensor(images.targets)
    flipped = attacks.make("labelflip(map=reverse)").relabel(labels, 10)
    client.model.zero_grad()
    torch.nn.functional.nll_loss(client.model(images.images), flipped).backward()
    wanted = torch.cat([each.grad.flatten() for each in client.model.parameters()])
    torch.testing.assert_close(client.get_flat_flipped_gradients(), wanted)


def test_gaussian_noise_is_one_draw_for_all():
    """The law is the same, the draws are not: mean and deviation of 40,000 entries."""
    honest, own = rows(8, 40_000, 0), rows(3, 40_000, 1)
    theirs = torch.from_numpy(Gaussian(mu=2.0, sigma=0.5)(honest.numpy()))
    ours = attacks.make("gaussian(mu=2,sigma=0.5)", preset="byzfl")(honest, own)
    assert torch.equal(ours, ours[:1].expand(3, -1))
    for row in (theirs, ours[0]):
        assert (row.mean().item(), row.std().item()) == pytest.approx((2, 0.5), abs=0.02)


class Images(torch.utils.data.Dataset):
    """Forty images of MNIST's shape, in place of those that torchvision would download."""

    def __init__(self, **_):
        self.images = torch.randn(40, 1, 28, 28, generator=torch.Generator().manual_seed(0))
        self.targets = (torch.arange(40) % 10).tolist()

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], int(self.targets[index])


def played(attack, algorithm, folder, monkeypatch):
    """Run their benchmark for two steps; None, or what it raises."""
    from byzfl.benchmark import train

    monkeypatch.setattr(train, "datasets", SimpleNamespace(MNIST=Images))
    given = {"proportion_selected_clients": 1.0, "local_steps_per_client": 1} if algorithm == "FedAvg" else {}
    optimizer = {"name": "SGD", "parameters": {}}
    honest = {"momentum": 0.0, "weight_decay": 0.0, "batch_size": 4}
    settings = {
        "benchmark_config": {
            "device": "cpu",
            "training_seed": 0,
            "nb_workers": 5,
            "nb_honest_clients": 4,
            "f": 1,
            "tolerated_f": 1,
            "size_train_set": 0.8,
            "data_distribution_seed": 0,
            "nb_steps": 2,
            "data_distribution": {"name": "iid", "distribution_parameter": 1.0},
            "training_algorithm": {"name": algorithm, "parameters": given},
        },
        "model": {
            "name": "logreg_mnist",
            "dataset_name": "mnist",
            "nb_labels": 10,
            "loss": "NLLLoss",
            "learning_rate": 0.1,
            "learning_rate_decay": 1.0,
            "milestones": [],
            "optimizer": optimizer,
        },
        "honest_clients": honest,
        "aggregator": {"name": "Average", "parameters": {}},
        "pre_aggregators": [],
        "attack": {"name": attack, "parameters": {}},
        "evaluation_and_results": {
            "evaluation_delta": 5,
            "batch_size_evaluation": 8,
            "evaluate_on_test": False,
            "store_per_client_metrics": False,
            "store_models": False,
            "results_directory": str(folder),
            "data_folder": str(folder),
        },
    }
    try:
        return train.start_training(settings)
    except ValueError as error:
        return str(error)


def test_their_benchmark_refuses_label_flipping_under_fedavg(monkeypatch, tmp_path):
    """It raises after the clients are made; with gradients (DSGD) it runs, and so does another attack under FedAvg."""
    refused = played("LabelFlipping", "FedAvg", tmp_path / "a", monkeypatch)
    assert refused == "FedAvg does not support Label Flipping attack."
    assert played("LabelFlipping", "DSGD", tmp_path / "b", monkeypatch) is None
    assert played("SignFlipping", "FedAvg", tmp_path / "c", monkeypatch) is None


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
