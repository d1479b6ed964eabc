"""Sentiment140: tweets of many users, cheerful or not, from LEAF's JSON files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ..core.errors import check
from . import leaf, text
from .base import Array
from .file_source import FileSource, Layout

FIELD = 4  # of a tweet: id, date, query, user, text


@dataclass(frozen=True, kw_only=True)
class Sent140(FileSource):
    """Tweets, of which class 1 was sent with a positive emoticon and class 0 with a negative one: LEAF's JSON files.

    Inputs are the first `length` bytes of a tweet in UTF-8, as tokens, and 0 after its end. If the folder has no test
    part, it is the last tenth of each user's tweets, rounded up. train_size, test_size: use only so many tweets, always
    the same random ones; None means all.
    """

    key: ClassVar[str] = "sent140"
    source: ClassVar[str] = "Go et al., 2009"
    partition: ClassVar[str] = "writer"
    num_classes: ClassVar[int] = 2
    tokens: ClassVar[bool] = True
    recipe: ClassVar[Mapping[str, Any]] = {
        "model": "lstm",
        "rounds": 50,
        "epochs": 1,
        "batch": 32,
        "lr": 0.5,
        "momentum": 0.9,
        "sampled": 10,
        "evaluate_every": 10,
    }
    advice: ClassVar[str] = (
        "Make LEAF's data/train/*.json and data/test/*.json with https://github.com/TalwalkarLab/leaf, "
        "and name their folder with --data"
    )
    length: int = 140

    def __post_init__(self) -> None:
        super().__post_init__()
        text.check_length(self.length)

    def find(self, folder: Path) -> Layout | None:
        return leaf.find(folder, self._tweets)

    def _tweets(self, rows: Sequence[Any], given: Sequence[Any], place: str) -> tuple[Array, Array]:
        """Return a user's tweets (k, length) uint8 and labels (k,) int64. place: what an error message calls them."""
        wrong = next((i for i, row in enumerate(rows) if not _is_tweet(row)), None)
        check(wrong is None, f"tweet {wrong} of {place} is no list with the text as its entry {FIELD}")
        return text.as_tokens([row[FIELD] for row in rows], self.length)[0], leaf.whole_labels(given, place)


def _is_tweet(row: Any) -> bool:
    return isinstance(row, list) and len(row) > FIELD and isinstance(row[FIELD], str)
