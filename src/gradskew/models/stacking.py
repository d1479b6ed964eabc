"""The networks of many clients as one computation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from ..core.errors import InputError, check, out_of_memory
from ..core.importing import one_line
from .flat import Flat, check_scores


def stacked(flat: Flat) -> Callable[[Sequence[Tensor], Tensor], Tensor]:
    """Return a function that computes the scores of k clients at once.

    It takes the parameters, each (k, *its shape), and inputs (k, batch, *shape), and returns (k, batch, classes). By
    `torch.func.vmap`; for a chain of linear layers by `baddbmm`: the same products, a third of the overhead.
    """
    layers = list(flat.module) if type(flat.module) is nn.Sequential and not _has_hooks(flat.module) else []
    all_trainable = len(flat.trainable) == len(list(flat.module.parameters()))
    names = [name for name, _ in flat.trainable]
    if not (layers and all_trainable and all(map(_is_dense, layers))):
        return vmap(lambda tensors, x: functional_call(flat.module, dict(zip(names, tensors, strict=True)), (x,)))

    places = {id(parameter): place for place, (_, parameter) in enumerate(flat.trainable)}

    def forward(tensors: Sequence[Tensor], inputs: Tensor) -> Tensor:
        for layer in layers:
            if isinstance(layer, nn.Linear):
                weight, bias = (tensors[places[id(parameter)]] for parameter in (layer.weight, layer.bias))
                inputs = torch.baddbmm(bias.unsqueeze(1), inputs, weight.transpose(1, 2))
            else:
                inputs = inputs.relu() if isinstance(layer, nn.ReLU) else inputs.flatten(2)
        return inputs

    return forward


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


def check_stacks(flat: Flat, name: str, shape: tuple[int, ...], num_classes: int) -> None:
    """Raise InputError unless clients can train as one computation: two clients on two inputs of zeros each do.

    name: of the model, for the message.
    """
    alone = flat.has_batch_norm or flat.has_dropout
    check(not alone, f"the model {name} has batch norm or dropout: use engine = loop")
    params = flat.read_params()
    inputs = params.new_zeros(2, 2, *shape)
    tensors = [view.detach().requires_grad_() for view in flat.views(params.repeat(2, 1))]
    buffers = {key: buffer.clone() for key, buffer in flat.module.named_buffers()}
    flat.module.train()
    try:
        scores = stacked(flat)(tensors, inputs)
        check_scores(f"the model {name}", scores, (2, 2, num_classes))
        torch.autograd.grad(scores.sum(), tensors, allow_unused=True)
        for key, buffer in flat.module.named_buffers():
            same = torch.allclose(buffer, buffers[key], rtol=0, atol=0, equal_nan=True)
            check(same, f"it changes its buffer {key}, which each client must have for itself")
    except Exception as error:  # of `vmap`, or of a user's network in it
        if out_of_memory(error):
            raise
        reason = error if isinstance(error, InputError) else one_line(error)
        raise InputError(f"the model {name} cannot train its clients together: use engine = loop ({reason})") from error
