"""Shakespeare: the next character in the speeches of hundreds of roles, from LEAF's JSON files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..core.errors import InputError, check
from . import leaf
from .base import Array
from .file_source import FileSource, Layout

LENGTH = 80
CHARACTERS = (  # LEAF's, in its order
    "\n !\"&'(),-.0123456789:;>?ABCDEFGHIJKLMNOPQRSTUVWXYZ[]abcdefghijklmnopqrstuvwxyz}"
)


@dataclass(frozen=True, kw_only=True)
class Shakespeare(FileSource):
    """80 characters of a role's speeches and the one behind them, in 80 classes: LEAF's JSON files.

    Class c is the character c of LEAF's list, and its token is c + 1. If the folder has no test part, it is the last
    tenth of each role's strings, rounded up. train_size, test_size: use only so many strings, always the same random
    ones; None means all.
    """

    key: ClassVar[str] = "shakespeare"
    source: ClassVar[str] = "Caldas et al., 2018"
    partition: ClassVar[str] = "writer"
    num_classes: ClassVar[int] = len(CHARACTERS)
    tokens: ClassVar[bool] = True
    recipe: ClassVar[Mapping[str, Any]] = {
        "model": "lstm(vocabulary=81,width=8,hidden=256,layers=2,last=True)",
        "rounds": 50,
        "epochs": 1,
        "batch": 32,
        "lr": 1.0,
        "momentum": 0.9,
        "sampled": 10,
        "evaluate_every": 10,
    }
    advice: ClassVar[str] = (
        "Make LEAF's data/train/*.json and data/test/*.json with https://github.com/TalwalkarLab/leaf, "
        "and name their folder with --data"
    )

    def find(self, folder: Path) -> Layout | None:
        return leaf.find(folder, _strings)


def _strings(rows: Sequence[Any], given: Sequence[Any], place: str) -> tuple[Array, Array]:
    """Return a role's strings (k, 80) uint8 and labels (k,) int64. place: what an error message calls the data."""
    strings = _tokens("string", rows, LENGTH, place)
    return strings, _tokens("label", given, 1, place)[:, 0].astype(np.int64) - 1


def _tokens(kind: str, texts: Sequence[Any], length: int, place: str) -> Array:
    """Return texts of `length` characters as tokens (k, length) uint8; InputError for others. kind: for the message."""
    wrong = next((i for i, text in enumerate(texts) if not isinstance(text, str) or len(text) != length), None)
    check(wrong is None, f"{kind} {wrong} of {place} is no text of {length} character{'s' * (length > 1)}")
    written = "".join(texts)
    codes = np.frombuffer(written.encode("utf-32-le", "surrogatepass"), "<u4")
    number = np.zeros(129, np.uint8)
    number[[ord(character) for character in CHARACTERS]] = np.arange(1, len(CHARACTERS) + 1)
    tokens: Array = number[np.minimum(codes, 128)]
    others = np.flatnonzero(tokens == 0)
    if len(others):
        first = int(others[0])
        other = f"the character {written[first]!r}, which is none of LEAF's {len(CHARACTERS)}"
        raise InputError(f"{kind} {first // length} of {place} has {other}")
    return tokens.reshape(-1, length)
