from .cluster import Cluster as Cluster
from .grids import grid as grid
from .record import Record as Record
from .store import Store as Store
from .sweeps import sweep as sweep
from .tuning import tune as tune

__all__: list[str]
