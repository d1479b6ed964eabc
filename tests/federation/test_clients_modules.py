"""Modules of all kinds train as in plain PyTorch, in both engines, or are refused in one line before training."""

import warnings
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from tiny import Cuts, Tiny, reference, same
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from gradskew.core.errors import InputError
from gradskew.federation.clients import ENGINES, Shard
from gradskew.federation.optimizer import SGD
from gradskew.federation.rounds import Federation
from gradskew.federation.run import Run
from gradskew.models import UserModel, initial, num_parameters

BASE = Run(
    source=Tiny(shape=(4, 4)),
    partition=Cuts(sizes=(16, 7, 9)),
    clients=3,
    byzantine=0,
    rounds=1,
    sgd=SGD(epochs=2, batch=4, lr=0.05),
)


class Warm(nn.Module):
    """Scores of a linear layer times exp(t), t of shape (), as CLIP has it; and a parameter without entries."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 3)
        self.t = nn.Parameter(torch.tensor(0.5))
        self.nothing = nn.Parameter(torch.empty(0, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1)) * self.t.exp() + self.nothing.sum()


class Listening(nn.Module):
    """A recurrent network that reads an image row by row."""

    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.recurrent, self.linear = kind(4, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.recurrent(x)[0][:, -1])


class Random(Warm):
    """Drops inputs by a function, without a module that says so."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(nn.functional.dropout(x, 0.5, self.training))


