from .optimizer import SGD as SGD
from .rounds import Federation as Federation
from .run import Run as Run
from .simulation import Result as Result
from .simulation import simulate as simulate

__all__: list[str]
