from .optimizer import SGD as SGD
from .rounds import Federation as Federation
from .rounds import Result as Result
from .rounds import simulate as simulate
from .run import Run as Run

__all__: list[str]
