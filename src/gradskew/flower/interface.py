"""What we use of Flower: its message-based strategies. Without them, one line names the version that has them."""

from __future__ import annotations

import inspect
import logging
from importlib import metadata

from ..core.errors import InputError, check
from ..core.importing import pip_install

OLDEST = "1.21"  # the first with flwr.serverapp.strategy
NEWEST = "1.42"  # the last one tried
METHODS = ("configure_train", "aggregate_train", "configure_evaluate", "aggregate_evaluate", "summary")
# The parameters of the methods that we override.
CALLED = {
    "configure_train": "self server_round arrays config grid",
    "aggregate_train": "self server_round replies",
    "aggregate_evaluate": "self server_round replies",
    "start": "self grid initial_arrays num_rounds timeout train_config evaluate_config evaluate_fn",
}
WANTED = f"gradskew.flower needs flwr {OLDEST} or newer (tried up to {NEWEST})"


def check_strategy(strategy: type, version: str) -> None:
    """Raise InputError unless Flower's Strategy has the methods and parameters that we override."""

    def parameters(name: str) -> str:
        return " ".join(inspect.signature(getattr(strategy, name, lambda: None)).parameters)

    abstract: frozenset[str] = getattr(strategy, "__abstractmethods__", frozenset())
    good = abstract == frozenset(METHODS) and all(parameters(name) == called for name, called in CALLED.items())
    check(good, f"{WANTED}; flwr {version} has another Strategy interface: {pip_install(f'flwr<={NEWEST}')}")


def check_installed() -> str:
    """Return the version of Flower. Raises InputError if it is missing, or has no message-based strategies."""
    try:
        version = metadata.version("flwr")
    except metadata.PackageNotFoundError:
        raise InputError(f"{WANTED}, which is not installed: {pip_install('gradskew[flower]')}") from None
    try:
        from flwr.serverapp.strategy import Strategy
    except ImportError:
        raise InputError(f"{WANTED}; flwr {version} has no flwr.serverapp.strategy") from None
    check_strategy(Strategy, version)
    return version


VERSION = check_installed()

from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict  # noqa: E402
from flwr.serverapp import Grid  # noqa: E402
from flwr.serverapp.strategy import Result, Strategy  # noqa: E402

log = logging.getLogger("flwr")  # Flower's own, so that our lines appear among its lines

__all__ = [
    "VERSION",
    "Array",
    "ArrayRecord",
    "ConfigRecord",
    "Grid",
    "Message",
    "MetricRecord",
    "RecordDict",
    "Result",
    "Strategy",
    "log",
]
