"""The losses of local training, for one client and for many at once, and what a test says under each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..core.errors import check
from ..data import Dataset, Split


class Loss(ABC):
    """A loss: the mean over the inputs of a batch of a number for each input.

    by_class: whether the targets are the labels, so that attacks may change them and a test says something of a class.
    """

    by_class: ClassVar[bool] = False

    def check_data(self, dataset: Dataset) -> None:  # noqa: B027
        """Raise InputError unless the loss is defined for these data."""

    @abstractmethod
    def outputs(self, dataset: Dataset) -> int:
        """Return the number of scores that a network is asked for, `num_classes` of `Model.build`."""

    def shape(self, dataset: Dataset) -> tuple[int, ...]:
        """Return the shape of the scores of one input."""
        return (self.outputs(dataset),)

    @abstractmethod
    def targets(self, split: Split, index: Tensor, labels: Tensor) -> Tensor:
        """Return what the scores of the inputs with these indices (m,) are compared with: (m, ...).

        labels: of the inputs (m,), maybe changed by an attack.
        """

    @abstractmethod
    def each(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each input (m,)."""

    def mean(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of one client's batch."""
        return self.each(scores.float(), targets).mean()

    def gradient(self, scores: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the gradient of each client's weighted loss with respect to its scores (k, batch, ...).

        targets: (k, batch, ...). weights (k, batch): 1 / (batch size), 0 at padding.
        """
        with torch.enable_grad():
            leaf = scores.detach().float().requires_grad_()
            losses = self.each(leaf.flatten(0, 1), targets.flatten(0, 1))
            (gradient,) = torch.autograd.grad(losses, leaf, weights.flatten())
        return gradient

    @abstractmethod
    def right(self, scores: Tensor, targets: Tensor, test: Split) -> Tensor:
        """Return how much of each test input is right: (m,) float64, at most 1. Their mean, in %, is the accuracy."""


class CrossEntropy(Loss):
    """Classification: minus the log of the softmax of the scores (m, classes) at the label."""

    by_class = True

    def check_data(self, dataset: Dataset) -> None:
        classes = "loss = cross_entropy needs classes, and these data have numbers to predict (regression=True)"
        check(dataset.test.targets is None, classes)

    def outputs(self, dataset: Dataset) -> int:
        return dataset.num_classes

    def targets(self, split: Split, index: Tensor, labels: Tensor) -> Tensor:
        return labels

    def each(self, scores: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(scores, targets, reduction="none")

    def mean(self, scores: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(scores.float(), targets)

    def gradient(self, scores: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return (softmax(scores) - one_hot(labels)) weights."""
        by_class = scores.detach().float().transpose(1, 2).contiguous()  # a softmax over short rows is slow
        gradient = by_class.softmax(1).transpose(1, 2)
        minus_one = gradient.new_tensor(-1.0).expand_as(gradient)
        gradient.scatter_add_(2, targets[:, :, None], minus_one)
        gradient *= weights[:, :, None]
        return gradient

    def right(self, scores: Tensor, targets: Tensor, test: Split) -> Tensor:
        return (scores.argmax(1) == targets).double()


class NextToken(Loss):
    """Language modelling: the cross entropy of each next token of a text, averaged over the tokens of the text.

    The scores (m, length, vocabulary) at a place are of the token behind it, so that those at the last place do not
    count. Nor do the places behind the end of a text, where tokens are 0. Labels only say who holds which texts.
    """

    def check_data(self, dataset: Dataset) -> None:
        tokens = dataset.tokens and len(dataset.shape) == 1 and dataset.shape[0] > 1
        check(tokens, "loss = next_token needs texts of two tokens or more, such as those of text:FILE")
        for name, split in (("training", dataset.train), ("test", dataset.test)):
            short = int((split.inputs[:, 1] == 0).sum())
            few = f"{short:,} {name} texts have fewer than two tokens: there is no next one to predict"
            check(short == 0, few)

    def outputs(self, dataset: Dataset) -> int:
        return dataset.vocabulary

    def shape(self, dataset: Dataset) -> tuple[int, ...]:
        return (*dataset.shape, dataset.vocabulary)

    def targets(self, split: Split, index: Tensor, labels: Tensor) -> Tensor:
        return split.inputs.index_select(0, index).to(torch.int64)[:, 1:]

    def each(self, scores: Tensor, targets: Tensor) -> Tensor:
        losses = cross_entropy(scores[:, :-1].transpose(1, 2), targets, reduction="none", ignore_index=0)
        return losses.sum(1) / _lengths(targets)

    def right(self, scores: Tensor, targets: Tensor, test: Split) -> Tensor:
        hits = (scores[:, :-1].argmax(2) == targets) & (targets != 0)
        return hits.double().sum(1) / _lengths(targets)


class Squared(Loss):
    """Regression: half of the squared difference between the score (m, 1) and the number to predict.

    A test gives R^2 = 1 - sum (y - score)^2 / sum (y - mean)^2 over the test inputs; below 0, worse than their mean,
    it counts as 0.
    """

    def check_data(self, dataset: Dataset) -> None:
        wanted = "loss = squared needs numbers to predict, such as those of csv:FILE(label=COLUMN,regression=True)"
        check(dataset.test.targets is not None, wanted)
        check(bool(_variance(dataset.test) > 0), "the numbers to predict are all the same in the test part")

    def outputs(self, dataset: Dataset) -> int:
        return 1

    def targets(self, split: Split, index: Tensor, labels: Tensor) -> Tensor:
        assert split.targets is not None
        return split.targets.index_select(0, index)

    def each(self, scores: Tensor, targets: Tensor) -> Tensor:
        return (scores[:, 0] - targets).square() / 2

    def right(self, scores: Tensor, targets: Tensor, test: Split) -> Tensor:
        errors = (scores[:, 0].double() - targets.double()).square()
        return 1 - errors / _variance(test)


def _lengths(targets: Tensor) -> Tensor:
    """Return the number of tokens of each text (m,) to divide by, 1 for a text of one token."""
    return (targets != 0).sum(1).clamp(min=1)


def _variance(split: Split) -> Tensor:
    assert split.targets is not None
    return split.targets.double().var(correction=0)


LOSSES = {"cross_entropy": CrossEntropy(), "next_token": NextToken(), "squared": Squared()}
