"""The same federation in the plain PyTorch way: a DataLoader, an SGD and a state dict per client, one after another."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from gradskew import Run


def plain_fedavg(run: Run, rounds: int) -> float:
    """FedAvg without attack; returns the final test accuracy in percent."""
    dataset = run.source.load()
    parts = run.partition(dataset, run.clients, run.seed)
    images = dataset.inputs(dataset.train.inputs)
    torch.manual_seed(run.seed)
    loaders = [
        DataLoader(TensorDataset(images[part], dataset.train.labels[part]), batch_size=run.sgd.batch, shuffle=True)
        for part in parts
    ]
    server = run.model.build(dataset.shape, dataset.num_classes)
    client = run.model.build(dataset.shape, dataset.num_classes)
    for _ in range(rounds):
        states = []
        for loader in loaders:
            client.load_state_dict(server.state_dict())
            _train(client, loader, run)
            states.append({key: value.clone() for key, value in client.state_dict().items()})
        mean = {key: torch.stack([state[key] for state in states]).mean(0) for key in states[0]}
        server.load_state_dict(mean)
        accuracy = _accuracy(server, dataset.inputs(dataset.test.inputs), dataset.test.labels)
    return accuracy


def _train(model: nn.Module, loader: DataLoader, run: Run) -> None:
    sgd = run.sgd
    optimizer = torch.optim.SGD(model.parameters(), lr=sgd.lr, momentum=sgd.momentum, weight_decay=sgd.weight_decay)
    model.train()
    for _ in range(sgd.epochs):
        for inputs, labels in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), labels).backward()
            if sgd.clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), sgd.clip)
            optimizer.step()


@torch.no_grad()
def _accuracy(model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> float:
    model.eval()
    return 100 * float((model(inputs).argmax(1) == labels).float().mean())
