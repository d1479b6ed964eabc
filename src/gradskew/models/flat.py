"""A network seen as one flat vector of parameters, for one client and for many at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from ..core.errors import InputError, check, out_of_memory
from ..core.randomness import drawing
from ..core.round import Layer
from .base import Model


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

    @property
    def layers(self) -> dict[str, Layer]:
        """The columns and the shape of each trainable parameter, by name."""
        stops = itertools.accumulate(self.sizes)
        return {
            name: Layer(slice(stop - size, stop), tuple(shape))
            for (name, _), size, stop, shape in zip(self.named, self.sizes, stops, self.shapes, strict=True)
        }

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
    try:
        with drawing(seed):
            module = model.build(shape, num_classes)
        flat = Flat(module.to(device), all_buffers)
        module.eval()
        with torch.no_grad():
            scores = module(torch.zeros(2, *shape, device=device))
    except Exception as error:  # whatever a user's network raises
        if isinstance(error, InputError) or out_of_memory(error):
            raise
        reason = f"{type(error).__name__}: {error}".split("\n")[0]
        raise InputError(f"the model {model.name} fails on images of shape {shape}: {reason}") from error
    good = isinstance(scores, Tensor) and scores.shape == (2, num_classes)
    got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
    check(good, f"the model {model.name} gives {got} for two images, not (2, {num_classes})")
    return flat


@lru_cache(maxsize=64)
def num_parameters(model: Model, shape: tuple[int, ...], num_classes: int) -> int:
    """How many trainable parameters the network has, d; 0 if it cannot be built. Ours take no memory for it."""
    try:
        with drawing(0), torch.device("meta"):
            module = model.build(shape, num_classes)
        return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    except Exception:  # it will be told where the network is needed
        return 0
