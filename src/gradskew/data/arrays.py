"""A data set as plain arrays, for files and for memory that processes share, and back."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch

from .base import Array, Dataset, Split

PARTS = ("train", "test")
KINDS = ("inputs", "labels", "writers", "targets")


def to_arrays(dataset: Dataset) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the arrays of a data set by name, and its other fields as JSON values.

    The digest is one of these fields, as it takes long to compute.
    """
    arrays = {"scale": dataset.scale.numpy(), "shift": dataset.shift.numpy()}
    for part in PARTS:
        split: Split = getattr(dataset, part)
        arrays |= {f"{part}_{kind}": values.numpy() for kind, values in split.tensors.items()}
    return arrays, {"digest": dataset.digest, "num_classes": dataset.num_classes, "notes": list(dataset.notes)} | (
        {"tokens": True} if dataset.tokens else {}
    )


def from_arrays(arrays: Mapping[str, Array], about: Mapping[str, Any]) -> Dataset:
    """Return the data set that `to_arrays` took apart, in the memory of the arrays, which may be read-only.

    It is not checked again, so that arrays mapped from a file are not read before they are used.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    train, test = (
        Split(**{kind: tensors[f"{part}_{kind}"] for kind in KINDS if f"{part}_{kind}" in tensors}) for part in PARTS
    )
    dataset = object.__new__(Dataset)
    fields = {"num_classes": about["num_classes"], "notes": tuple(about.get("notes", ())), "digest": about["digest"]}
    fields["tokens"] = about.get("tokens", False)
    vars(dataset).update(train=train, test=test, scale=tensors["scale"], shift=tensors["shift"], **fields)
    return dataset
