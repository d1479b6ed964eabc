"""A network as one flat vector of parameters, for one client or for many at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from ..core.errors import InputError, check, out_of_memory
from ..core.randomness import drawing
from ..core.round import Layer
from .base import Model, materialised

LARGEST_STEP = 2.0**62  # of an integer buffer


class Flat:
    """A module whose d trainable parameters are views into one flat vector (d,), in the module's order.

    Its floating-point buffers (batch norm's statistics) are read and written as a second, small vector (b,) float32.
    Integer and complex buffers, these as two numbers an entry, are part of it only if `all_buffers`; buffers with
    entries that are not finite in float32, which are masks, never. What nothing changes keeps its bits in any type.
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
        check(self.d > 0, "the model has no trainable parameter")
        buffers = dict(module.named_buffers())
        finite = [name for name, buffer in buffers.items() if _numbers(buffer).float().isfinite().all()]
        self.masks = {name: buffer.clone() for name, buffer in buffers.items() if name not in finite}
        self.included = [name for name in finite if all_buffers or buffers[name].is_floating_point()]
        self.others = [  # of which the vector has nothing, or rounded numbers
            name for name in buffers if name not in self.included or _numbers(buffers[name]).dtype != torch.float32
        ]
        self.all_buffers = all_buffers
        self.b = sum(_numbers(buffer).numel() for buffer in self.buffers)
        self.has_batch_norm = any(isinstance(part, _BatchNorm) for part in module.modules())
        self.has_dropout = any(isinstance(part, _DropoutNd) for part in module.modules())

    @property
    def buffers(self) -> list[Tensor]:
        """The buffers that the vector (b,) has; a forward pass may put new tensors in their place."""
        return [self.module.get_buffer(name).detach() for name in self.included]

    @property
    def other_buffers(self) -> list[Tensor]:
        """The buffers that the vector (b,) has not, or only rounded; complex ones as two numbers an entry."""
        return [_real(self.module.get_buffer(name).detach()) for name in self.others]

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
        return [part.view((*flat.shape[:-1], *shape)) for part, shape in zip(parts, self.shapes, strict=True)]

    def bind(self, params: Tensor, grads: Tensor | None = None) -> None:
        """Make the module's parameters, and their gradients if given, views into flat vectors (d,)."""
        for (_, parameter), view in zip(self.trainable, self.views(params), strict=True):
            parameter.data = view
        if grads is not None:
            for (_, parameter), view in zip(self.trainable, self.views(grads), strict=True):
                parameter.grad = view

    @contextmanager
    def bound(self, params: Tensor, grads: Tensor | None = None) -> Iterator[None]:
        """Bind the module to flat vectors (d,), as `bind` does, and afterwards to the parameters that it had."""
        before = [parameter.data for _, parameter in self.trainable]
        self.bind(params, grads)
        try:
            yield
        finally:
            for (_, parameter), data in zip(self.trainable, before, strict=True):
                parameter.data = data
                parameter.grad = None if grads is not None else parameter.grad

    def read_params(self) -> Tensor:
        """Return a copy of the parameters: (d,)."""
        return torch.cat([parameter.detach().flatten() for _, parameter in self.trainable])

    def read_buffers(self) -> Tensor:
        """Return a copy of the buffers: (b,) float32, on the CPU."""
        return torch.cat([torch.empty(0), *[_numbers(buffer).flatten().float().cpu() for buffer in self.buffers]])

    def sent_buffers(self, before: Sequence[Tensor]) -> Tensor:
        """Return what a client sends of its buffers: (b,) float32, on the CPU.

        Their values; with `all_buffers`, where they are part of its row, their changes `before - now`. before: copies
        of `buffers` from before the training. InputError if a mask has changed, which nobody could average.
        """
        for name, then in self.masks.items():
            same = torch.allclose(self.module.get_buffer(name), then, rtol=0, atol=0, equal_nan=True)
            check(
                same, f"the buffer {name} is not finite at first and changes in training: start it with finite numbers"
            )
        if not self.all_buffers:
            return self.read_buffers()
        changes = [_numbers(then) - _numbers(now) for then, now in zip(before, self.buffers, strict=True)]
        return torch.cat([torch.empty(0), *[change.flatten().float().cpu() for change in changes]])

    def write_buffers(self, values: Tensor, others: Sequence[Tensor] = ()) -> None:
        """Set the buffers from a vector (b,), with variances at least 0 and integer buffers rounded.

        An entry that the vector has as it is keeps its bits. others: the values of `other_buffers`.
        """
        for buffer, part, is_variance in self._parts(values):
            part = part.clamp(min=0) if is_variance else part
            now = _numbers(buffer)
            part = part if now.is_floating_point() else part.round()
            _set(buffer, part if now.dtype == torch.float32 else torch.where(part == now.float(), now, part))
        for buffer, other in zip(self.other_buffers, others, strict=False):
            buffer.copy_(other)

    def step_buffers(self, aggregate: Tensor) -> None:
        """Subtract an aggregate of changes (b,), with variances at least 0 and integers rounded, half to even."""
        for buffer, change, is_variance in self._parts(aggregate):
            now = _numbers(buffer)
            if now.is_floating_point():
                after = now - change
                _set(buffer, after.clamp(min=0) if is_variance else after)
            else:
                odd = now % 2
                step = (odd - change.double()).round().clamp(-LARGEST_STEP, LARGEST_STEP)
                _set(buffer, now - odd + step.long())

    def _parts(self, vector: Tensor) -> Iterator[tuple[Tensor, Tensor, bool]]:
        """Yield each buffer, its part of a vector (b,) in the shape of its numbers, and whether it is a variance."""
        parts = vector.split([_numbers(buffer).numel() for buffer in self.buffers])
        for name, buffer, part in zip(self.included, self.buffers, parts, strict=True):
            yield buffer, part.to(buffer.device).view(_numbers(buffer).shape), name.endswith("running_var")


def _numbers(buffer: Tensor) -> Tensor:
    """Return the entries of a buffer as int64, float32 or float64; a complex entry as two."""
    numbers = _real(buffer)
    if not numbers.is_floating_point():
        return numbers.long()
    return numbers if numbers.dtype == torch.float64 else numbers.float()


def _real(buffer: Tensor) -> Tensor:
    """Return a buffer itself; of a complex one, a view of its real and imaginary parts."""
    return torch.view_as_real(buffer) if buffer.is_complex() else buffer


def _set(buffer: Tensor, numbers: Tensor) -> None:
    """Set the entries of a buffer from numbers in the form of `_numbers`."""
    _real(buffer).copy_(numbers)


def initial(
    model: Model,
    shape: tuple[int, ...],
    num_classes: int,
    seed: int,
    all_buffers: bool = False,
    device: str = "cpu",
    *,
    scores: tuple[int, ...] | None = None,
) -> Flat:
    """Build the network of the first round, drawn from `seed`; torch's global generator stays as it is.

    scores: the shape of the scores of an input; None: (num_classes,). InputError if the network cannot be built, or
    does not return such scores for two inputs.
    """
    try:
        with drawing(seed):
            module = materialised(model.build(shape, num_classes), shape)
        flat = Flat(module.to(device), all_buffers)
        module.eval()
        with torch.no_grad():
            given = module(torch.zeros(2, *shape, device=device))
    except Exception as error:  # whatever a user's network raises
        if isinstance(error, InputError) or out_of_memory(error):
            raise
        reason = f"{type(error).__name__}: {error}".split("\n")[0]
        raise InputError(f"the model {model.name} fails on inputs of shape {shape}: {reason}") from error
    check_scores(f"the model {model.name}", given, (2, *(scores or (num_classes,))))
    return flat


def check_scores(name: str, scores: Any, shape: tuple[int, ...]) -> None:
    """Raise InputError unless these are the scores of a batch, of this shape. name: of the model, for the message."""
    numbers = isinstance(scores, Tensor) and scores.is_floating_point()
    if numbers and scores.shape == shape:
        return
    got = tuple(scores.shape) if numbers else getattr(scores, "dtype", f"an object of type {type(scores).__name__}")
    wanted = shape if numbers else f"floating-point scores alone, {shape}"
    raise InputError(f"{name} gives {got} for {shape[0]} inputs, not {wanted}")


def outline(model: Model, shape: tuple[int, ...], num_classes: int) -> nn.Module | None:
    """Build the network, a built-in one without memory for its parameters; None if it cannot be built."""
    try:
        with drawing(0), torch.device("meta"):
            return materialised(model.build(shape, num_classes), shape)
    except Exception:  # `initial` will say why
        return None


@lru_cache(maxsize=64)
def num_parameters(model: Model, shape: tuple[int, ...], num_classes: int) -> int:
    """Return the number d of trainable parameters; 0 if the network cannot be built. Built-in models take no memory."""
    module = outline(model, shape, num_classes)
    parameters = [] if module is None else module.parameters()
    return sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
