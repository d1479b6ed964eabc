"""The networks of many clients as one computation, forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias, TypeGuard

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from ..core.errors import InputError, check, out_of_memory
from ..core.importing import one_line
from .base import Model
from .flat import Flat, check_scores, outline

Backward: TypeAlias = Callable[[Tensor, Tensor], None]
Forward: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Backward]]

IN_PLACE = 1 << 12  # entries of a weight from which on its gradient is written straight into the rows


def stacked(flat: Flat) -> Forward:
    """Return a function that computes the scores of k clients at once.

    It takes the parameters (k, d) and inputs (k, batch, *shape), and returns the scores (k, batch, classes), in the
    type that the context computes in, and a function for the backward pass. That takes the slopes, the gradients of
    each client's loss with respect to its scores (k, batch, classes), and writes those with respect to its parameters
    to a float32 matrix (k, d). By `torch.func.vmap` and autograd; a chain of linear layers is written out.
    """
    module = flat.module
    return _chain(flat, list(module)) if is_chain(module) else _mapped(flat)


def is_chain(module: nn.Module) -> TypeGuard[nn.Sequential]:
    """Return whether `stacked` writes a network out, so that autograd needs no gradients of its own."""
    layers = list(module) if type(module) is nn.Sequential and not _has_hooks(module) else []
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    trained = [parameter.requires_grad for parameter in module.parameters()]
    own = 2 * len(linear) == len(trained) and all(trained)  # none is shared, or frozen
    return bool(linear) and own and all(map(_is_dense, layers))


@lru_cache(maxsize=64)
def trains_as_chain(model: Model, shape: tuple[int, ...], num_classes: int) -> bool:
    """Return whether a model is written out: see `is_chain`."""
    module = outline(model, shape, num_classes)
    return module is not None and is_chain(module)


def _mapped(flat: Flat) -> Forward:
    """Return `stacked` for any network."""
    places = {id(parameter): place for place, (_, parameter) in enumerate(flat.trainable)}
    names = {  # one of each layer, also of one that is used twice: `functional_call` would not restore it
        name: places[id(parameter)]
        for prefix, part in flat.module.named_modules()
        for name, parameter in part.named_parameters(prefix, recurse=False, remove_duplicate=False)
        if id(parameter) in places
    }

    def alone(tensors: list[Tensor], x: Tensor) -> Tensor:
        own = {name: tensors[place] for name, place in names.items()}
        scores: Tensor = functional_call(flat.module, own, (x,), tie_weights=False)
        return scores

    def forward(params: Tensor, inputs: Tensor) -> tuple[Tensor, Backward]:
        tensors = [view.detach().requires_grad_() for view in flat.views(params)]
        scores = vmap(alone)(tensors, inputs)

        def backward(slopes: Tensor, grads: Tensor) -> None:
            slopes = slopes.to(scores.dtype)
            found = torch.autograd.grad(scores, tensors, slopes, allow_unused=True, materialize_grads=True)
            for view, gradient in zip(flat.views(grads), found, strict=True):
                view.copy_(gradient)

        return scores, backward

    return forward


def _chain(flat: Flat, layers: list[nn.Module]) -> Forward:
    """Return `stacked` for layers that `_is_dense` allows, with a weight and a bias each of its own."""
    first = next(place for place, layer in enumerate(layers) if isinstance(layer, nn.Linear))

    @torch.no_grad()
    def forward(params: Tensor, inputs: Tensor) -> tuple[Tensor, Backward]:
        parameters = iter(flat.views(params))
        weights: list[Tensor] = []
        x, given = inputs, []  # what each layer gets
        for layer in layers:
            given.append(x)
            if isinstance(layer, nn.Linear):
                weights.append(next(parameters))
                x = torch.baddbmm(next(parameters).unsqueeze(1), x, weights[-1].transpose(1, 2))
            else:
                x = x.relu() if isinstance(layer, nn.ReLU) else x.flatten(2)

        @torch.no_grad()
        def backward(slopes: Tensor, grads: Tensor) -> None:
            slopes, views = slopes.to(x.dtype), flat.views(grads)
            for place in reversed(range(first, len(layers))):
                layer, before = layers[place], given[place]
                if isinstance(layer, nn.Linear):
                    bias, into, weight = views.pop(), views.pop(), weights.pop()
                    torch.sum(slopes, 1, out=bias)
                    _product(slopes.transpose(1, 2), before.to(slopes.dtype), into)
                    slopes = torch.bmm(slopes, weight.to(slopes.dtype)) if place > first else slopes
                elif isinstance(layer, nn.ReLU):
                    slopes = torch.ops.aten.threshold_backward(slopes, before, 0)

        return x, backward

    return forward


def _product(a: Tensor, b: Tensor, into: Tensor) -> None:
    """Write the products of k pairs of matrices to a view of a wider matrix; small ones are faster with a copy."""
    if into[0].numel() >= IN_PLACE and into.dtype == a.dtype:
        torch.bmm(a, b, out=into)
    else:
        into.copy_(torch.bmm(a, b))


def _is_dense(layer: nn.Module) -> bool:
    """Return whether `stacked` can write out a layer: of exactly these types, not of subclasses, without hooks."""
    if _has_hooks(layer):
        return False
    if type(layer) is nn.Linear:
        return list(layer._parameters) == ["weight", "bias"] and layer.bias is not None
    return type(layer) is nn.ReLU or (type(layer) is nn.Flatten and (layer.start_dim, layer.end_dim) == (1, -1))


def _has_hooks(layer: nn.Module) -> bool:
    """Return whether something runs beside a layer's own forward, such as weight norm."""
    return any(
        getattr(layer, name)
        for name in ("_forward_pre_hooks", "_forward_hooks", "_backward_hooks", "_backward_pre_hooks")
    )


def check_stacks(flat: Flat, name: str, shape: tuple[int, ...], scores_shape: tuple[int, ...]) -> None:
    """Raise InputError unless clients can train as one computation: two clients on two inputs of zeros each do.

    name: of the model, for the message. shape, scores_shape: of an input, and of its scores.
    """
    alone = flat.has_batch_norm or flat.has_dropout
    check(not alone, f"the model {name} has batch norm or dropout: use engine = loop")
    params = flat.read_params().repeat(2, 1)
    inputs = params.new_zeros(2, 2, *shape)
    buffers = {key: buffer.clone() for key, buffer in flat.module.named_buffers()}
    flat.module.train()
    try:
        scores, backward = stacked(flat)(params, inputs)
        check_scores(f"the model {name}", scores, (2, 2, *scores_shape))
        backward(torch.ones_like(scores), torch.empty_like(params))
        for key, buffer in flat.module.named_buffers():
            same = torch.allclose(buffer, buffers[key], rtol=0, atol=0, equal_nan=True)
            check(same, f"it changes its buffer {key}, which each client must have for itself")
    except Exception as error:  # of `vmap`, or of a user's network in it
        if out_of_memory(error):
            raise
        reason = error if isinstance(error, InputError) else one_line(error)
        raise InputError(f"the model {name} cannot train its clients together: use engine = loop ({reason})") from error
