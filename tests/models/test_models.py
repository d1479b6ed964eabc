"""The networks, and a network as one flat vector."""

import copy
import functools
import random

import pytest
import torch
from tiny import NORM, Tiny, masked, norm, tied
from torch import nn

from gradskew import models
from gradskew.core.errors import InputError
from gradskew.models import CNN, MLP, Flat, Linear, Model, UserModel, initial


@pytest.mark.parametrize(
    ("name", "shape", "classes", "d"),
    [
        ("linear", (2, 3), 4, 6 * 4 + 4),
        ("mlp", (8, 8), 10, 64 * 100 + 100 + 100 * 10 + 10),
        ("mlp(hidden=(5,4))", (3,), 2, 3 * 5 + 5 + 5 * 4 + 4 + 4 * 2 + 2),
        ("cnn(width=2)", (8, 9), 3, 9 * 2 + 2 + 9 * 2 * 4 + 4 + 4 * 2 * 2 * 3 + 3),
        ("cnn(width=2)", (3, 8, 8), 62, 3 * 9 * 2 + 2 + 9 * 2 * 4 + 4 + 4 * 2 * 2 * 62 + 62),
    ],
)
def test_sizes_by_hand(name: str, shape: tuple[int, ...], classes: int, d: int) -> None:
    flat = initial(models.make(name), shape, classes, 0)
    assert (flat.d, flat.b) == (d, 0)
    assert flat.module(torch.zeros(5, *shape)).shape == (5, classes)
    assert flat.read_params().shape == (d,)


def test_drawn_from_the_seed_alone() -> None:
    torch.manual_seed(1)
    states = torch.get_rng_state(), random.getstate()
    first = initial(MLP(), (3,), 2, 5).read_params()
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    torch.manual_seed(2)
    assert torch.equal(initial(MLP(), (3,), 2, 5).read_params(), first)
    assert not torch.equal(initial(MLP(), (3,), 2, 6).read_params(), first)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        plain = nn.Sequential(nn.Linear(3, 100), nn.Linear(100, 2))
    assert torch.equal(torch.cat([weight.flatten() for weight in plain.parameters()]), first)


def test_a_module_given_twice_is_not_trained_twice() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    before = copy.deepcopy(net.state_dict())

    def factory(shape: tuple[int, ...], classes: int) -> nn.Module:
        return net

    flat = initial(UserModel(factory=factory), (2, 2), 2, 0)
    flat.bind(torch.zeros(flat.d))
    assert all(torch.equal(net.state_dict()[name], value) for name, value in before.items())


def test_tied_parameters_count_once() -> None:
    assert initial(UserModel(factory=tied), (2, 2), 3, 0).d == (16 + 4) + 4 + (4 * 3 + 3)


def test_which_buffers_are_read() -> None:
    flat = initial(NORM, (2, 2), 3, 0)
    assert (flat.b, flat.has_batch_norm, flat.has_dropout) == (8, True, False)
    assert torch.equal(flat.read_buffers(), torch.tensor([0.0] * 4 + [1.0] * 4))
    every = initial(NORM, (2, 2), 3, 0, all_buffers=True)
    assert torch.equal(every.read_buffers(), torch.tensor([0.0] * 4 + [1.0] * 4 + [0.0]))
    assert initial(UserModel(factory=masked), (2, 2), 3, 0, all_buffers=True).b == 4, "infinite entries: a mask"


def test_variances_stay_above_zero_and_counters_whole() -> None:
    flat = initial(NORM, (2, 2), 3, 0, all_buffers=True)
    flat.write_buffers(torch.tensor([-1.0, 2, 3, 4, -1e30, 0.5, -0.1, 7, 2.6]))
    part = flat.module[2]
    assert part.running_mean.tolist() == [-1, 2, 3, 4]
    assert part.running_var.tolist() == [0, 0.5, 0, 7]
    assert part.num_batches_tracked.dtype == torch.int64
    assert part.num_batches_tracked == 3


def no_parameters(shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Flatten()


def double(shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Linear(2, classes).double()


def ten_outputs(shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Linear(2, 10)


def misfit(shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Linear(7, classes)


def lazy(shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Sequential(nn.LazyLinear(4), nn.Linear(5, classes))


def raising(shape: tuple[int, ...], classes: int) -> nn.Module:
    raise KeyError("no weights")


def greedy(shape: tuple[int, ...], classes: int) -> nn.Module:
    raise torch.OutOfMemoryError("CUDA out of memory")


def not_a_module(shape: tuple[int, ...], classes: int) -> object:
    return "net"


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (no_parameters, "no trainable parameter"),
        (double, "must be float32, not torch.float64"),
        (
            ten_outputs,
            r"test_models:ten_outputs gives \(2, 10\) for 2 inputs, not \(2, 3\)",
        ),
        (lazy, r"test_models:lazy fails on inputs of shape \(2,\): RuntimeError: mat1 and mat2 shapes"),
        (misfit, r"test_models:misfit fails on inputs of shape \(2,\): RuntimeError: mat1 and mat2 shapes"),
        (raising, "test_models:raising fails .*: KeyError: 'no weights'"),
        (not_a_module, "returned a value of type str, not an nn.Module"),
    ],
)
def test_wrong_user_models(factory: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        initial(UserModel(factory=factory), (2,), 3, 0)


def test_memory_that_runs_out_is_no_misfit() -> None:
    """Who computes says what needs less."""
    with pytest.raises(torch.OutOfMemoryError):
        initial(UserModel(factory=greedy), (2,), 3, 0)


@pytest.mark.parametrize("factory", ["norm", functools.partial(norm, classes=3)])
def test_a_factory_is_a_function(factory: object) -> None:
    with pytest.raises(InputError, match="factory must be a function"):
        UserModel(factory=factory)


def test_wrong_options() -> None:
    for wrong in ("mlp(hidden=0)", "mlp(hidden=())", "mlp(hidden=(3,-1))", "cnn(width=0)", "linear(x=1)", "mpl"):
        with pytest.raises(InputError):
            models.make(wrong)
    with pytest.raises(InputError, match="needs images"):
        initial(CNN(), (64,), 10, 0)


@pytest.mark.parametrize("model", [Linear(), MLP(hidden=3), NORM])
def test_eval_and_train_agree_on_the_order_of_parameters(model: Model) -> None:
    """Row entries are in the module's own order: what `parameters_to_vector` gives."""
    flat = initial(model, Tiny().shape, 3, 0)
    assert isinstance(flat, Flat)
    assert torch.equal(flat.read_params(), nn.utils.parameters_to_vector(flat.module.parameters()))
