"""A data set as plain arrays, to be kept in files or in memory that processes share, and back."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch

from .base import Array, Dataset, Split

PARTS = ("train", "test")


def take_apart(dataset: Dataset) -> tuple[dict[str, Array], dict[str, Any]]:
    """Its arrays by name, and the rest as JSON has it: the digest too, which takes a while to compute."""
    arrays = {"scale": dataset.scale.numpy(), "shift": dataset.shift.numpy()}
    for part in PARTS:
        for kind in ("images", "labels", "writers"):
            values = getattr(getattr(dataset, part), kind)
            if values is not None:
                arrays[f"{part}_{kind}"] = values.numpy()
    return arrays, {"digest": dataset.digest, "num_classes": dataset.num_classes}


def put_together(arrays: Mapping[str, Array], about: Mapping[str, Any]) -> Dataset:
    """The data set again, in the memory of the arrays; they may be read-only, as nothing writes to a data set."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    train, test = (
        Split(tensors[f"{part}_images"], tensors[f"{part}_labels"], tensors.get(f"{part}_writers")) for part in PARTS
    )
    dataset = Dataset(train, test, about["num_classes"], scale=tensors["scale"], shift=tensors["shift"])
    vars(dataset)["digest"] = about["digest"]  # where cached_property keeps it: no need to hash it all again
    return dataset
