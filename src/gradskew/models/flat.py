"""A network as one flat vector of parameters, for one client or for many at once."""

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
    """A module whose d trainable parameters are views into one flat vector (d,), in the module's order.

    Its floating-point buffers (batch norm's statistics) are read and written as a second, small vector (b,). Integer
    buffers are part of it only if `all_buffers`, and buffers with non-finite entries, which are masks, never.
    """

    def __init__(self, module: nn.Module, all_buffers: bool = False):
        self.module = module
        self.trainable = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
        if not self.trainable:
            raise InputError("the model has no trainable parameter")
        wrong = {p.dtype for _, p in self.trainable} - {torch.float32}
        check(not wrong, f"the model's parameters must be float32, not {', '.join(map(str, wrong))}")
        self.shapes = [p.shape for _, p in self.trainable]
        self.sizes = [p.numel() for _, p in self.trainable]
        self.d = sum(self.sizes)
        buffers = dict(module.named_buffers())
        included = {
            name: x for name, x in buffers.items() if (all_buffers or x.is_floating_point()) and x.isfinite().all()
        }
        self.other_buffers = [buffer for name, buffer in buffers.items() if name not in included]
        self.buffers = list(included.values())
        self.is_variance = [name.endswith("running_var") for name in included]
        self.b = sum(buffer.numel() for buffer in self.buffers)
        self.has_batch_norm = any(isinstance(part, _BatchNorm) for part in module.modules())
        self.has_dropout = any(isinstance(part, _DropoutNd) for part in module.modules())

    @property
    def layers(self) -> dict[str, Layer]:
        """The columns and the shape of each trainable parameter, by name."""
        stops = itertools.accumulate(self.sizes)
        return {
            name: Layer(slice(stop - size, stop), tuple(shape))
            for (name, _), size, stop, shape in zip(self.trainable, self.sizes, stops, self.shapes, strict=True)
        }

    def views(self, flat: Tensor) -> list[Tensor]:
        """Return a view of each parameter, (..., *shape), into a tensor (..., d)."""
        parts = flat.split(self.sizes, dim=-1)
        return [part.view(*flat.shape[:-1], *shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def bind(self, params: Tensor, grads: Tensor | None = None) -> None:
        """Make the module's parameters, and their gradients if given, views into flat vectors (d,)."""
        for (_, parameter), view in zip(self.trainable, self.views(params), strict=True):
            parameter.data = view
        if grads is not None:
            for (_, parameter), view in zip(self.trainable, self.views(grads), strict=True):
                parameter.grad = view

    def read_params(self) -> Tensor:
        """Return a copy of the parameters: (d,)."""
        return torch.cat([parameter.detach().flatten() for _, parameter in self.trainable])

    def read_buffers(self) -> Tensor:
        """Return a copy of the buffers: (b,) float32, on the CPU."""
        return torch.cat([torch.empty(0), *[buffer.flatten().float().cpu() for buffer in self.buffers]])

    def write_buffers(self, values: Tensor, others: Sequence[Tensor] = ()) -> None:
        """Set the buffers from a vector (b,), with variances at least 0 and integer buffers rounded.

        others: the values of the buffers that are not part of the vector.
        """
        for buffer, other in zip(self.other_buffers, others, strict=False):
            buffer.copy_(other)
        parts = values.split([buffer.numel() for buffer in self.buffers])
        for buffer, part, is_variance in zip(self.buffers, parts, self.is_variance, strict=True):
            part = part.clamp(min=0) if is_variance else part
            buffer.copy_((part if buffer.is_floating_point() else part.round()).view(buffer.shape))


def stacked(flat: Flat) -> Callable[[Sequence[Tensor], Tensor], Tensor]:
    """Return a function that computes the scores of k clients at once.

    It takes the parameters, each (k, *its shape), and inputs (k, batch, *shape), and returns (k, batch, classes). By
    `torch.func.vmap`; for a chain of linear layers by `baddbmm`: the same products, a third of the overhead.
    """
    layers = list(flat.module) if isinstance(flat.module, nn.Sequential) else []
    all_trainable = len(flat.trainable) == len(list(flat.module.parameters()))
    if not (layers and all_trainable and all(map(_is_dense, layers))):
        names = [name for name, _ in flat.trainable]
        return vmap(lambda tensors, x: functional_call(flat.module, dict(zip(names, tensors, strict=True)), (x,)))

    def forward(tensors: Sequence[Tensor], inputs: Tensor) -> Tensor:
        remaining = iter(tensors)
        for layer in layers:
            if isinstance(layer, nn.Linear):
                weight, bias = next(remaining), next(remaining)
                inputs = torch.baddbmm(bias.unsqueeze(1), inputs, weight.transpose(1, 2))
            else:
                inputs = inputs.relu() if isinstance(layer, nn.ReLU) else inputs.flatten(2)
        return inputs

    return forward


def _is_dense(layer: nn.Module) -> bool:
    """Return whether `stacked` can write out a layer: of exactly these types, not of subclasses."""
    if type(layer) is nn.Linear:
        return layer.bias is not None
    return type(layer) is nn.ReLU or (type(layer) is nn.Flatten and (layer.start_dim, layer.end_dim) == (1, -1))


def initial(
    model: Model, shape: tuple[int, ...], num_classes: int, seed: int, all_buffers: bool = False, device: str = "cpu"
) -> Flat:
    """Build the network of the first round, drawn from `seed`; torch's global generator stays as it is.

    InputError if it cannot be built, or does not return scores (2, num_classes) for two inputs.
    """
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
        raise InputError(f"the model {model.name} fails on inputs of shape {shape}: {reason}") from error
    good = isinstance(scores, Tensor) and scores.shape == (2, num_classes)
    got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
    check(good, f"the model {model.name} gives {got} for two inputs, not (2, {num_classes})")
    return flat


@lru_cache(maxsize=64)
def num_parameters(model: Model, shape: tuple[int, ...], num_classes: int) -> int:
    """Return the number d of trainable parameters; 0 if the network cannot be built. Built-in models take no memory."""
    try:
        with drawing(0), torch.device("meta"):
            module = model.build(shape, num_classes)
        return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    except Exception:  # `initial` will say why
        return 0
