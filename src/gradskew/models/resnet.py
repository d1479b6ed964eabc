"""ResNet-18, the residual network of 18 layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn.functional import relu

from ..core.errors import check_choice, check_number
from .base import Model, image_size, with_channel

Norm = Callable[[int], nn.Module]


@dataclass(frozen=True, kw_only=True)
class ResNet18(Model):
    """ResNet-18, as torchvision's: 11,689,512 parameters for three channels, 1000 classes and width 64.

    norm: `batch` (its statistics are buffers, and clients train one after another), or `group` (Wu and He, 2018), which
    skewed labels do not harm (Hsieh et al., 2020): 32 groups, or fewer so that each has at least two channels. stem:
    `imagenet`, or `cifar` for small images (3 x 3 with stride 1, no max-pooling). width: channels of the first stage;
    each later stage has twice as many as the one before.
    """

    key: ClassVar[str] = "resnet18"
    source: ClassVar[str] = "He et al., 2016"
    kind: ClassVar[str] = "other"
    norm: str = "batch"
    width: int = 64
    stem: str = "imagenet"

    def __post_init__(self) -> None:
        check_choice("norm", self.norm, ("batch", "group"))
        check_choice("stem", self.stem, ("imagenet", "cifar"))
        check_number("width", self.width, at_least=1, whole=True)

    @property
    def batched(self) -> bool:  # type: ignore[override]
        return self.norm == "group"

    def build(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        channels, _, _ = image_size(self.key, shape, least=1)
        norm = nn.BatchNorm2d if self.norm == "batch" else group_norm
        if self.stem == "cifar":
            stem = [_convolution(channels, self.width, 3), norm(self.width), nn.ReLU()]
        else:
            stem = [_convolution(channels, self.width, 7, 2), norm(self.width), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        blocks, inputs = [], self.width
        for stage in range(4):
            outputs = self.width * 2**stage
            blocks += [Block(inputs, outputs, 2 if stage else 1, norm), Block(outputs, outputs, 1, norm)]
            inputs = outputs
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, num_classes)]
        return nn.Sequential(with_channel(shape), *stem, *blocks, *head)


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut: (batch, inputs, H, W) -> (batch, outputs, H / stride, W / stride)."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Norm):
        super().__init__()
        self.conv1, self.norm1 = _convolution(inputs, outputs, 3, stride), norm(outputs)
        self.conv2, self.norm2 = _convolution(outputs, outputs, 3), norm(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs:
            self.shortcut = nn.Sequential(_convolution(inputs, outputs, 1, stride), norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        hidden = relu(self.norm1(self.conv1(x)))
        return relu(self.norm2(self.conv2(hidden)) + self.shortcut(x))


def group_norm(channels: int) -> nn.Module:
    """Return a group norm with 32 groups, or fewer so that each has two channels: the norm of a single number is 0."""
    return nn.GroupNorm(max(1, math.gcd(64, channels) // 2), channels)


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Module:
    """Return a convolution without bias, padded to keep the size, initialised as in He et al. (2015) by fan-out."""
    layer = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer
