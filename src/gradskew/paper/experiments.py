"""Plan the runs of the paper's experiments, and lay out their records as the paper's tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from .. import aggregators, attacks
from ..core.errors import check, check_choice, unknown
from ..core.grammar import parse_one, with_options
from ..core.randomness import generator
from ..data import SOURCES
from ..data.catalogue import check_prefix
from ..data.own_source import OwnSource
from ..federation.run import Run
from ..report.table import Table
from ..report.verdict import remarks
from ..runs.record import Record
from ..runs.settings import by_name, make_runs
from .catalogue import AUTHORS, EXPERIMENTS, IMAGES, PRESET, SCALES, SMALL
from .sheets import Sheet, published


@dataclass(frozen=True)
class Planned:
    """A run, and the sheet, row and column of its accuracy."""

    run: Run
    sheet: str
    row: str
    column: str


def plan(name: str, *, scale: str = "small", **given: Any) -> list[Planned]:
    """Return the runs of a table or figure. given: options of `bench` that replace the scale's, unless None."""
    if name not in EXPERIMENTS:
        raise unknown("experiment", name, EXPERIMENTS)
    check_choice("scale", scale, SCALES)
    experiment = EXPERIMENTS[name]
    chosen = by_name(given)
    allowed = not experiment.pictured or ("pictures" not in chosen and chosen.get("lens") is not False)
    check(allowed, f"{name} draws its rounds from the seed: --pictures and --no-lens do not apply")
    written = str(chosen.get("dataset", experiment.dataset))
    check_prefix(written)
    typed, options = parse_one(written, "dataset")
    key, _ = SOURCES.resolve(typed)
    settings = {
        "preset": PRESET,
        "attacks": ",".join(experiment.attacks),
        "rules": ",".join(experiment.aggregators),
        **_scaled(key, scale),
        **({"rounds": IMAGES["rounds"]} if experiment.pictured and scale == "paper" else {}),  # on FEMNIST too
        **experiment.federation,
        **chosen,
        "dataset": written if options or scale == "paper" else SMALL.get(key, key),
    }
    rows = _labels(experiment.attacks, attacks.make)
    columns = _labels(experiment.aggregators, aggregators.make)
    planned = []
    for text, label in experiment.partitions.items() or [(None, "")]:
        for run in make_runs({**settings, "partition": text}):
            row = rows.get(run.attack.name, run.attack.name)
            column = columns.get(run.aggregator.name, run.aggregator.name)
            run = _pictured(run, experiment.pictured) if experiment.pictured else run
            planned.append(Planned(run, column if text else "", row, label or column))
    return planned


def _pictured(run: Run, count: int) -> Run:
    """Return the run with pictures of `count` rounds drawn by its seed, up to the last of these."""
    rounds = draw_rounds(run.seed, run.rounds, count)
    byzantine = 0 if isinstance(run.attack, attacks.NoAttack) else run.byzantine
    return replace(run, byzantine=byzantine, rounds=rounds[-1] + 1, lens=True, pictures=tuple(rounds))


def draw_rounds(seed: int, rounds: int, count: int) -> list[int]:
    """Draw `count` of the rounds, or all if fewer; return them in rising order.

    >>> draw_rounds(0, rounds=4, count=6)
    [0, 1, 2, 3]
    """
    return sorted(torch.randperm(rounds, generator=generator(seed, "figure rounds"))[:count].tolist())


def is_whole(name: str, scale: str, runs: Sequence[Run], **files: Any) -> bool:
    """Return whether these are all runs of the experiment at this scale. files: the location of the data."""
    source = runs[0].source
    if isinstance(source, OwnSource):  # not in the paper
        return False
    whole = plan(name, scale=scale, dataset=source.key, **files)
    first, pictured = runs[0], EXPERIMENTS[name].pictured > 0  # in a table, lens and pictures do not matter
    alike = [p.run if pictured else replace(p.run, lens=first.lens, pictures=first.pictures) for p in whole]
    return {run.digest for run in alike} <= {run.digest for run in runs}


def _scaled(dataset: str, scale: str) -> Mapping[str, Any]:
    """Return the settings of a data set at a scale."""
    if scale == "small":
        source = SOURCES.find(dataset)
        return {} if source is None or issubclass(source, OwnSource) else source.recipe
    known = ", ".join(AUTHORS)
    check(dataset in AUTHORS, f"{dataset} is not in the paper: --scale paper has {known}; use --scale small")
    return AUTHORS[dataset]


def _labels(names: Mapping[str, str], make: Any) -> dict[str, str]:
    """Return the paper's labels of attacks or rules, by their full names."""
    return {make(name, preset=PRESET).name: label for name, label in names.items()}


def sheets(name: str, planned: Sequence[Planned], records: Sequence[Record]) -> list[Sheet]:
    """Return the records laid out as the paper's tables, beside the accuracies that the paper prints."""
    experiment, by_digest = EXPERIMENTS[name], {record.digest: record for record in records}
    cells: dict[str, dict[tuple[str, str], list[Record]]] = {}
    for place in planned:
        cell = cells.setdefault(place.sheet, {}).setdefault((place.row, place.column), [])
        cell += [by_digest[place.run.digest]] if place.run.digest in by_digest else []
    paper = published(name, planned[0].run.source.key)
    all_sheets = [Sheet(title, experiment.rows_are, experiment.columns_are, of, paper) for title, of in cells.items()]
    return [sheet for sheet in all_sheets if sheet.cells]


def grouped(planned: Sequence[Planned], records: Sequence[Record]) -> list[list[Record]]:
    """Return the records in groups of one partition, each for a `report.Table`."""
    by_digest = {record.digest: record for record in records}
    groups: dict[str, dict[str, Record]] = {}
    for run in (place.run for place in planned):
        if run.digest in by_digest:
            groups.setdefault(run.partition.name, {})[run.digest] = by_digest[run.digest]
    return [list(group.values()) for group in groups.values()]


def notes(groups: Sequence[Sequence[Record]]) -> list[str]:
    """Return remarks on the runs, each after its partitions, if it does not hold for all."""
    where: dict[str, list[str]] = {}
    for group in groups:
        for remark in remarks(Table(group)):
            where.setdefault(remark, []).append(with_options(group[0].spec["partition"]))
    return [remark if len(parts) == len(groups) else f"{', '.join(parts)}: {remark}" for remark, parts in where.items()]
