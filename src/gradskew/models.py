"""The networks, and a network seen as one flat vector of parameters."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from .checks import InputError, check, check_choice, check_number
from .names import Named, Registry, parse_one
from .randomness import drawing


@dataclass(frozen=True, kw_only=True)
class Model(Named, ABC):
    """How a network is built. `batched`: whether clients may train as one computation (no batch norm, no dropout)."""

    batched: ClassVar[bool] = True
    kind: ClassVar[str] = "dense"  # what `engine="auto"` looks at: dense, convolutional or other

    @abstractmethod
    def build(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        """A network from images (batch, *shape) to scores (batch, num_classes), drawn from torch's global generator."""


@dataclass(frozen=True, kw_only=True)
class Linear(Model):
    """Multinomial logistic regression."""

    key: ClassVar[str] = "linear"

    def build(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), num_classes))


@dataclass(frozen=True, kw_only=True)
class MLP(Model):
    """A perceptron with ReLU after each hidden layer; hidden: units, one number per layer."""

    key: ClassVar[str] = "mlp"
    hidden: int | tuple[int, ...] = 100

    def __post_init__(self) -> None:
        widths = self.hidden if isinstance(self.hidden, tuple) else (self.hidden,)
        check(len(widths) > 0, "hidden must name at least one layer (or use the model linear)")
        for width in widths:
            check_number("hidden", width, at_least=1, whole=True)
        if len(widths) == 1:
            object.__setattr__(self, "hidden", widths[0])  # 32 and (32,) are one network

    def build(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        hidden = self.hidden if isinstance(self.hidden, tuple) else (self.hidden,)
        widths = [math.prod(shape), *hidden]
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(widths[-1], num_classes))


