from .lens import Lens as Lens
from .lens import Overview as Overview
from .table import Table as Table
from .table import federations as federations

__all__: list[str]
