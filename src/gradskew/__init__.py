"""gradskew measures how far Byzantine clients can bend a federated model.

Names are imported when first used, so that `gradskew --help` need not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import aggregators, attacks, skew
    from .core.errors import InputError
    from .data import CIFAR10, FEMNIST, Dataset, Digits, FashionMNIST, ImageNet12, Imagenette, Source, Split
    from .data.partition import IID, ByWriter, Dirichlet
    from .federation.optimizer import SGD
    from .federation.rounds import Result, simulate
    from .federation.run import Run
    from .models import CNN, MLP, AlexNet, FemnistCNN, Linear, ResNet18, UserModel
    from .report.lens import Lens
    from .report.table import Table
    from .runs.ray import Cluster
    from .runs.record import Record
    from .runs.store import Store
    from .runs.sweeps import grid, sweep

__all__ = [
    "CIFAR10",
    "CNN",
    "FEMNIST",
    "IID",
    "MLP",
    "SGD",
    "AlexNet",
    "ByWriter",
    "Cluster",
    "Dataset",
    "Digits",
    "Dirichlet",
    "FashionMNIST",
    "FemnistCNN",
    "ImageNet12",
    "Imagenette",
    "InputError",
    "Lens",
    "Linear",
    "Record",
    "ResNet18",
    "Result",
    "Run",
    "Source",
    "Split",
    "Store",
    "Table",
    "UserModel",
    "aggregators",
    "attacks",
    "grid",
    "simulate",
    "skew",
    "sweep",
]

_MODULES = {
    "runs.sweeps": ("grid", "sweep"),
    "core.errors": ("InputError",),
    "federation.optimizer": ("SGD",),
    "runs.ray": ("Cluster",),
    "data": (
        "CIFAR10",
        "FEMNIST",
        "Dataset",
        "Digits",
        "FashionMNIST",
        "ImageNet12",
        "Imagenette",
        "Source",
        "Split",
    ),
    "federation.rounds": ("Result", "simulate"),
    "report.lens": ("Lens",),
    "models": ("CNN", "MLP", "AlexNet", "FemnistCNN", "Linear", "ResNet18", "UserModel"),
    "data.partition": ("IID", "ByWriter", "Dirichlet"),
    "runs.record": ("Record",),
    "report.table": ("Table",),
    "federation.run": ("Run",),
    "runs.store": ("Store",),
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # 40 ms, of use to this name only

        return version(__name__)
    if name in ("aggregators", "attacks", "skew"):
        return importlib.import_module(f".{name}", __name__)
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