@dataclass(frozen=True, kw_only=True)
class CNN(Model):
    """A small convolutional network: two 3 x 3 convolutions with ReLU and 2 x 2 max-pooling, then a linear layer."""

    key: ClassVar[str] = "cnn"
    kind: ClassVar[str] = "convolutional"
    width: int = 16

    def __post_init__(self) -> None:
        check_number("width", self.width, at_least=1, whole=True)

    def build(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        check(len(shape) in (2, 3), f"the model cnn needs images, not inputs of shape {shape}")
        channels = shape[0] if len(shape) == 3 else 1
        height, width = shape[-2:]
        return nn.Sequential(
            nn.Identity() if len(shape) == 3 else nn.Unflatten(1, (1, height)),
            nn.Conv2d(channels, self.width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(self.width, 2 * self.width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(2 * self.width * (height // 4) * (width // 4), num_classes),
        )


@dataclass(frozen=True, kw_only=True)
class UserModel(Model):
    """A user's own network: `factory(shape, num_classes)` returns an `nn.Module`.

    Set `vectorised` only if the module has no batch norm and draws nothing: then clients may train as a batch.
    """

    key: ClassVar[str] = "user"
    kind: ClassVar[str] = "other"
    factory: Callable[[tuple[int, ...], int], nn.Module] = field(repr=False)  # its code and network have digests
    vectorised: bool = False

    def __post_init__(self) -> None:
        good = callable(self.factory) and hasattr(self.factory, "__qualname__")
        check(good, "factory must be a function of (shape, num_classes) that returns an nn.Module")
        check_choice("vectorised", self.vectorised, (False, True))

    @property
    def batched(self) -> bool:  # type: ignore[override]
        return self.vectorised

    @property
    def name(self) -> str:
        return f"{self.factory.__module__}:{self.factory.__qualname__}"

    def build(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        module = self.factory(shape, num_classes)
        check(isinstance(module, nn.Module), f"{self.name} returned a {type(module).__name__}, not an nn.Module")
        return copy.deepcopy(module)  # a factory may give the same module each time: training must not reach it


class Flat:
    """A module whose trainable parameters are views into one flat vector, in the module's order.

    Floating buffers (batch norm's statistics) are read and written as a second, small vector (b,). Integer buffers stay
    out unless `all_buffers` asks for them, and so do buffers with infinite entries: they are masks.
    """

    def __init__(self, module: nn.Module, all_buffers: bool = False):
        self.module = module
        self.named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
        if not self.named:
            raise InputError("the model has no trainable parameter")
        odd = {p.dtype for _, p in self.named} - {torch.float32}
        check(not odd, f"the model's parameters must be float32, not {', '.join(map(str, odd))}")
        self.shapes = [p.shape for _, p in self.named]
        self.sizes = [p.numel() for _, p in self.named]
        self.d = sum(self.sizes)
        every = list(module.named_buffers())
        named = [(name, x) for name, x in every if (all_buffers or x.is_floating_point()) and x.isfinite().all()]
        counted = {name for name, _ in named}
        self.others = [buffer for name, buffer in every if name not in counted]
        self.buffers = [buffer for _, buffer in named]
        self.variances = [name.endswith("running_var") for name, _ in named]
        self.b = sum(buffer.numel() for buffer in self.buffers)
        self.has_batch_norm = any(isinstance(part, _BatchNorm) for part in module.modules())
        self.has_dropout = any(isinstance(part, _DropoutNd) for part in module.modules())

    def views(self, flat: Tensor) -> list[Tensor]:
        """The parameters as views into the last axis of a (..., d) tensor."""
        parts = flat.split(self.sizes, dim=-1)
        return [part.view(*flat.shape[:-1], *shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def bind(self, params: Tensor, grads: Tensor | None = None) -> None:
        """Make the module's parameters, and their gradients, views into flat vectors (d,)."""
        for (_, parameter), view in zip(self.named, self.views(params), strict=True):
            parameter.data = view
        if grads is not None:
            for (_, parameter), view in zip(self.named, self.views(grads), strict=True):
                parameter.grad = view

    def read_params(self) -> Tensor:
        """A copy of the parameters: (d,)."""
        return torch.cat([parameter.detach().flatten() for _, parameter in self.named])

    def read_buffers(self) -> Tensor:
        """A copy of the buffers: (b,) float32, on the CPU."""
        return torch.cat([torch.empty(0), *[buffer.flatten().float().cpu() for buffer in self.buffers]])

    def write_buffers(self, values: Tensor, others: Sequence[Tensor] = ()) -> None:
        """Set the buffers from a vector (b,); a variance is never set below 0, a counter to the nearest integer.

        others: what to set the buffers to that stay out of the vector.
        """
        for buffer, other in zip(self.others, others, strict=False):
            buffer.copy_(other)
        parts = values.split([buffer.numel() for buffer in self.buffers])
        for buffer, part, variance in zip(self.buffers, parts, self.variances, strict=True):
            part = part.clamp(min=0) if variance else part
            buffer.copy_((part if buffer.is_floating_point() else part.round()).view(buffer.shape))


def stacked(flat: Flat) -> Callable[[Sequence[Tensor], Tensor], Tensor]:
    """The network of k clients at once: parameters with a leading k, inputs (k, batch, *shape) -> (k, batch, classes).

    Any module goes through `vmap`. A chain of linear layers is written out: the same products, a third of the overhead.
    """
    layers = list(flat.module) if isinstance(flat.module, nn.Sequential) else []
    whole = len(flat.named) == len(list(flat.module.parameters()))
    if not (layers and whole and all(map(_is_dense, layers))):
        names = [name for name, _ in flat.named]
        return vmap(lambda tensors, x: functional_call(flat.module, dict(zip(names, tensors, strict=True)), (x,)))

    def forward(tensors: Sequence[Tensor], inputs: Tensor) -> Tensor:
        unused = iter(tensors)
        for layer in layers:
            if isinstance(layer, nn.Linear):
                weight, bias = next(unused), next(unused)
                inputs = torch.baddbmm(bias.unsqueeze(1), inputs, weight.transpose(1, 2))
            else:
                inputs = inputs.relu() if isinstance(layer, nn.ReLU) else inputs.flatten(2)
        return inputs

    return forward


def _is_dense(layer: nn.Module) -> bool:
    """A layer of which `stacked` knows the meaning: exactly these types, not subclasses."""
    if type(layer) is nn.Linear:
        return layer.bias is not None
    return type(layer) is nn.ReLU or (type(layer) is nn.Flatten and (layer.start_dim, layer.end_dim) == (1, -1))


def initial(
    model: Model, shape: tuple[int, ...], num_classes: int, seed: int, all_buffers: bool = False, device: str = "cpu"
) -> Flat:
    """The network before the first round, drawn from `seed` without touching torch's global generator."""
    with drawing(seed):
        module = model.build(shape, num_classes)
    flat = Flat(module.to(device), all_buffers)
    module.eval()
    with torch.no_grad():
        scores = module(torch.zeros(2, *shape, device=device))
    good = isinstance(scores, Tensor) and scores.shape == (2, num_classes)
    got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
    check(good, f"the model {model.name} gives {got} for two images, not (2, {num_classes})")
    return flat


MODELS: Registry[Model] = Registry("model", [Linear, MLP, CNN])


def make(name: str) -> Model:
    """The model with this name: `mlp(hidden=100)`, `mlp(hidden=(200,100))`, `linear`, `cnn`."""
    return MODELS.make(*parse_one(name, "model"))
