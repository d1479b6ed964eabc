"""`gs.bench`: every attack against every rule from Python, with the options of the command `gradskew bench`."""

from __future__ import annotations

import inspect
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ..core.errors import warn
from ..runs.cluster import Cluster
from ..runs.product import data_notes, make_sweep
from ..runs.settings import COMMON, OPTIONS, by_name, check_names
from ..runs.sweeps import sweep
from .sweep import Sweep
from .table import Table, group


def bench(
    *,
    out: Path | str = "gradskew-results",
    workers: int | Cluster = 1,
    progress: bool = True,
    log: Any = None,
    **options: Any,
) -> Table | Sweep:
    """Run every attack against every rule and return the table, as `gradskew bench` does.

    The options are those of the command: `attacks`, `rules`, `dataset`, `partition`, `model`, `rounds`, `seeds`, ...
    Attacks and rules are a comma-separated text, or a list of names, objects and functions; data set, partition and
    model may be objects too, and the data set arrays or a frame in memory (see `gradskew.source`); `seeds` is a count
    or a list. An option of the federation takes a list too, such as `beta=[0.1, 0.5, "iid"]`: every combination is run,
    and a `Sweep` is returned, the sequence of the tables. Runs that `out` holds are not run again; `gradskew report`
    writes its page. workers: processes, or a Ray cluster; more than 1 in a script needs `if __name__ == "__main__"`.
    progress: show a bar on standard error, and what is said of the data. log: trackers of the runs, `csv,mlflow` or a
    list, as of the command's `--log`. A function that was typed in a notebook is run in this process and its runs are
    not stored. Raises InputError for an unknown option or name, FailedRuns if runs fail, when the others have ended.
    """
    from .terminal import ProgressLine  # imports rich, late

    check_names("bench", options)
    runs = make_sweep(by_name(options))
    for sentence in data_notes(runs) if progress else ():
        warn(f"  {sentence}")
    line = ProgressLine()
    with line if progress else nullcontext():
        on_progress = line if progress else lambda progress: None
        records = sweep(runs, out, workers=workers, on_progress=on_progress, log=log)
    tables = group(records)
    return tables[0] if len(tables) == 1 else Sweep(tables)


def _signature() -> inspect.Signature:
    """Return the signature of `bench` with all options, for `help` and completion."""
    known = inspect.signature(bench).parameters
    own = [known[name] for name in ("out", "workers", "progress", "log")]
    options = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=COMMON.get(name)) for name in OPTIONS]
    return inspect.Signature([*options, *own], return_annotation="Table | Sweep")


bench.__signature__ = _signature()  # type: ignore[attr-defined]
