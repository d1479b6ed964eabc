"""CSV files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..core.csv_text import csv_text
from ..core.files import write
from .base import FileTracker, FinishedRun


@dataclass(frozen=True, kw_only=True)
class CSV(FileTracker):
    """A CSV file a run, one row a round: the settings of the run, its final accuracy, the metrics of the round."""

    key: ClassVar[str] = "csv"
    suffix: ClassVar[str] = ".csv"

    def log(self, run: FinishedRun) -> None:
        same = {**run.parameters, **run.summary}
        rows = [{**same, **metrics} for metrics in run.table]
        write(self.path(run), csv_text(list({column: None for row in rows for column in row}), rows))
