"""The networks of the paper: sizes by hand, shapes, and what each refuses."""

import re

import pytest
import torch
from torch import Tensor, nn

from gradskew import models
from gradskew.core.errors import InputError
from gradskew.models import AlexNet, Model, ResNet18, initial
from gradskew.models.resnet import group_norm

FEMNIST = (16 * 25 + 16) + (32 * 16 * 25 + 32) + (32 * 7 * 7 * 512 + 512) + (512 * 62 + 62)
STAGE_64 = 4 * (64 * 64 * 9 + 2 * 64)
STAGES = STAGE_64 + sum(
    (c // 2 * c * 9 + 2 * c) + (c // 2 * c + 2 * c) + 3 * (c * c * 9 + 2 * c)  # a projection of 1 x 1 beside the first
    for c in (128, 256, 512)
)
ALEXNET = [(3 * 64 * 121, 64), (64 * 192 * 25, 192), (192 * 384 * 9, 384), (384 * 256 * 9, 256), (256 * 256 * 9, 256)]


def alexnet(head: int) -> int:
    return sum(weights + biases for weights, biases in ALEXNET) + head


@pytest.mark.parametrize(
    ("name", "shape", "classes", "d"),
    [
        ("cnn(stride=2)", (3, 32, 32), 10, 16 * 3 * 9 + 16 + 32 * 16 * 9 + 32 + 10 * 32 * 4 * 4 + 10),
        ("cnn(width=2,stride=3)", (3, 11, 10), 4, 2 * 3 * 9 + 2 + 4 * 2 * 9 + 4 + 4 * 4 * 1 * 1 + 4),
        ("femnist_cnn", (28, 28), 62, FEMNIST),
        ("femnist_cnn", (1, 28, 28), 62, FEMNIST),
        ("femnist_cnn", (3, 9, 6), 2, 3 * 16 * 25 + 16 + 32 * 16 * 25 + 32 + 32 * 2 * 1 * 512 + 512 + 512 * 2 + 2),
        ("alexnet", (3, 32, 32), 10, alexnet(256 * 10 + 10)),
        ("alexnet", (3, 64, 32), 12, alexnet(256 * 2 * 12 + 12)),
        ("alexnet", (3, 224, 224), 12, alexnet(256 * 7 * 7 * 12 + 12)),
        ("alexnet(width=1)", (29, 29), 2, 121 + 1 + 75 + 3 + 162 + 6 + 216 + 4 + 144 + 4 + 8 + 2),
        ("resnet18", (3, 64, 64), 1000, (3 * 64 * 49 + 128) + STAGES + (512 * 1000 + 1000)),
        ("resnet18(norm=group)", (28, 28), 10, (64 * 49 + 128) + STAGES + (512 * 10 + 10)),
        ("resnet18(stem=cifar)", (3, 32, 32), 12, (3 * 64 * 9 + 128) + STAGES + (512 * 12 + 12)),
    ],
)
def test_sizes_by_hand(name: str, shape: tuple[int, ...], classes: int, d: int) -> None:
    assert initial(models.make(name), shape, classes, 0).d == d


def test_the_sizes_in_the_literature() -> None:
    assert alexnet(2570) == 2_472_266
    assert (3 * 64 * 49 + 128) + STAGES + 513_000 == 11_689_512
    assert FEMNIST == 848_382


@pytest.mark.parametrize("shape", [(28, 28), (3, 32, 32), (1, 64, 64), (3, 224, 224)], ids=str)
@pytest.mark.parametrize("name", ["femnist_cnn", "resnet18(width=2)", "resnet18(width=4,norm=group,stem=cifar)"])
def test_one_score_per_class_and_image(name: str, shape: tuple[int, ...]) -> None:
    scores_tell(name, shape)


@pytest.mark.parametrize("shape", [(29, 31), (3, 32, 32), (1, 64, 64), (3, 224, 224)], ids=str)
def test_one_score_per_class_and_image_of_alexnet(shape: tuple[int, ...]) -> None:
    scores_tell("alexnet(width=8)", shape)


def scores_tell(name: str, shape: tuple[int, ...]) -> None:
    """Each image has a score for each class, and not the same."""
    flat = initial(models.make(name), shape, 7, 0)
    scores = flat.module(torch.randn(3, *shape, generator=torch.Generator().manual_seed(0)))
    assert scores.shape == (3, 7)
    assert scores.std(0).min() > 0


def feature_sizes(model: Model, shape: tuple[int, ...], kind: type[nn.Module]) -> list[int]:
    """The height of what each layer of a kind gives."""
    heights: list[int] = []
    net = initial(model, shape, 10, 0).module
    for layer in net.modules():
        if isinstance(layer, kind):
            layer.register_forward_hook(lambda layer, _, output: heights.append(output.shape[-1]))
    net(torch.zeros(2, *shape))
    return heights


def test_strides_by_hand() -> None:
    assert feature_sizes(AlexNet(width=1), (3, 32, 32), nn.Conv2d) == [8, 4, 2, 2, 2]
    stages = [56] * 4 + [28] * 5 + [14] * 5 + [7] * 5
    assert feature_sizes(ResNet18(width=1), (3, 224, 224), nn.Conv2d) == [112, *stages]
    stages = [32] * 5 + [16] * 5 + [8] * 5 + [4] * 5
    assert feature_sizes(ResNet18(width=1, stem="cifar"), (32, 32), nn.Conv2d) == stages


def plain_block(x: Tensor, weights: dict[str, Tensor], name: str, stride: int) -> Tensor:
    """A block of the residual network with batch statistics, as the paper draws it."""
    conv, batch_norm = nn.functional.conv2d, nn.functional.batch_norm

    def norm(y: Tensor, key: str) -> Tensor:
        return batch_norm(y, None, None, weights[f"{name}.{key}.weight"], weights[f"{name}.{key}.bias"], training=True)

    y = norm(conv(x, weights[f"{name}.conv1.weight"], stride=stride, padding=1), "norm1").relu()
    y = norm(conv(y, weights[f"{name}.conv2.weight"], padding=1), "norm2")
    if f"{name}.shortcut.0.weight" in weights:
        x = norm(conv(x, weights[f"{name}.shortcut.0.weight"], stride=stride), "shortcut.1")
    return (x + y).relu()


def test_the_residual_network_as_the_paper_draws_it() -> None:
    net = initial(ResNet18(width=3), (3, 40, 40), 5, 0).module.train()
    weights, images = (
        dict(net.named_parameters()),
        torch.randn(4, 3, 40, 40, generator=torch.Generator().manual_seed(0)),
    )
    conv, batch_norm = nn.functional.conv2d, nn.functional.batch_norm
    x = conv(images, weights["1.weight"], stride=2, padding=3)
    x = batch_norm(x, None, None, weights["2.weight"], weights["2.bias"], training=True).relu()
    x = nn.functional.max_pool2d(x, 3, stride=2, padding=1)
    for block in range(8):
        x = plain_block(x, weights, str(5 + block), 2 if block in (2, 4, 6) else 1)
    wanted = x.mean((2, 3)) @ weights["15.weight"].T + weights["15.bias"]
    assert torch.allclose(net(images), wanted, atol=1e-5)


def test_the_residual_network_is_drawn_as_he_et_al() -> None:
    net = initial(ResNet18(), (3, 32, 32), 10, 0).module
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            wanted = (2 / (layer.out_channels * layer.kernel_size[0] ** 2)) ** 0.5
            assert layer.bias is None
            assert layer.weight.std().item() == pytest.approx(wanted, rel=0.03)
        if isinstance(layer, nn.BatchNorm2d):
            assert (layer.weight == 1).all()
            assert (layer.bias == 0).all()


def test_which_norm() -> None:
    batch, group = (initial(ResNet18(norm=norm, width=8), (3, 32, 32), 10, 0) for norm in ("batch", "group"))
    assert (batch.has_batch_norm, batch.b) == (True, 2 * (5 * 8 + 5 * 16 + 5 * 32 + 5 * 64))
    assert (group.has_batch_norm, group.b) == (False, 0)
    assert torch.equal(batch.read_params(), group.read_params())
    assert (ResNet18().batched, ResNet18(norm="group").batched) == (False, True)


def test_groups_by_hand() -> None:
    groups = {channels: group_norm(channels).num_groups for channels in (1, 2, 3, 8, 48, 64, 96, 512)}
    assert groups == {1: 1, 2: 1, 3: 1, 8: 4, 48: 8, 64: 32, 96: 16, 512: 32}


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("alexnet", (28, 28), "the model alexnet needs images of 29 x 29 pixels or more, not 28 x 28"),
        ("alexnet", (3, 32, 20), "not 32 x 20"),
        ("femnist_cnn", (3, 9, 3), "the model femnist_cnn needs images of 4 x 4 pixels or more, not 9 x 3"),
        ("cnn", (3, 3), "the model cnn needs images of 4 x 4"),
        ("cnn(stride=2)", (6, 7), "the model cnn needs images of 7 x 7"),
        ("cnn(stride=0)", (8, 8), "stride must be at least 1"),
        ("resnet18", (64,), r"the model resnet18 needs images, not inputs of shape (64,)"),
    ],
)
def test_images_that_do_not_fit(name: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        initial(models.make(name), shape, 10, 0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("alexnet(width=0)", "alexnet: width must be at least 1"),
        ("resnet18(width=1.5)", "resnet18: width must be a whole number"),
        ("resnet18(norm=layer)", "resnet18: norm must be one of batch, group, not 'layer'"),
        ("resnet18(stem=small)", "resnet18: stem must be one of imagenet, cifar, not 'small'"),
        ("femnist_cnn(width=2)", "unknown option of femnist_cnn 'width'; known: none"),
        ("alexnett", "unknown model 'alexnett'; did you mean 'alexnet'"),
    ],
)
def test_wrong_options(name: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        models.make(name)


def test_a_hyphen_counts_as_an_underscore() -> None:
    assert models.make("femnist-cnn") == models.make("femnist_cnn")


@pytest.mark.parametrize("shape", [(12, 12), (1, 12, 12), (3, 12, 12)], ids=str)
@pytest.mark.parametrize("name", ["cnn", "femnist_cnn"])
def test_channels_lie_last_in_memory(name: str, shape: tuple[int, ...]) -> None:
    """Torch pools such images several times as fast on a CPU."""
    net = initial(models.make(name), shape, 3, 0).module
    pooled = [layer for layer in net if isinstance(layer, nn.MaxPool2d)]
    channels: list[int] = []
    for layer in pooled:
        layer.register_forward_hook(lambda layer, given, output: channels.append(given[0].stride(1)))
    net(torch.zeros(2, *shape))
    assert channels == [1, 1]
