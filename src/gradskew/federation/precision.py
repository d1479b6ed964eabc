"""The types of a forward pass in local training, which set those of its backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import group_norm, linear
from torch.overrides import TorchFunctionMode

CONVOLUTIONS = {getattr(torch, f"conv{kind}{d}d") for kind in ("", "_transpose") for d in (1, 2, 3)}


@contextmanager
def precision_of(precision: str, device: str, *, together: bool = False) -> Iterator[None]:
    """Compute in bfloat16 inside the block where torch's autocast does, if asked; inputs and weights stay as they are.

    together: for clients that are trained as one computation.
    """
    if precision != "bf16":
        yield
        return
    with (
        torch.autocast(device, torch.bfloat16, cache_enabled=False),  # a cache would keep old weights
        _InVmap() if together else nullcontext(),
    ):
        yield


class _InVmap(TorchFunctionMode):
    """Cast what autocast misses in `vmap` on a CPU: the arguments of convolutions. Group norm takes one type only."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if function in CONVOLUTIONS or function is linear:
            args, kwargs = _cast(args, kwargs, torch.bfloat16)
        elif function is group_norm:
            args, kwargs = _cast(args, kwargs, args[0].dtype)
        return function(*args, **kwargs)


def _cast(args: Sequence[Any], kwargs: Mapping[str, Any], dtype: torch.dtype) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of a call, with float32 tensors in this type."""

    def cast(value: Any) -> Any:
        return value.to(dtype) if isinstance(value, Tensor) and value.dtype == torch.float32 else value

    return [cast(value) for value in args], {name: cast(value) for name, value in kwargs.items()}
