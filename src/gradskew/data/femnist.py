"""FEMNIST: handwriting by thousands of writers, from LEAF's JSON files or from parquet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..core.errors import InputError, check
from .base import Array, whole_numbers
from .file_source import PHOTOS, FileSource, Layout, Part, id_array
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
        for home in (folder, folder / "data"):
            train, test = (sorted((home / part).glob("[!.]*.json")) for part in ("train", "test"))
            if train or test:
                check(bool(train), f"{str(home / 'train')!r} has no JSON files")
                return Layout.of_parts(folder, train, test, read_leaf)
        return PARQUET.find(folder)


def read_leaf(files: Sequence[Path]) -> Part:
    """Read the images, labels and writers of LEAF's JSON files, writer by writer."""
    parts = [part for path in files for part in _writers(path)]
    check(len(parts) > 0, f"no writers in {', '.join(repr(str(path)) for path in files)}")
    ids, images, labels = zip(*parts, strict=True)
    writers = np.repeat(np.array(ids), [len(row) for row in labels])
    return Part(np.concatenate(labels), np.concatenate(images).__getitem__, writers)


def _writers(path: Path) -> Iterator[tuple[str, Array, Array]]:
    """Yield each writer's id, images (k, 28, 28) uint8 and labels (k,) int64."""
    try:
        content = json.loads(path.read_bytes())
        users, data_of = content["users"], content["user_data"]
        absent = [str(user) for user in users if user not in data_of]
        users = [(str(user), data_of.get(user)) for user in users]
    except (ValueError, RecursionError):
        raise InputError(f"{str(path)!r} is not JSON: is the download complete?") from None
    except (LookupError, TypeError, AttributeError):
        raise InputError(f"{str(path)!r} is not LEAF's: it needs `users` and `user_data` of each") from None
    without = f"{len(absent)} of {len(users)} users without data"
    check(not absent, f"{str(path)!r} has {without}: {', '.join(absent[:3])}{', ...' if absent[3:] else ''}")
    check(len(id_array([user for user, _ in users], path)) == len(dict(users)), f"{str(path)!r} names a user twice")
    for user, data in users:
        yield user, *_images(data, f"the writer {user!r} in {str(path)!r}")


def _images(data: Any, place: str) -> tuple[Array, Array]:
    """Return a writer's images (k, 28, 28) uint8 and labels (k,) int64. place: what an error message calls the data."""
    good = isinstance(data, dict) and all(isinstance(data.get(key), list) for key in ("x", "y"))
    check(good, f"{place} has no lists x and y")
    rows, given = data["x"], data["y"]
    check(len(rows) == len(given), f"{place} has {len(rows)} images and {len(given)} labels")
    for number, row in enumerate(rows):
        size = len(row) if isinstance(row, list) else 0
        check(size == PIXELS, f"image {number} of {place} has {size} values, not {PIXELS}")
    if not rows:
        return np.empty((0, 28, 28), np.uint8), np.empty(0, np.int64)
    wrong = f"{place} has images or labels that are not numbers"
    try:
        values, labels = np.array(rows), np.array(given)
    except ValueError:  # lists inside
        raise InputError(wrong) from None
    whole = whole_numbers(labels)
    if values.dtype.kind not in "fi" or values.ndim != 2 or whole is None or whole.ndim != 1:
        raise InputError(wrong)
    inside = bool(((values >= 0) & (values <= 1)).all())
    check(inside, f"{place} has images with values outside 0 to 1")
    whole_bytes = bool((np.abs(255 * values - np.rint(255 * values)) < NEAR).all())
    check(whole_bytes, f"{place} has images with values that are not a byte / 255, as LEAF's are")
    return np.rint(255 * values).astype(np.uint8).reshape(-1, 28, 28), whole
