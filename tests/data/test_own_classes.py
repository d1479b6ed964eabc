"""Data sets and partitions of a user's own: what they must keep to, and the line for those that do not."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

from gradskew import aggregators, data
from gradskew.aggregators import Aggregator
from gradskew.core.errors import InputError
from gradskew.data import Digits, Source, partition
from gradskew.data.partition import Partition


@dataclass(frozen=True, kw_only=True)
class Dealt(Partition):
    """A partition of four clients with a fault, or without one."""

    key: ClassVar[str] = "dealt"
    how: str = "well"

    def deal(self, split, num_classes, clients, generator):
        if self.how == "unseeded":
            generator = np.random.default_rng()
        order = generator.permutation(len(split))
        if self.how == "beyond":
            order[0] = len(split)
        if self.how == "negative":
            order[0] = -1
        if self.how == "floats":
            order = order / 1.0
        if self.how == "nothing":
            return None
        parts = np.array_split(order, clients)
        if self.how == "unsigned":
            return [part.astype(np.uint64) for part in parts]
        if self.how == "masks":
            return [np.isin(np.arange(len(split)), part) for part in parts]
        if self.how == "tables":
            return [part[:, None] for part in parts]
        if self.how == "shared":
            parts[0] = np.append(parts[0], parts[1][:1])
        return parts


def test_a_partition_of_ones_own_deals_each_input_once_and_the_same_way_again():
    for how in ("well", "unsigned"):
        parts = Dealt(how=how)(Digits().load(), 4, 0)
        assert torch.cat(list(parts)).sort().values.tolist() == list(range(1437))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("unseeded", "deals otherwise in a second call: draw from its generator"),
        ("shared", "deals an input to several clients, or twice to one"),
        ("beyond", "must deal indices from 0 to 1436"),
        ("negative", "must deal indices from 0 to 1436"),
        ("floats", "must deal one array of indices, whole numbers, per client"),
        ("masks", "must deal one array of indices, whole numbers, per client"),
        ("tables", "must deal one array of indices, whole numbers, per client"),
        ("nothing", "must deal one array of indices, whole numbers, per client"),
    ],
)
def test_a_partition_that_does_not_is_one_line(how, message):
    with pytest.raises(InputError, match=rf"^the partition dealt\(how={how}\) {message}"):
        Dealt(how=how)(Digits().load(), 4, 0)


class Nameless(Partition):
    def deal(self, split, num_classes, clients, generator):
        return np.array_split(generator.permutation(len(split)), clients)


class NamelessRule(Aggregator):
    def outcome(self, rows, f, generator):
        raise NotImplementedError


class NamelessData(Source):
    def read(self):
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Tensors(Source):
    key: ClassVar[str] = "tensors"

    def read(self):
        return torch.zeros(3)


@dataclass(frozen=True, kw_only=True)
class Raises(Source):
    key: ClassVar[str] = "raises"

    def read(self):
        return self.rows


@pytest.mark.parametrize(
    ("make", "name"),
    [(partition.make, "Nameless"), (aggregators.make, "NamelessRule"), (data.make, "NamelessData")],
)
def test_a_class_without_a_key_is_one_line(make, name):
    with pytest.raises(InputError, match=rf"{name} has no name: write key: ClassVar\[str\] = \"...\" into its class"):
        make(f"{__name__}:{name}")


def test_a_data_set_that_reads_something_else_is_one_line():
    with pytest.raises(InputError, match=r"^read of tensors must return a gradskew\.data\.Dataset, not a Tensor$"):
        Tensors().load()


def test_a_data_set_that_fails_to_be_read_is_one_line_with_its_place():
    line = r"^read of raises raised AttributeError: .*'rows' \(test_own_classes\.py, line \d+\)$"
    with pytest.raises(InputError, match=line):
        Raises().load()
