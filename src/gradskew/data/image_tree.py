"""Images in a folder tree with one folder per class: train/<class>/*.JPEG and val/<class>/*.JPEG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..core.errors import check
from .file_source import Layout, Part
from .images import EncodedImage, Format

SUFFIXES = (".jpeg", ".jpg", ".png")
TEST_FOLDERS = ("val", "validation", "test")


def find(folder: Path, num_classes: int, format: Format) -> Layout | None:
    """Return the layout of a folder with such a tree; None if it has no folder train/<class>.

    The label of a class is its place among the sorted names. InputError if classes or images are missing.
    """
    train = folder / "train"
    classes = classes_in(train)
    if not classes:
        return None
    wrong = f"{str(train)!r} has {len(classes)} folders, one per class: there must be {num_classes}"
    check(len(classes) == num_classes, wrong)
    test = next((folder / name for name in TEST_FOLDERS if (folder / name).is_dir()), folder / TEST_FOLDERS[0])
    check(classes_in(test) == classes, f"{str(test)!r} must have the same folders as {str(train)!r}, one per class")
    train_files, test_files = (files_in(part, classes) for part in (train, test))
    files = [path for part in (train_files, test_files) for paths in part for path in paths]
    return Layout(folder, files, lambda: (_part(train_files, format), _part(test_files, format)))


def classes_in(part: Path) -> list[str]:
    """Return the names of the folders in a part, sorted; without hidden ones."""
    return sorted(path.name for path in part.glob("[!.]*") if path.is_dir())


def files_in(part: Path, classes: Sequence[str]) -> list[list[Path]]:
    """Return the image files of each class, sorted; without hidden files such as macOS's `._name.JPEG`."""
    visible = [[path for path in (part / name).iterdir() if not path.name.startswith(".")] for name in classes]
    files = [sorted(path for path in paths if path.suffix.lower() in SUFFIXES) for paths in visible]
    empty = [name for name, paths in zip(classes, files, strict=True) if not paths]
    check(not empty, f"{str(part / ''.join(empty[:1]))!r} has no JPEG or PNG files")
    return files


def _part(classes: Sequence[Sequence[Path]], format: Format) -> Part:
    images = [EncodedImage(path, repr(str(path))) for paths in classes for path in paths]
    labels = np.repeat(np.arange(len(classes)), [len(paths) for paths in classes])
    return Part(labels, lambda index: format.decode_all([[images[i] for i in index]], len(index)))
