"""The model, the data and the training: what clients and server share."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gradskew import Digits, Dirichlet


class Net(nn.Module):
    """A small network for images of 8 x 8 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


def initial(seed: int) -> Net:
    """The model before the first round."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Net()


@cache
def shards(num_partitions: int, beta: float, seed: int) -> list[tuple[Tensor, Tensor]]:
    """scikit-learn's digits, dealt to the clients: images and labels of each."""
    dataset = Digits().load()
    parts = Dirichlet(beta=beta)(dataset, num_partitions, seed)
    return [(dataset.inputs(dataset.train.images[part]), dataset.train.labels[part]) for part in parts]


@cache
def test_data() -> tuple[Tensor, Tensor]:
    """The server's own test images."""
    dataset = Digits().load()
    return dataset.inputs(dataset.test.images), dataset.test.labels


def train(net: Net, images: Tensor, labels: Tensor, epochs: int, batch_size: int, lr: float, seed: int) -> float:
    """Some epochs of SGD; returns the mean loss."""
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    shuffle = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(epochs):
        for batch in torch.randperm(len(labels), generator=shuffle).split(batch_size):
            optimizer.zero_grad()
            loss = cross_entropy(net(images[batch]), labels[batch])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return sum(losses) / len(losses)


@torch.no_grad()
def test(net: Net, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Loss, and accuracy in percent."""
    scores = net(images)
    return cross_entropy(scores, labels).item(), 100 * (scores.argmax(1) == labels).double().mean().item()
