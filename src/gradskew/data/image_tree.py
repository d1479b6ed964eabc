"""Images in a folder tree, one folder a class: train/<class>/*.JPEG and val/<class>/*.JPEG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..core.errors import check
from .file_source import Layout, Part
from .images import Format, Picture

SUFFIXES = (".jpeg", ".jpg", ".png")
TEST = ("val", "validation", "test")


def find(folder: Path, num_classes: int, format: Format) -> Layout | None:
    """The tree in a folder. Labels count the classes in the order of their names."""
    train = folder / "train"
    classes = _classes(train)
    if not classes:
        return None
    few = f"{str(train)!r} has {len(classes)} folders, one a class: there must be {num_classes}"
    check(len(classes) == num_classes, few)
    test = next((folder / name for name in TEST if (folder / name).is_dir()), folder / TEST[0])
    check(_classes(test) == classes, f"{str(test)!r} must have the same folders as {str(train)!r}, one a class")
    trained, tested = (_files(part, classes) for part in (train, test))
    files = [path for part in (trained, tested) for paths in part for path in paths]
    return Layout(folder, files, lambda: (_part(trained, format), _part(tested, format)))


def _classes(part: Path) -> list[str]:
    return sorted(path.name for path in part.glob("[!.]*") if path.is_dir())


def _files(part: Path, classes: Sequence[str]) -> list[list[Path]]:
    """The images of each class; hidden files (`._name.JPEG` beside a Mac's) are none."""
    visible = [[path for path in (part / name).iterdir() if not path.name.startswith(".")] for name in classes]
    found = [sorted(path for path in paths if path.suffix.lower() in SUFFIXES) for paths in visible]
    empty = [name for name, paths in zip(classes, found, strict=True) if not paths]
    check(not empty, f"{str(part / ''.join(empty[:1]))!r} has no JPEG or PNG files")
    return found


def _part(found: Sequence[Sequence[Path]], format: Format) -> Part:
    files = [path for paths in found for path in paths]
    labels = np.repeat(np.arange(len(found)), [len(paths) for paths in found])
    return Part(
        labels,
        lambda index: format.decode_all([[Picture(files[i], repr(str(files[i]))) for i in index]], len(index)),
    )
