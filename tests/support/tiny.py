"""Tiny federations, and local training in ordinary PyTorch, independent of the package."""

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gradskew.data import Dataset, Source, Split
from gradskew.data.partition import Partition
from gradskew.federation.clients import Shard
from gradskew.federation.optimizer import SGD
from gradskew.models import UserModel


@dataclass(frozen=True, kw_only=True)
class Tiny(Source):
    """Gaussian images with random labels. overflow: the training images from this one on overflow float32."""

    key: ClassVar[str] = "tiny"
    shape: tuple[int, ...] = (3, 3)
    classes: int = 3
    train: int = 48
    overflow: int | None = None
    seed: int = 0

    def read(self) -> Dataset:
        rng = torch.Generator().manual_seed(self.seed)
        images = torch.randn(self.train + 20, *self.shape, generator=rng)
        if self.overflow is not None:
            images[self.overflow : self.train] = 3e38
        labels = torch.randint(self.classes, (len(images),), generator=rng)
        train, test = (Split(images[part], labels[part]) for part in (slice(self.train), slice(self.train, None)))
        return Dataset(train, test, self.classes, scale=torch.tensor(2.0), shift=torch.tensor(-0.5))


@dataclass(frozen=True, kw_only=True)
class Cuts(Partition):
    """A partition in order: sizes[i] images to client i."""

    key: ClassVar[str] = "cuts"
    sizes: tuple[int, ...]

    def deal(
        self, split: Split, num_classes: int, clients: int, generator: np.random.Generator
    ) -> Sequence[np.ndarray]:
        return np.split(np.arange(sum(self.sizes)), np.cumsum(self.sizes)[:-1])


class Tied(nn.Module):
    """A network with two layers that share one weight."""

    def __init__(self, inputs: int, classes: int):
        super().__init__()
        self.first, self.second = nn.Linear(inputs, inputs), nn.Linear(inputs, inputs)
        self.second.weight = self.first.weight
        self.head = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.second(torch.tanh(self.first(x.flatten(1))))))


class Masked(nn.Module):
    """A network with a constant buffer, a mask with infinite entries, and an unused layer."""

    def __init__(self, inputs: int, classes: int):
        super().__init__()
        self.linear, self.spare = nn.Linear(inputs, classes), nn.Linear(2, 2)
        self.register_buffer("factor", torch.linspace(0.5, 1.5, inputs))
        self.register_buffer("mask", torch.tensor([0.0] * (classes - 1) + [-torch.inf]))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1) * self.factor) + self.mask.exp()


def tied(shape: tuple[int, ...], classes: int) -> nn.Module:
    return Tied(int(np.prod(shape)), classes)


def masked(shape: tuple[int, ...], classes: int) -> nn.Module:
    return Masked(int(np.prod(shape)), classes)


def frozen(shape: tuple[int, ...], classes: int) -> nn.Module:
    net = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), 5), nn.Tanh(), nn.Linear(5, classes))
    net[1].requires_grad_(False)
    return net


def norm(shape: tuple[int, ...], classes: int) -> nn.Module:
    inputs = int(np.prod(shape))
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, classes))


def cumulative_norm(shape: tuple[int, ...], classes: int) -> nn.Module:
    inputs = int(np.prod(shape))
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(inputs, momentum=None), nn.Linear(inputs, classes))


def dropout(shape: tuple[int, ...], classes: int) -> nn.Module:
    inputs = int(np.prod(shape))
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, 20), nn.Dropout(0.5), nn.Linear(20, classes))


NORM, DROPOUT = UserModel(factory=norm), UserModel(factory=dropout)


def hashed(*fields: object) -> int:
    """Return the 32-bit seed of a torch draw, from the SHA-256 of the fields."""
    return int(hashlib.sha256("/".join(map(str, fields)).encode()).hexdigest()[24:32], 16)


def reference(
    net: nn.Module, dataset: Dataset, shard: Shard, sgd: SGD, *, seed: int = 0, round: int = 0
) -> tuple[Tensor, nn.Module]:
    """Train one client alone with torch.optim; return w^t - w_i^{t+1} and the trained copy of `net`."""
    net = copy.deepcopy(net).train()
    weights = [weight for weight in net.parameters() if weight.requires_grad]
    before = torch.cat([weight.detach().flatten() for weight in weights])
    optimiser = torch.optim.SGD(weights, lr=sgd.lr, momentum=sgd.momentum, weight_decay=sgd.weight_decay)
    for weight in weights:
        weight.grad = torch.zeros_like(weight)  # so that an unused weight decays like any other
    skips = any(isinstance(part, nn.BatchNorm1d) for part in net.modules())
    rng = torch.Generator().manual_seed(hashed(seed, "batches", round, shard.client))
    orders = [torch.randperm(len(shard.index), generator=rng).tolist() for _ in range(sgd.epochs)]
    with torch.random.fork_rng():
        torch.manual_seed(hashed(seed, "module", round, shard.client))
        for order in orders:
            for first in range(0, len(order), sgd.batch):
                chosen = order[first : first + sgd.batch]
                if skips and len(chosen) == 1:
                    continue
                images = dataset.train.inputs[shard.index[chosen]].float() * dataset.scale + dataset.shift
                optimiser.zero_grad(set_to_none=False)
                cross_entropy(net(images), shard.labels[chosen]).backward()
                if sgd.clip is not None:
                    nn.utils.clip_grad_norm_(weights, sgd.clip)
                optimiser.step()
    return before - torch.cat([weight.detach().flatten() for weight in weights]), net


def buffers_of(net: nn.Module) -> Tensor:
    """Return the finite floating buffers of a network, concatenated."""
    every = [buffer.flatten() for buffer in net.buffers() if buffer.is_floating_point() and buffer.isfinite().all()]
    return torch.cat([torch.empty(0), *every])


def same(got: Tensor, wanted: Tensor, tolerance: float = 1e-5) -> None:
    """Assert equality to float32 accuracy: each row differs by less than the tolerance of its own norm."""
    assert got.shape == wanted.shape
    gap = torch.linalg.vector_norm(got.double() - wanted.double(), dim=-1)
    bound = tolerance * torch.linalg.vector_norm(wanted.double(), dim=-1) + 1e-7
    assert (gap <= bound).all(), f"relative gaps {gap / bound * tolerance}"
