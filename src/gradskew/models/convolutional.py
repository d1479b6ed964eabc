"""Plain convolutional networks: convolutions with ReLU, 2 x 2 max-pooling, linear layers at the end.

ReLU comes after the pooling: the same scores and gradients, bit for bit, from a quarter of the entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from ..core.errors import check_number
from .base import ChannelsLast, Model, image_size, with_channel


@dataclass(frozen=True, kw_only=True)
class CNN(Model):
    """A small convolutional network: two 3 x 3 convolutions with ReLU and 2 x 2 max-pooling, then a linear layer.

    width: channels of the first convolution; the second has twice as many. stride: of the first convolution; 2 takes a
    quarter of the time.
    """

    key: ClassVar[str] = "cnn"
    kind: ClassVar[str] = "convolutional"
    width: int = 16
    stride: int = 1

    def __post_init__(self) -> None:
        check_number("width", self.width, at_least=1, whole=True)
        check_number("stride", self.stride, at_least=1, whole=True)

    def build(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        channels, *sides = image_size(self.key, shape, least=3 * self.stride + 1)
        height, width = (-(-side // self.stride) // 4 for side in sides)
        return nn.Sequential(
            with_channel(shape),
            ChannelsLast(),
            nn.Conv2d(channels, self.width, 3, stride=self.stride, padding=1),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(self.width, 2 * self.width, 3, padding=1),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2 * self.width * height * width, num_classes),
        )


@dataclass(frozen=True, kw_only=True)
class FemnistCNN(Model):
    """LEAF's network for handwriting, smaller: two 5 x 5 convolutions with ReLU and 2 x 2 pooling, two linear layers.

    It has 16 and 32 channels and 512 hidden units, as in the STRIKE authors' code, where LEAF has 32, 64 and 2,048:
    848,382 parameters for (28, 28) and 62 classes.
    """

    key: ClassVar[str] = "femnist_cnn"
    source: ClassVar[str] = "Caldas et al., 2018"
    kind: ClassVar[str] = "convolutional"

    def build(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        channels, height, width = image_size(self.key, shape, least=4)
        return nn.Sequential(
            with_channel(shape),
            ChannelsLast(),
            nn.Conv2d(channels, 16, 5, padding=2),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(16, 32, 5, padding=2),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * (height // 4) * (width // 4), 512),
            nn.ReLU(),
            nn.Linear(512, num_classes),
        )


@dataclass(frozen=True, kw_only=True)
class AlexNet(Model):
    """The small AlexNet for 32 x 32 images: five convolutions with ReLU, three max-poolings, one linear layer.

    width: channels of the first convolution; the others have 3, 6, 4 and 4 times as many. 2,472,266 parameters for
    (3, 32, 32), 10 classes and width 64.
    """

    key: ClassVar[str] = "alexnet"
    source: ClassVar[str] = "Krizhevsky et al., 2012"
    kind: ClassVar[str] = "convolutional"
    width: int = 64

    def __post_init__(self) -> None:
        check_number("width", self.width, at_least=1, whole=True)

    def build(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        channels, *sides = image_size(self.key, shape, least=29)  # 29 pixels are reduced to one
        high, wide = (((side - 1) // 4 + 1) // 8 for side in sides)
        one, three, six, four = (factor * self.width for factor in (1, 3, 6, 4))
        return nn.Sequential(
            with_channel(shape),
            nn.Conv2d(channels, one, 11, stride=4, padding=5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(one, three, 5, padding=2),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(three, six, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(six, four, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(four, four, 3, padding=1),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(four * high * wide, num_classes),
        )
