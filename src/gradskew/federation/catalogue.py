"""The tables of local variants and server optimisers, and the ways from a name to one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.catalogue import Catalogue
from ..core.grammar import parse_one

if TYPE_CHECKING:
    from .local import Variant
    from .server import ServerOptimizer

VARIANTS: Catalogue[Variant] = Catalogue(
    "local variant",
    __package__,
    "Variant",
    first=("fedavg",),
    registered_as="local",
    elsewhere={
        "dsgd": "rows=gradient (--rows gradient)",
        "fedsgd": "rows=gradient (--rows gradient)",
        "fednova": "rows=fednova (--rows fednova)",
        "momentum": "worker_momentum=0.9 (--worker-momentum 0.9)",
    },
)
"""All variants of local training by name."""

SERVERS: Catalogue[ServerOptimizer] = Catalogue(
    "server optimiser", __package__, "ServerOptimizer", first=("fedavg",), registered_as="server"
)
"""All server optimisers by name."""


def make_variant(name: Any) -> Any:
    """Return the variant of local training with this name, such as `fedprox(mu=0.01)`; an object as it is."""
    return VARIANTS.make(*parse_one(name, VARIANTS.kind)) if isinstance(name, str) else VARIANTS.with_own_key(name)


def make_server(name: Any) -> Any:
    """Return the server optimiser with this name, such as `fedadam(lr=0.1)`; an object as it is."""
    return SERVERS.make(*parse_one(name, SERVERS.kind)) if isinstance(name, str) else SERVERS.with_own_key(name)
