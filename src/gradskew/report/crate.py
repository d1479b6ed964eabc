"""A folder of results as a Research Object Crate (RO-Crate): what its files are, and from what they were made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..core.errors import check
from ..core.importing import import_extra
from .citations import cited, sources_of_records
from .described import count
from .table import Table

NAME = "ro-crate-metadata.json"
# The files of a folder that are listed where they are, with their types and what they have.
FILES = {
    "results.csv": ("text/csv", "one row a run: accuracy, measures of skew, settings"),
    "rounds.parquet": ("application/vnd.apache.parquet", "one row a round of each run"),
    "rounds.csv": ("text/csv", "one row a round of each run"),
    "report.html": ("text/html", "the report"),
    "table.md": ("text/markdown", "accuracy by attack and rule"),
    "table.tex": ("application/x-tex", "accuracy by attack and rule"),
    "heatmap.png": ("image/png", "accuracy by attack and rule"),
    "heatmap.pdf": ("application/pdf", "accuracy by attack and rule"),
    "citations.bib": ("application/x-bibtex", "the papers of the methods"),
}


def crate(tables: Sequence[Table], folder: Path) -> str:
    """Return ro-crate-metadata.json for a folder with the runs of some tables (RO-Crate 1.2 or later).

    It lists the files of FILES that are there and the folder of the runs, the data sets with their SHA-256, gradskew
    with its version, and the papers of the methods. InputError without the library, and for a folder without any file
    of these.
    """
    model, package = (import_extra(f"rocrate.{name}", "rocrate", "--to rocrate") for name in ("model", "rocrate"))
    made = package.ROCrate()
    runs = sum(len(table.records) for table in tables)
    made.name = f"{count(runs, 'run')} of gradskew"
    made.description = "\n".join(table.federation for table in tables)

    def add(key: str, kind: str, **properties: Any) -> Any:
        return made.add(model.ContextEntity(made, key, properties={"@type": kind, **properties}))

    files = [
        made.add_file(folder / name, name, properties={"name": name, "encodingFormat": kind, "description": content})
        for name, (kind, content) in FILES.items()
        if (folder / name).is_file()
    ]
    if (folder / "runs").is_dir():
        content = "a record of each run: its whole specification and the metrics of each round, as JSON"
        files.append(made.add_dataset(folder / "runs", "runs/", properties={"name": "runs", "description": content}))
    check(bool(files), f"{str(folder)!r} has no results to list")
    hashes = {table.records[0].spec["data_sha256"]: table.records[0].spec["dataset"] for table in tables}
    data = [add(f"#{digest}", "Dataset", name=name, sha256=digest) for digest, name in hashes.items()]
    software = add("#gradskew", "SoftwareApplication", name="gradskew", softwareVersion=version("gradskew"))
    action = add("#bench", "CreateAction", name=made.name, instrument=software, object=data, result=files)
    made.root_dataset["mentions"] = action
    made.root_dataset["citation"] = [
        add(paper.address or f"#{paper.key}", "ScholarlyArticle", name=paper.title)
        for paper in cited(sources_of_records(record for table in tables for record in table.records))
        if paper.key != "gradskew"
    ]
    return json.dumps(made.metadata.generate(), indent=1, sort_keys=True) + "\n"
