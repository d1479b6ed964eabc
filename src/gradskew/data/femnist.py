"""FEMNIST: handwriting by thousands of writers, from LEAF's JSON files or from parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..core.errors import InputError, check
from . import leaf
from .base import Array
from .file_source import PHOTOS, FileSource, Layout
from .images import Format
from .parquet import ParquetTable

PIXELS = 28 * 28
NEAR = 0.01  # of a byte: the rounding of decimals in LEAF's files
PARQUET = ParquetTable(images="image", labels="character", writers="writer_id", format=Format(size=28, colour=False))


@dataclass(frozen=True, kw_only=True)
class FEMNIST(FileSource):
    """Some 800,000 digits and letters in 62 classes by 3,600 writers, 28 x 28, white paper: LEAF's JSON or parquet.

    Pixels are stored as bytes without loss, as LEAF's numbers are multiples of 1/255. If the folder has no test part,
    it is the last tenth of each writer's images, rounded up. train_size, test_size: use only so many images, always the
    same random ones; None means all.
    """

    key: ClassVar[str] = "femnist"
    source: ClassVar[str] = "Caldas et al., 2018"
    partition: ClassVar[str] = "writer"
    num_classes: ClassVar[int] = 62
    recipe: ClassVar[Mapping[str, Any]] = {**PHOTOS, "model": "femnist_cnn", "sampled": 10, "evaluate_every": 10}
    hub: ClassVar[str] = "flwrlabs/femnist"
    advice: ClassVar[str] = (
        "Make LEAF's data/train/*.json and data/test/*.json with https://github.com/TalwalkarLab/leaf, or take the "
        "parquet files of flwrlabs/femnist on the Hugging Face hub, and name their folder with --data; or use "
        "--download"
    )

    def find(self, folder: Path) -> Layout | None:
        return leaf.find(folder, _images) or PARQUET.find(folder)


def _images(rows: Sequence[Any], given: Sequence[Any], place: str) -> tuple[Array, Array]:
    """Return a writer's images (k, 28, 28) uint8 and labels (k,) int64. place: what an error message calls the data."""
    for number, row in enumerate(rows):
        size = len(row) if isinstance(row, list) else 0
        check(size == PIXELS, f"image {number} of {place} has {size} values, not {PIXELS}")
    if not rows:
        return np.empty((0, 28, 28), np.uint8), np.empty(0, np.int64)
    wrong = f"{place} has images that are not numbers"
    try:
        values = np.array(rows)
    except ValueError:  # lists inside
        raise InputError(wrong) from None
    check(values.dtype.kind in "fi" and values.ndim == 2, wrong)
    inside = bool(((values >= 0) & (values <= 1)).all())
    check(inside, f"{place} has images with values outside 0 to 1")
    whole_bytes = bool((np.abs(255 * values - np.rint(255 * values)) < NEAR).all())
    check(whole_bytes, f"{place} has images with values that are not a byte / 255, as LEAF's are")
    return np.rint(255 * values).astype(np.uint8).reshape(-1, 28, 28), leaf.whole_labels(given, place)
