"""The base class of networks, and what image networks have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ..core.errors import check
from ..core.names import Named
from ..data import Dataset


@dataclass(frozen=True, kw_only=True)
class Model(Named, ABC):
    """A network architecture. batched: whether clients may train as one computation (no batch norm, no dropout)."""

    batched: ClassVar[bool] = True
    kind: ClassVar[str] = "dense"  # dense, convolutional or other: `engine="auto"` depends on it

    @property
    def origin(self) -> Mapping[str, str]:
        """What a spec says of a user's network beside its options."""
        return {}

    @abstractmethod
    def build(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        """Build a network from inputs (batch, *shape) to scores (batch, num_classes), drawn from torch's generator."""

    def check_data(self, dataset: Dataset) -> None:
        """Raise InputError unless the inputs are such that the network can take them."""

    def check_network(self, module: nn.Module, dataset: Dataset) -> None:
        """Raise InputError unless the network that was built, in the mode of a test, takes these inputs."""


def image_size(key: str, shape: tuple[int, ...], *, least: int) -> tuple[int, int, int]:
    """Return channels, height and width of images (C, H, W), or (H, W) if grey; InputError below `least` a side."""
    check(len(shape) in (2, 3), f"the model {key} needs images, not inputs of shape {shape}")
    height, width = shape[-2:]
    large = min(height, width) >= least
    check(large, f"the model {key} needs images of {least} x {least} pixels or more, not {height} x {width}")
    return (shape[0] if len(shape) == 3 else 1), height, width


def with_channel(shape: tuple[int, ...]) -> nn.Module:
    """Return the first layer of a convolutional network, which gives grey images (H, W) a channel."""
    return nn.Identity() if len(shape) == 3 else nn.Unflatten(1, (1, shape[0]))


def materialised(module: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """Return a network whose lazy modules have their parameters, by a pass over two inputs of zeros if it has any."""
    if any(map(is_lazy, [*module.parameters(), *module.buffers()])):
        module.eval()
        with torch.no_grad():
            module(torch.zeros(2, *shape))
    return module


class ChannelsLast(nn.Module):
    """Store images (batch, C, H, W) channels last on a CPU, where torch then pools them six times as fast."""

    def forward(self, images: Tensor) -> Tensor:
        if images.device.type != "cpu":
            return images
        return images.movedim(1, -1).clone(memory_format=torch.contiguous_format).movedim(-1, 1)
