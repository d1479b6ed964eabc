"""The forward and the backward pass of many clients at once, against autograd on each alone in float64."""

import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from gradskew.models import Flat, stacked, stacking


def alone(flat: Flat, params: Tensor, inputs: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """Scores (k, batch, classes) and gradients (k, d) in float64."""
    net, scores, grads = copy.deepcopy(flat.module).double(), [], []
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    for row, x, slope in zip(params.double(), inputs.double(), slopes.double(), strict=True):
        for parameter, part in zip(trained, row.split(flat.sizes), strict=True):
            parameter.data = part.view(parameter.shape)
        scores.append(net(x))
        found = torch.autograd.grad(scores[-1], trained, slope, allow_unused=True, materialize_grads=True)
        grads.append(torch.cat([gradient.flatten() for gradient in found]))
    return torch.stack(scores).detach(), torch.stack(grads)


def check(net: nn.Module, k: int, batch: int, shape: tuple[int, ...], classes: int, *, tolerance: float = 1e-5) -> None:
    flat, generator = Flat(net), torch.Generator().manual_seed(k * batch)
    params = flat.read_params() + 0.1 * torch.randn(k, flat.d, generator=generator)
    inputs = torch.randn(k, batch, *shape, generator=generator)
    slopes = torch.randn(k, batch, classes, generator=generator)
    slopes[k // 2, batch // 2 :] = 0  # as at padding
    given_slopes, given_inputs = slopes.clone(), inputs.clone()
    grads = torch.full((k, flat.d), torch.nan)
    scores, backward = stacked(flat)(params, inputs)
    backward(slopes, grads)
    wanted_scores, wanted = alone(flat, params, inputs, slopes)
    for got, exact in ((scores, wanted_scores), (grads, wanted)):
        gap = torch.linalg.vector_norm(got.double() - exact)
        assert gap <= tolerance * torch.linalg.vector_norm(exact), gap
    assert torch.equal(slopes, given_slopes)
    assert torch.equal(inputs, given_inputs)


@given(
    widths=st.lists(st.integers(1, 9), max_size=3),
    k=st.integers(1, 5),
    batch=st.integers(1, 6),
    shape=st.sampled_from([(1,), (5,), (2, 3), (1, 3, 2)]),
    relu=st.sampled_from(["between", "first", "last", "twice", "none"]),
)
def test_chains_of_linear_layers(widths: list[int], k: int, batch: int, shape: tuple[int, ...], relu: str) -> None:
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Flatten()]
    before = torch.Size(shape).numel()
    for width in widths:
        layers += [nn.Linear(before, width), nn.Flatten()] + [nn.ReLU()] * {"none": 0, "twice": 2}.get(relu, 1)
        before = width
    layers.append(nn.Linear(before, 3))
    layers = [nn.ReLU(), *layers] if relu == "first" else [*layers, nn.ReLU()] if relu == "last" else layers
    check(nn.Sequential(*layers), k, batch, shape, 3)


@pytest.mark.parametrize("k", [1, 3])
def test_a_large_layer_is_written_in_place(k: int) -> None:
    assert 150 * 120 >= stacking.IN_PLACE > 120 * 3
    check(nn.Sequential(nn.Linear(150, 120), nn.ReLU(), nn.Linear(120, 3)), k, 4, (150,), 3)


def one_weight() -> nn.Module:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    return nn.Sequential(first, nn.ReLU(), second)


def one_bias() -> nn.Module:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.bias = first.bias
    return nn.Sequential(first, nn.ReLU(), second)


def one_layer() -> nn.Module:
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, nn.ReLU(), layer, nn.ReLU(), nn.Linear(4, 4))


def frozen() -> nn.Module:
    net = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 4))
    net[0].weight.requires_grad_(False)
    return net


def frozen_layer() -> nn.Module:
    net = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 4))
    net[0].requires_grad_(False)
    return net


def no_bias() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 5, bias=False), nn.ReLU(), nn.Linear(5, 4))


def tanh() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 4))


@pytest.mark.parametrize("make", [one_weight, one_bias, one_layer, frozen, frozen_layer, no_bias, tanh])
def test_all_other_networks_go_through_autograd(make: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(stacking, "_chain")
    net = make()
    check(net, 3, 5, (4,), 4)
    assert all(type(parameter) is nn.Parameter for parameter in net.parameters()), "and are as they were"


def test_the_types_of_autocast() -> None:
    """Scores in bfloat16, and gradients that are rounded as its 8 bits are, in float32."""
    torch.manual_seed(0)
    flat = Flat(nn.Sequential(nn.Linear(150, 120), nn.ReLU(), nn.Linear(120, 3)))
    params, inputs, slopes = flat.read_params().repeat(2, 1), torch.randn(2, 6, 150), torch.randn(2, 6, 3)
    grads = torch.empty_like(params)
    with torch.autocast("cpu", torch.bfloat16):
        scores, backward = stacked(flat)(params, inputs)
    backward(slopes, grads)
    assert scores.dtype == torch.bfloat16
    exact = alone(flat, params, inputs, slopes)[1]
    gap = torch.linalg.vector_norm(grads - exact) / torch.linalg.vector_norm(exact)
    assert 2**-12 < gap < 2**-4
