"""Buffers of any type: what nothing changes keeps its bits, and what clients change is aggregated to the last digit."""

from dataclasses import replace

import pytest
import torch
from tiny import Cuts, Tiny
from torch import Tensor, nn

from gradskew import aggregators, attacks
from gradskew.core.errors import InputError
from gradskew.federation.optimizer import SGD
from gradskew.federation.rounds import Federation
from gradskew.federation.run import Run
from gradskew.federation.snapshot import Snapshot
from gradskew.models import UserModel, initial

ODD = {
    "phases": torch.tensor([0.5 + 2j, -1j]),
    "wide_phases": torch.tensor([0.1 + 0.2j], dtype=torch.complex128),
    "large": torch.tensor([2**40 + 1, -(2**62) - 3]),
    "small": torch.tensor([200, 0], dtype=torch.uint8),
    "flags": torch.tensor([True, False]),
    "fine": torch.tensor([0.1, 1 / 3], dtype=torch.float64),
    "vast": torch.tensor([1e300], dtype=torch.float64),
    "short": torch.tensor([0.1], dtype=torch.float16),
    "brain": torch.tensor([0.1], dtype=torch.bfloat16),
    "mask": torch.tensor([0.0, -torch.inf, torch.nan]),
}
START = 2**40 + 1


class Buffered(nn.Module):
    """A linear network with constant buffers of all types, not all of them saved, one of them by two names."""

    def __init__(self, inputs: int, classes: int):
        super().__init__()
        self.linear = nn.Linear(inputs, classes)
        for number, (name, values) in enumerate(ODD.items()):
            self.register_buffer(name, values.clone(), persistent=number % 2 == 0)
        self.register_buffer("twin", self.fine)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1))


class Counting(Buffered):
    """The same with two counters of batches, one whole and one complex, and a mean in float64."""

    def __init__(self, inputs: int, classes: int):
        super().__init__(inputs, classes)
        self.register_buffer("batches", torch.tensor(START))
        self.register_buffer("turns", torch.tensor(1 + 1j))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.batches += 1
            self.turns += 2 - 1j
        return super().forward(x)


class Replacing(Buffered):
    """The same with a counter in float32 that each pass replaces by a new tensor."""

    def __init__(self, inputs: int, classes: int):
        super().__init__(inputs, classes)
        self.register_buffer("passes", torch.tensor(0.0))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.passes = self.passes + 1
        return super().forward(x)


class Watching(Buffered):
    """The same with the largest input so far, which starts at -infinity."""

    def __init__(self, inputs: int, classes: int):
        super().__init__(inputs, classes)
        self.register_buffer("largest", torch.tensor(-torch.inf))

    def forward(self, x: Tensor) -> Tensor:
        self.largest = torch.maximum(self.largest, x.detach().max())
        return super().forward(x)


def buffered(shape: tuple[int, ...], classes: int) -> nn.Module:
    return Buffered(9, classes)


def counting(shape: tuple[int, ...], classes: int) -> nn.Module:
    return Counting(9, classes)


def replacing(shape: tuple[int, ...], classes: int) -> nn.Module:
    return Replacing(9, classes)


def watching(shape: tuple[int, ...], classes: int) -> nn.Module:
    return Watching(9, classes)


def bits(tensor: Tensor) -> bytes:
    return bytes(tensor.reshape(-1).view(torch.uint8).tolist())


BASE = Run(
    source=Tiny(),
    partition=Cuts(sizes=(16, 8, 12, 4)),
    model=UserModel(factory=buffered),
    clients=4,
    byzantine=1,
    rounds=2,
    sgd=SGD(batch=4, lr=0.05),
    attack=attacks.make("lie"),
    aggregator=aggregators.make("nnm+median"),
)


@pytest.mark.parametrize("engine", ["loop", "batched"])
@pytest.mark.parametrize("buffers", ["mean", "aggregated"])
def test_what_nothing_changes_keeps_its_bits(buffers: str, engine: str) -> None:
    model = replace(BASE.model, vectorised=True)
    federation = Federation(replace(BASE, model=model, buffers=buffers, engine=engine))
    for number in range(2):
        metrics = federation.round(number)
        assert (metrics["stepped"], metrics["rejected"]) == (True, 0)
    now = dict(federation.flat.module.named_buffers())
    assert now.keys() == ODD.keys(), "a buffer with two names is one buffer"
    for name, wanted in ODD.items():
        assert now[name].dtype == wanted.dtype
        assert bits(now[name]) == bits(wanted), name


