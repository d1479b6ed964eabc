"""A user's arrays in an .npz file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..core.errors import InputError, check, check_choice
from . import array_rows
from .columns import MISSING
from .own_source import OwnFile
from .preparation import Examples

INPUTS, LABELS = ("X", "x", "images", "inputs", "data"), ("y", "labels", "targets")
# The names of a file that is divided, as Keras's and MedMNIST's: inputs and labels of the training part, then of the
# test part.
DIVIDED = (
    ("x_train", "y_train", "x_test", "y_test"),
    ("X_train", "y_train", "X_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
)


@dataclass(frozen=True, kw_only=True)
class NPZFile(OwnFile):
    """Arrays of yours in an .npz file: npz:FILE, inputs (N, ...) as X, x or images, labels (N,) as y or labels.

    inputs, labels, client: the names of the arrays, if they are others. A file with x_train, y_train, x_test, y_test,
    or train_images and so on, is divided already. missing: what to do about rows with NaN: `refuse` them, `drop` them,
    or put in the `mean` of the training rows. regression: the labels are numbers to predict, with `loss = squared`.
    """

    key: ClassVar[str] = "npz"
    wanted: ClassVar[str] = "FILE"
    inputs: str | None = None
    labels: str | None = None
    missing: str = "refuse"
    regression: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("regression", self.regression, (False, True))
        check_choice("missing", self.missing, MISSING)

    def examples(self, train: Sequence[Path], test: Sequence[Path]) -> Examples:
        parts = [self._arrays(path) for path in (*train, *test)]
        own = len(parts) == 1 and len(parts[0]) == 2
        check(own or all(len(part) == 1 for part in parts), "the file is divided already: leave the test file out")
        return array_rows.of_parts([part for of_file in parts for part in of_file], self.missing, self.regression)

    def _arrays(self, path: Path) -> list[array_rows.Part]:
        """Return inputs, labels and clients of the one part of a file, or of its training and its test part."""
        wrong = f"cannot read {str(path)!r}: it is no .npz file of numpy, or damaged"
        try:
            loaded = np.load(path, allow_pickle=False)
            packed = isinstance(loaded, np.lib.npyio.NpzFile)
            saved = f"numpy.savez({path.name!r}, X=X, y=y) writes inputs and labels"
            check(packed, f"{str(path)!r} holds one array: {saved}")
            with loaded as file:
                names = [self._names(file.files)] if self.inputs or self.labels else _divided(file.files)
                names = names or [self._names(file.files)]
                client = self.client
                check(client is None or client in file.files, f"there is no array {client!r}; {_has(file.files)}")
                check(client is None or len(names) == 1, "client names the ids of one part, and the file has two")
                return [(file[x], file[y], None if client is None else file[client]) for x, y in names]
        except (InputError, OSError, MemoryError):
            raise
        except Exception as error:  # of any type: zipfile and numpy do not agree on one for damaged files
            objects = str(error).startswith("Object arrays")
            raise InputError(f"{str(path)!r} holds Python objects, not numbers" if objects else wrong) from None

    def _names(self, files: Sequence[str]) -> tuple[str, str]:
        """Return the names of the arrays of inputs and labels; InputError if there are none, or more than one."""
        chosen = []
        for option, known in (("inputs", INPUTS), ("labels", LABELS)):
            given: Any = getattr(self, option)
            found = [name for name in ([given] if given else known) if name in files]
            wanted = given or f"{', '.join(known[:-1])} or {known[-1]}"
            check(len(found) > 0, f"there is no array {wanted} for the {option}; {_has(files)}: {option}=NAME names it")
            check(len(found) == 1, f"there are the arrays {' and '.join(found)}: {option}=NAME names the {option}")
            chosen.append(found[0])
        return chosen[0], chosen[1]


def _divided(files: Sequence[str]) -> list[tuple[str, str]]:
    """Return the names of the inputs and labels of both parts; an empty list for a file that is not divided."""
    found = next((names for names in DIVIDED if set(names) <= set(files)), None)
    return [] if found is None else [(found[0], found[1]), (found[2], found[3])]


def _has(files: Sequence[str]) -> str:
    return f"there are {', '.join(files) or 'none'}"
