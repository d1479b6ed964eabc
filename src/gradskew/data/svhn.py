"""SVHN: house numbers in MATLAB files, as its authors and torchvision have them, or parquet files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..core.errors import InputError, check
from .file_source import PHOTOS, FileSource, Layout, Part
from .images import Format
from .parquet import ParquetTable

PARQUET = ParquetTable(images="image", labels="label", format=Format(size=32))
NAMES = ("train_32x32.mat", "test_32x32.mat")


@dataclass(frozen=True, kw_only=True)
class SVHN(FileSource):
    """73,257 + 26,032 digits of house numbers, 32 x 32 in colour: train_32x32.mat and test_32x32.mat, or parquet.

    train_size, test_size: use only so many images, always the same random ones; None means all.
    """

    key: ClassVar[str] = "svhn"
    source: ClassVar[str] = "Netzer et al., 2011"
    num_classes: ClassVar[int] = 10
    recipe: ClassVar[Mapping[str, Any]] = {**PHOTOS, "lr": 0.05}
    mean: ClassVar[tuple[float, ...]] = (0.4377, 0.4438, 0.4728)
    std: ClassVar[tuple[float, ...]] = (0.1980, 0.2010, 0.1970)
    hub: ClassVar[str] = "ufldl-stanford/svhn/cropped_digits"
    advice: ClassVar[str] = (
        "Take train_32x32.mat and test_32x32.mat from http://ufldl.stanford.edu/housenumbers, or the parquet files of "
        "ufldl-stanford/svhn (cropped_digits) on the Hugging Face hub (https://huggingface.co), and name their folder "
        "with --data; or use --download"
    )

    def find(self, folder: Path) -> Layout | None:
        files = [folder / name for name in NAMES]
        missing = [path.name for path in files if not path.is_file()]
        if len(missing) == len(files):
            return PARQUET.find(folder)
        check(not missing, f"{', '.join(missing)} missing in {str(folder)!r}: is the download complete?")
        return Layout.of_parts(folder, files[:1], files[1:], read_mat)


def read_mat(files: Sequence[Path]) -> Part:
    """Read images X (32, 32, 3, N) uint8 and labels y (N, 1), where the digit 0 has the label 10."""
    from scipy.io import loadmat

    (path,) = files
    try:
        content = loadmat(path, variable_names=("X", "y"))
        images, labels = content["X"], content["y"].ravel()
    except Exception:  # of any type: scipy's reader of MATLAB files does not say
        raise InputError(f"{str(path)!r} is no MATLAB file with X and y, or damaged") from None
    good = images.dtype == np.uint8 and images.shape == (32, 32, 3, len(labels)) and labels.dtype.kind in "iu"
    check(good, f"{str(path)!r} must have images X (32, 32, 3, N) of bytes and labels y (N, 1) of whole numbers")
    digits = labels.astype(np.int64)
    return Part(np.where(digits == 10, 0, digits), images.transpose(3, 2, 0, 1).__getitem__)