def test_which_buffers_join_the_row() -> None:
    """All but the mask, and but the number that float32 does not have; a complex entry is two numbers."""
    flat = initial(UserModel(factory=buffered), (3, 3), 3, 0, all_buffers=True)
    assert flat.b == 2 * 2 + 2 * 1 + 2 + 2 + 2 + 2 + 1 + 1
    assert initial(UserModel(factory=buffered), (3, 3), 3, 0).b == 2 + 1 + 1


@pytest.mark.parametrize(("rule", "steps"), [("mean", 10 / 4), ("median", 5 / 2)])
def test_large_counters_are_counted_on(rule: str, steps: float) -> None:
    """Clients of 4, 2, 3 and 1 batches: the mean and the median are 2.5, to the even neighbour of 2^40 + 3.5."""
    model, aggregator = UserModel(factory=counting), aggregators.make(rule)
    federation = Federation(replace(BASE, model=model, aggregator=aggregator, buffers="aggregated", byzantine=0))
    federation.round(0)
    module = federation.flat.module
    assert int(module.batches) == 2**40 + 4
    assert complex(module.turns) == (1 + 1j) + steps * (2 - 1j)


@pytest.mark.parametrize("server", ["fedavgm(beta=0.5)", "fedadam(lr=0.1)", "fedyogi", "fedadagrad"])
def test_buffers_in_the_row_pass_by_the_optimiser_of_the_server(server: str) -> None:
    """Counters of 2.5 batches a round, not a step of 0.1 in place of 2.5, nor 2.5 again after a round without one."""
    given = {"aggregator": aggregators.make("mean"), "buffers": "aggregated", "byzantine": 0, "server": server}
    federation = Federation(replace(BASE, model=UserModel(factory=counting), **given))
    for number in range(2):
        federation.round(number)
    assert complex(federation.flat.module.turns) == (1 + 1j) + 2 * 2.5 * (2 - 1j)


def test_buffers_in_the_row_are_not_multiplied_where_rows_are_gradients() -> None:
    given = {"aggregator": aggregators.make("mean"), "buffers": "aggregated", "byzantine": 0, "rows": "gradient"}
    sgd = SGD(local_steps=1, batch=4, lr=0.05)
    federation = Federation(replace(BASE, model=UserModel(factory=counting), sgd=sgd, **given))
    federation.round(0)
    assert int(federation.flat.module.batches) == START + 1
    assert complex(federation.flat.module.turns) == (1 + 1j) + (2 - 1j)


def test_the_server_keeps_counters_in_the_plain_mean() -> None:
    federation = Federation(replace(BASE, model=UserModel(factory=counting)))
    federation.round(0)
    module = federation.flat.module
    assert (int(module.batches), complex(module.turns)) == (START, 1 + 1j)


@pytest.mark.parametrize("name", ["lasa", "nnm+median", "clipping+alignins", "average(a=flame,b=mean)"])
def test_rules_of_parameters_alone_are_refused_with_buffers(name: str) -> None:
    run = replace(BASE, aggregator=aggregators.make(name), byzantine=0, attack=attacks.make("none"))
    Federation(run).round(0)
    aggregated = replace(run, buffers="aggregated")
    if name == "nnm+median":
        Federation(aggregated).round(0)
        return
    with pytest.raises(InputError, match="takes rows of parameters alone: use buffers = mean"):
        Federation(aggregated)


@pytest.mark.parametrize("buffers", ["mean", "aggregated"])
def test_a_run_goes_on_with_the_same_bits(buffers: str) -> None:
    run = replace(BASE, model=UserModel(factory=counting), buffers=buffers)
    federation, again = Federation(run), Federation(run)
    rounds = [federation.round(0)]
    again.restore(Snapshot.from_bytes(federation.snapshot(rounds).to_bytes(run.digest), run.digest))
    for each in (federation, again):
        each.round(1)
    for now, wanted in zip(again.flat.module.buffers(), federation.flat.module.buffers(), strict=True):
        assert bits(now) == bits(wanted)


def test_a_buffer_that_a_pass_replaces_is_each_clients_own() -> None:
    federation = Federation(replace(BASE, model=UserModel(factory=replacing)))
    _, sent, _ = federation.updates([0, 1, 2, 3], 0)
    assert sent[:, -1].tolist() == [4, 2, 3, 1], "one pass a batch"
    federation.round(0)
    assert float(federation.flat.module.passes) == 2.5


def test_a_buffer_that_becomes_finite_is_refused() -> None:
    federation = Federation(replace(BASE, model=UserModel(factory=watching)))
    with pytest.raises(InputError, match="buffer largest is not finite at first and changes in training"):
        federation.round(0)
