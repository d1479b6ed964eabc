"""A user's rule or attack: checked on small matrices, then set beside the built-in ones."""

from .checks import BAD, GOOD, ODD, Finding
from .inspector import COST, PLAY, Inspection, Task, inspect, tasks_of
from .standing import Audit

__all__ = ["BAD", "COST", "GOOD", "ODD", "PLAY", "Audit", "Finding", "Inspection", "Task", "inspect", "tasks_of"]
