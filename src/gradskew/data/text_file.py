"""A user's plain texts: passages of bytes, and the byte behind each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..core.errors import InputError, check
from . import coding
from .base import Array
from .file_source import last_of_each, reading
from .own_source import COMMON, OwnFile
from .preparation import Examples, num_held_out
from .text import check_length, without_nul


@dataclass(frozen=True, kw_only=True)
class TextFile(OwnFile):
    """Plain texts of yours in UTF-8: text:FILE_OR_FOLDER(length=80); of a folder, each .txt file is a client.

    A text is cut into passages of `length` bytes, one behind the other. The input is a passage, as tokens, and the
    label is the byte that follows it; what is left at the end is no passage. The bytes that occur are numbered in their
    order: tokens are 1, 2, ..., as 0 is the end of a text, and byte by byte the class is the token less 1. The test
    part is the last `test` share of each text's passages, or all passages of a file or folder in `test`.
    """

    key: ClassVar[str] = "text"
    wanted: ClassVar[str] = "FILE_OR_FOLDER"
    length: int = 80
    client: str | None = field(default=None, init=False, repr=False)
    seed: int = field(default=0, init=False, repr=False)
    shape: tuple[int, ...] | None = field(default=None, init=False, repr=False)
    standardise: bool = field(default=True, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_length(self.length)

    @property
    def partition(self) -> str:  # type: ignore[override]
        with reading(self):
            return "writer" if len(self.files()[0]) > 1 else "dirichlet"

    @property
    def recipe(self) -> Mapping[str, Any]:  # type: ignore[override]
        return {**COMMON, "model": "lstm(last=True)", "rounds": 60, "lr": 1.0}

    def found(self, path: Path) -> Sequence[Path]:
        if not path.is_dir():
            return super().found(path)
        files = sorted(path.glob("[!.]*.txt"))
        check(len(files) > 0, f"the folder {str(path)!r} has no .txt files")
        return files

    def examples(self, train: Sequence[Path], test: Sequence[Path]) -> Examples:
        texts = [_read(path) for path in (*train, *test)]
        counts = np.array([max(0, len(text) - 1) // self.length for text in texts])
        longer = f"no text has more than {self.length} bytes, for a passage and the byte behind it"
        check(bool(counts.any()), f"{longer}: a smaller length makes shorter passages")
        used = [text[: count * self.length + 1] for text, count in zip(texts, counts, strict=True) if count]
        known = np.unique(np.concatenate(used))
        number = np.zeros(256, np.uint8)
        number[known] = np.arange(1, len(known) + 1)
        passages = number[np.concatenate([text[:-1] for text in used])].reshape(-1, self.length)
        behind = number[np.concatenate([text[self.length :: self.length] for text in used])]
        labels = coding.Coded(behind.astype(np.int64) - 1, [_name(byte) for byte in known.tolist()])
        owner = np.repeat(np.arange(len(texts)), counts)
        in_test, names = owner >= len(train), [path.stem for path in train]
        clients = coding.ids(names, np.where(in_test, -1, owner)) if len(train) > 1 else None
        size, few = sum(map(len, used)), len(texts) - len(used)
        said = [f"inputs are passages of {self.length} bytes, from {size:,} bytes of {_texts(len(used))}"]
        said.append(f"the label of a passage is the byte behind it; {len(known)} different bytes are the classes")
        said += [f"{_texts(few)} with no more than {self.length} bytes: left out"] if few else []
        return Examples(labels, passages.__getitem__, clients, in_test if test else None, said, tokens=True)

    def _held_out(self, examples: Examples, share: float) -> tuple[Array, str]:
        codes = np.zeros(len(examples.labels), np.int64) if examples.clients is None else examples.clients.codes
        test = last_of_each(codes, num_held_out(np.bincount(codes), share))
        return test, f"the test part is the last {100 * share:g} % of each text's passages"


def _read(path: Path) -> Array:
    """Return the bytes of a text (N,) uint8; InputError unless they are UTF-8."""
    content = path.read_bytes()
    try:
        content.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{str(path)!r} is not in UTF-8, by its byte {error.start}: convert the text") from None
    return np.frombuffer(without_nul(content), np.uint8)


def _texts(count: int) -> str:
    return f"{count:,} text{'s' * (count > 1)}"


def _name(byte: int) -> str:
    """Return what a class is called: an ASCII character, or the number of a byte of others."""
    return "space" if byte == ord(" ") else chr(byte) if byte < 128 else f"byte {byte}"
