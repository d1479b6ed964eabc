"""Files of JSON lines."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..core.files import write
from .base import FileTracker, FinishedRun


@dataclass(frozen=True, kw_only=True)
class JSONLines(FileTracker):
    """A file of JSON lines a run, each an event: `run` (settings), `round` (metrics), `end` (final accuracy)."""

    key: ClassVar[str] = "jsonl"
    suffix: ClassVar[str] = ".jsonl"

    def log(self, run: FinishedRun) -> None:
        lines = [_line("run", run.parameters)]
        lines += [_line("round", metrics) for metrics in run.table]
        write(self.path(run), "".join([*lines, _line("end", run.summary)]))


def _line(event: str, values: Mapping[str, Any]) -> str:
    """Return an event as a line; null stands for infinity, which JSON does not have."""
    finite = {k: None if isinstance(x, float) and not math.isfinite(x) else x for k, x in values.items()}
    return json.dumps({"event": event, **finite}) + "\n"
