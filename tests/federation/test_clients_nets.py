"""Local training of the networks of the paper: both engines against plain PyTorch."""

import copy

import pytest
import torch
from tiny import Cuts, Tiny, buffers_of, reference, same

from gradskew.core.numerics import fixed_threads
from gradskew.federation.clients import ENGINES, Shard, Training
from gradskew.federation.optimizer import SGD
from gradskew.federation.rounds import Federation
from gradskew.federation.run import Run
from gradskew.models import AlexNet, FemnistCNN, Model, ResNet18, initial

SIZES = (6, 2, 9)
GENTLE = SGD(epochs=2, batch=4, lr=0.002, momentum=0.9, weight_decay=1e-2, clip=0.5)
NETS = [
    (AlexNet(width=4), (3, 32, 32)),
    (FemnistCNN(), (12, 12)),
    (ResNet18(norm="group", width=8), (3, 64, 64)),  # at 32 pixels group norm divides by the spread of two numbers
    (ResNet18(norm="group", width=8, stem="cifar"), (16, 16)),
]


def clients(source: Tiny, sizes: tuple[int, ...]) -> list[Shard]:
    labels = source.load().train.labels
    indices = torch.arange(sum(sizes)).split(sizes)
    return [Shard(client, index, labels[index]) for client, index in enumerate(indices)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("model", "shape"), NETS, ids=lambda value: getattr(value, "name", ""))
def test_plain_pytorch(engine: str, model: Model, shape: tuple[int, ...]) -> None:
    source = Tiny(shape=shape)
    dataset, shards = source.load(), clients(source, SIZES)
    flat = initial(model, dataset.shape, dataset.num_classes, 3)
    net, params = copy.deepcopy(flat.module), flat.read_params()
    flat.bind(params)
    updates = torch.empty(len(shards), flat.d)
    with fixed_threads(1):
        ENGINES[engine](Training(flat, dataset, GENTLE, 0), params, shards, 0, updates)
        same(updates, torch.stack([reference(net, dataset, shard, GENTLE)[0] for shard in shards]), 1e-4)


def test_batch_norm_of_the_residual_network_is_averaged() -> None:
    """The model steps by the mean of the rows, its statistics become the mean of the clients'."""
    source, sizes = Tiny(shape=(3, 16, 16)), (6, 4, 8)
    model = ResNet18(width=2, stem="cifar")
    run = Run(
        source=source, partition=Cuts(sizes=sizes), model=model, sgd=GENTLE, clients=3, byzantine=0, engine="auto"
    )
    federation = Federation(run)
    before, net = federation.params.clone(), copy.deepcopy(federation.flat.module)
    rows, nets = zip(*(reference(net, source.load(), shard, GENTLE) for shard in clients(source, sizes)), strict=True)
    federation.round(0)
    same(before - federation.params, torch.stack(rows).mean(0), 1e-4)
    same(federation.flat.read_buffers(), torch.stack([buffers_of(net) for net in nets]).mean(0), 1e-4)
