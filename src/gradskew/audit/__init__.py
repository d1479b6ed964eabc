"""Audit a user's rule or attack: check it on small matrices, then rank it among the built-in ones."""

from .checks import BAD, GOOD, ODD, Finding
from .inspector import COST, RUN, Inspection, Task, inspect, list_tasks
from .standing import Audit

__all__ = ["BAD", "COST", "GOOD", "ODD", "RUN", "Audit", "Finding", "Inspection", "Task", "inspect", "list_tasks"]
