"""gradskew measures how far Byzantine clients can bend a federated model.

The public names stand in `__init__.pyi`. Each is imported when it is first used: `gradskew --help` needs no torch.
"""

from __future__ import annotations

from typing import Any

import lazy_loader

_import, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # 40 ms, of use to this name only

        return version(__name__)
    return _import(name)