class Counts(Warm):
    """Counts its passes."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("passes", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        return super().forward(x)


class Pair(Warm):
    def forward(self, x: Tensor) -> tuple[Tensor, int]:  # type: ignore[override]
        return super().forward(x), 1


class Answer(Warm):
    def forward(self, x: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        return {"logits": super().forward(x)}


class Auxiliary(Warm):
    """Returns two heads in training, one in a test."""

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:  # type: ignore[override]
        scores = super().forward(x)
        return (scores, scores) if self.training else scores


def linear() -> nn.Linear:
    return nn.Linear(16, 3)


def dense(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Flatten(), *layers)


def old_weight_norm() -> nn.Module:
    with warnings.catch_warnings(action="ignore"):
        return dense(weight_norm(linear()))


def pruned() -> nn.Module:
    layer = linear()
    prune.l1_unstructured(layer, "weight", 0.3)
    return dense(layer)


def shared_weight() -> nn.Module:
    first, second = nn.Linear(16, 16), nn.Linear(16, 16)
    second.weight = first.weight
    return dense(first, nn.ReLU(), second, nn.ReLU(), linear())


def shared_layer() -> nn.Module:
    layer = nn.Linear(16, 16)
    return dense(layer, nn.ReLU(), layer, nn.ReLU(), linear())


def shared_layer_with_tanh() -> nn.Module:
    layer = nn.Linear(16, 16)
    return dense(layer, nn.Tanh(), layer, nn.Tanh(), linear())


def doubling_hook() -> nn.Module:
    layer = linear()
    layer.register_forward_hook(lambda module, given, output: 2 * output)
    return dense(layer)


class Negated(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return -super().forward(x)


def lazy() -> nn.Module:
    return dense(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(3))


def lazy_batch_norm() -> nn.Module:
    return dense(nn.LazyLinear(8), nn.LazyBatchNorm1d(), nn.LazyLinear(3))


def tracked_norm() -> nn.Module:
    return nn.Sequential(nn.InstanceNorm1d(4, track_running_stats=True), nn.Flatten(), linear())


def gradient_hook() -> nn.Module:
    layer = linear()
    layer.weight.register_hook(lambda gradient: 0 * gradient)
    return dense(layer)


BOTH: dict[str, Callable[[], nn.Module]] = {
    "a parameter of shape ()": Warm,
    "old weight norm": old_weight_norm,
    "weight norm": lambda: dense(parametrizations.weight_norm(linear())),
    "orthogonal": lambda: dense(parametrizations.orthogonal(linear())),
    "pruned": pruned,
    "a shared weight": shared_weight,
    "a shared layer": shared_layer,
    "a layer that vmap meets twice": shared_layer_with_tanh,
    "no bias": lambda: dense(nn.Linear(16, 8, bias=False), nn.ReLU(), nn.Linear(8, 3)),
    "a forward hook": doubling_hook,
    "a forward of its own": lambda: Negated(nn.Flatten(), linear()),
    "lazy": lazy,
    "instance norm": lambda: nn.Sequential(nn.InstanceNorm1d(4), nn.Flatten(), linear()),
}
ALONE: dict[str, Callable[[], nn.Module]] = {
    "lstm": lambda: Listening(nn.LSTM),
    "gru": lambda: Listening(nn.GRU),
    "old spectral norm": lambda: dense(spectral_norm(linear())),
    "spectral norm": lambda: dense(parametrizations.spectral_norm(linear())),
    "tracked instance norm": tracked_norm,
    "a function that draws": Random,
    "a counter": Counts,
    "lazy batch norm": lazy_batch_norm,
}


def user(make: Callable[[], nn.Module]) -> UserModel:
    def factory(shape: tuple[int, ...], num_classes: int) -> nn.Module:
        return make()

    return UserModel(factory=factory, vectorised=True)


def check_trains_as_pytorch(run: Run) -> None:
    federation = Federation(run)
    data = federation.dataset
    shards = [Shard(i, part, data.train.labels[part]) for i, part in enumerate(federation.parts)]
    net = user_copy(federation)
    wanted = torch.stack([reference(net, data, shard, run.sgd)[0] for shard in shards])
    same(federation.updates([0, 1, 2], 0)[0], wanted)
    assert federation.round(0)["accuracy"] is not None


def user_copy(federation: Federation) -> nn.Module:
    """The network of the first round, drawn a second time."""
    run = federation.run
    return Federation(replace(run, engine="loop")).flat.module


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", BOTH)
def test_both_engines_train_as_pytorch(kind: str, engine: str) -> None:
    check_trains_as_pytorch(replace(BASE, model=user(BOTH[kind]), engine=engine))


@pytest.mark.parametrize("kind", ALONE)
def test_the_loop_trains_as_pytorch_where_vmap_cannot(kind: str) -> None:
    run = replace(BASE, model=user(ALONE[kind]), engine="loop")
    check_trains_as_pytorch(run)
    with pytest.raises(InputError, match="use engine = loop") as error:
        Federation(replace(run, engine="batched"))
    assert "\n" not in str(error.value)


def test_lazy_modules_are_drawn_from_the_seed() -> None:
    """The digest of a run, and the memory that it needs, follow from the number of parameters."""
    first, again = (initial(user(lazy), (4, 4), 3, 5).read_params() for _ in range(2))
    assert torch.equal(first, again)
    assert num_parameters(user(lazy), (4, 4), 3) == len(first) == 16 * 8 + 8 + 8 * 3 + 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Pair, r"gives an object of type tuple for 2 inputs, not floating-point scores alone, \(2, 3\)"),
        (Answer, r"gives an object of type dict for 2 inputs, not floating-point scores alone, \(2, 3\)"),
        (gradient_hook, "has no hook on 1.weight: use module hooks"),
    ],
)
def test_one_line_for_what_cannot_train(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(InputError, match=message):
        initial(user(make), (4, 4), 3, 0)


@pytest.mark.parametrize("engine", ENGINES)
def test_one_line_for_further_scores_in_training(engine: str) -> None:
    with pytest.raises(
        InputError, match=r"gives an object of type tuple for [24] inputs, not floating-point scores alone"
    ):
        Federation(replace(BASE, model=user(Auxiliary), engine=engine)).round(0)


def test_a_weight_norm_stays_with_its_owner() -> None:
    """The copy that trains has what the module had, and the module keeps its graph."""
    net = old_weight_norm()
    flat = initial(UserModel(factory=lambda shape, num_classes: net), (4, 4), 3, 0)
    assert flat.d == 3 + 3 + 48
    assert net[1].weight.grad_fn is not None
