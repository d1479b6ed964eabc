"""The folder of a red team: `rounds.json` and `report.html`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import InputError
from ..core.files import write
from .interface import log
from .page import report
from .training import Training

RARELY = 20  # times as long as the page took to make must pass before it is made again


class Journal:
    """A folder with `rounds.json`, all measures, and `report.html`, made from it. Each file appears whole."""

    def __init__(self, folder: Path | str, settings: Mapping[str, Any]):
        self.folder, self.settings = Path(folder).absolute(), dict(settings)
        self.trainings: list[Training] = []
        self.due = 0.0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write to {str(self.folder)!r}: {error.strerror}; out names another") from None

    def to_json(self) -> dict[str, Any]:
        """Return the settings and the trainings as a JSON object."""
        trainings = [vars(training) for training in self.trainings]
        return dict(_as_json({**self.settings, "trainings": trainings}))

    def write(self, *, last: bool = False) -> None:
        """Write both files, the page only if the last one is old enough or if this is the last time."""
        try:
            write(self.folder / "rounds.json", json.dumps(self.to_json(), allow_nan=False) + "\n")
            began = time.monotonic()
            if last or began >= self.due:
                write(self.folder / "report.html", report(self.settings, self.trainings))
                ended = time.monotonic()
                self.due = ended + RARELY * (ended - began)
        except OSError as error:  # a full disk must not end a training
            log.warning("RedTeam: cannot write to %s: %s", self.folder, error.strerror)
        except Exception as error:  # nor must a page that cannot be made
            log.warning("RedTeam: the report cannot be made: %s: %s", type(error).__name__, error)


def _as_json(value: Any) -> Any:
    """Replace numbers that are not finite by texts, as JSON cannot hold them."""
    if isinstance(value, dict):
        return {key: _as_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
