"""What a rule or an attack that nobody here has seen does on small matrices, before it is played."""

from .base import BAD, GOOD, ODD, Finding
from .process import COST, PLAY, Inspection, Task, inspect, tasks_of

__all__ = ["BAD", "COST", "GOOD", "ODD", "PLAY", "Finding", "Inspection", "Task", "inspect", "tasks_of"]
