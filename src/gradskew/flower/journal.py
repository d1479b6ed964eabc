"""Where what a red team saw is kept."""

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
from .trail import Trail

RARELY = 20  # the page is made again when so many times as long has passed as it took to make


def _written(value: Any) -> Any:
    """As JSON has it: no word for what is not finite."""
    if isinstance(value, dict):
        return {key: _written(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_written(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


class Journal:
    """A folder with `rounds.json`, all that was seen, and `report.html`, made from it. Each appears whole."""

    def __init__(self, folder: Path | str, settings: Mapping[str, Any]):
        self.folder, self.settings = Path(folder).absolute(), dict(settings)
        self.trails: list[Trail] = []
        self.due = 0.0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write to {str(self.folder)!r}: {error.strerror}; out names another") from None

    def to_json(self) -> dict[str, Any]:
        trails = [vars(trail) for trail in self.trails]
        return dict(_written({**self.settings, "trainings": trails}))

    def write(self, *, last: bool = False) -> None:
        """Write what there is, the page only now and then but for the last time."""
        try:
            write(self.folder / "rounds.json", json.dumps(self.to_json(), allow_nan=False) + "\n")
            began = time.monotonic()
            if last or began >= self.due:
                write(self.folder / "report.html", report(self.settings, self.trails))
                ended = time.monotonic()
                self.due = ended + RARELY * (ended - began)
        except OSError as error:  # a full disk must not end a training
            log.warning("RedTeam: cannot write to %s: %s", self.folder, error.strerror)
        except Exception as error:  # nor a page that cannot be made of what was seen
            log.warning("RedTeam: the report cannot be made: %s: %s", type(error).__name__, error)
