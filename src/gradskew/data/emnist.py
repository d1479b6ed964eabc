"""EMNIST: handwritten letters and digits in IDX files or MATLAB files, of which the latter know the writers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..core.errors import InputError, check, check_choice
from . import idx
from .base import Array
from .file_source import PHOTOS, FileSource, Layout, Part

FIELDS = ("images", "labels", "writers")
CLASSES = {"byclass": 62, "bymerge": 47, "balanced": 47, "letters": 26, "digits": 10, "mnist": 10}


@dataclass(frozen=True, kw_only=True)
class EMNIST(FileSource):
    """Handwritten letters and digits, 28 x 28, black paper, upright as MNIST's: IDX files (gzipped or not), or MATLAB.

    split: `byclass` (62 classes), `bymerge` or `balanced` (47), `letters` (26), `digits` or `mnist` (10). The files are
    in the folder, in NIST's folders `gzip` and `matlab`, or in torchvision's `EMNIST/raw`. With NIST's
    emnist-SPLIT.mat the writers are known. train_size, test_size: use only so many images, always the same random ones;
    None means all.
    """

    key: ClassVar[str] = "emnist"
    source: ClassVar[str] = "Cohen et al., 2017"
    recipe: ClassVar[Mapping[str, Any]] = PHOTOS
    advice: ClassVar[str] = (
        "Take NIST's matlab.zip or gzip.zip from https://www.nist.gov/itl/products-and-services/emnist-dataset, or "
        "torchvision's folder, and name the folder with --data"
    )
    split: str = "balanced"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("split", self.split, tuple(CLASSES))

    @property
    def num_classes(self) -> int:  # type: ignore[override]
        return CLASSES[self.split]

    def find(self, folder: Path) -> Layout | None:
        name = f"emnist-{self.split}"
        files = [path for path in (folder / f"{name}.mat", folder / "matlab" / f"{name}.mat") if path.exists()]
        if files:
            return Layout(folder, files[:1], lambda: self._upright(*_read_mat(files[0])))
        homes = [folder, folder / "gzip", folder / "raw", folder / "EMNIST" / "raw"]
        layout = idx.find(homes, (f"{name}-train", f"{name}-test"))
        return None if layout is None else replace(layout, read=lambda: self._upright(*layout.read()))

    def _upright(self, train: Part, test: Part) -> tuple[Part, Part]:
        """Return both parts with upright images, which the files have column by column, and with labels from 0."""
        lowest = 1 if self.split == "letters" else 0
        return _turned(train, lowest), _turned(test, lowest)


def _turned(part: Part, lowest: int) -> Part:
    """Return a part with rows and columns of its images exchanged. lowest: the label that becomes 0."""
    return replace(part, labels=part.labels - lowest, decode=lambda index: part.decode(index).transpose(0, 2, 1))


def _read_mat(path: Path) -> tuple[Part, Part]:
    """Read both parts of a MATLAB file: images (N, 784) uint8, labels and writers (N, 1)."""
    from scipy.io import loadmat

    try:
        content = loadmat(path, variable_names=("dataset",), simplify_cells=True)["dataset"]
        parts = [[np.atleast_1d(content[part][name]) for name in FIELDS] for part in ("train", "test")]
    except Exception:  # of any type: scipy's reader of MATLAB files does not say
        wanted = f"no MATLAB file with {', '.join(FIELDS)} in dataset.train and dataset.test, or damaged"
        raise InputError(f"{str(path)!r} is {wanted}") from None
    return _mat_part(parts[0], path), _mat_part(parts[1], path)


def _mat_part(arrays: Sequence[Array], path: Path) -> Part:
    images, labels, writers = arrays
    count = len(labels)
    good = images.dtype == np.uint8 and images.size == count * 784 and labels.shape == writers.shape == (count,)
    good = good and labels.dtype.kind in "iu" and writers.dtype.kind in "iu"
    check(good, f"{str(path)!r} must have images (N, 784) of bytes, labels (N, 1) and writers (N, 1) of whole numbers")
    return Part(labels.astype(np.int64), images.reshape(count, 28, 28).__getitem__, writers.astype(np.int64))
