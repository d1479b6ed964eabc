from .base import FileTracker as FileTracker
from .base import FinishedRun as FinishedRun
from .base import Tracker as Tracker
from .catalogue import TRACKERS as TRACKERS
from .log import Log as Log

__all__: list[str]
