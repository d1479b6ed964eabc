"""Which strategies average the clients' models, and which replies they can average."""

from __future__ import annotations

import sys

from .interface import RecordDict, Strategy
from .wrapper import Wrapper

# Flower's strategies that do something else with the clients' models than to average them. They are known by name only:
# all inherit from FedAvg or wrap a strategy, and no attribute says it. A trial would not show it either: given equal
# models, as Robust gives them, most of them return that model, and their own rule silently has no effect.
OTHER = {"FedMedian", "FedTrimmedAvg", "MultiKrum", "Krum", "Bulyan", "QFedAvg", "FedXgbBagging", "FedXgbCyclic"}
OTHER |= {"DifferentialPrivacyServerSideFixedClipping", "DifferentialPrivacyServerSideAdaptiveClipping"}
OTHER |= {"DifferentialPrivacyClientSideFixedClipping", "DifferentialPrivacyClientSideAdaptiveClipping"}


def averages(strategy: Strategy) -> bool:
    """Whether Robust takes the strategy: not one that is known to do something else than to average."""
    return not isinstance(strategy, Wrapper) and not OTHER & {cls.__name__ for cls in type(strategy).__mro__}


def form_of(content: RecordDict) -> tuple[tuple[str, ...], tuple[tuple[str, str, int | None], ...]]:
    """Return what replies of a round must have in common: names of array records; record, name, length of metrics."""
    metrics = [
        (key, name, len(value) if isinstance(value, list) else None)
        for key, metrics in content.metric_records.items()
        for name, value in metrics.items()
    ]
    return tuple(sorted(content.array_records)), tuple(sorted(metrics, key=lambda each: each[:2]))


def not_finite(content: RecordDict) -> str | None:
    """Return why the metrics of a reply cannot be averaged: one is not finite; None if all are."""
    for metrics in content.metric_records.values():
        for name, value in metrics.items():
            numbers = value if isinstance(value, list) else [value]
            if not all(abs(number) <= sys.float_info.max for number in numbers):
                return f"a metric that is not finite: {name!r}"
    return None
