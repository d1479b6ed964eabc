from . import export as export
from . import idle as idle
from . import notebook as notebook
from . import panels as panels
from . import verdict as verdict
from .benching import bench as bench
from .lens import Lens as Lens
from .lens import Overview as Overview
from .rounds import rounds_to_pandas as rounds_to_pandas
from .table import Table as Table
from .table import federations as federations

__all__: list[str]
