"""The skew of honest updates: in numbers, in the plane, and what a rule makes of it (docs/skew.md).

>>> import torch
>>> measure(torch.tensor([[0.0], [3.0], [3.0], [3.0], [3.0]])).above  # four of five rows lie on the median's side
0.8
"""

from .lens import look, selection
from .numbers import Skew, digits, empirical_kappa, kappa, measure
from .plane import Picture, embed, pictures
from .references import references
from .statistics import Estimate, pearson, skewness
from .trials import Examination, Trial, examine

__all__ = [
    "Estimate",
    "Examination",
    "Picture",
    "Skew",
    "Trial",
    "digits",
    "embed",
    "empirical_kappa",
    "examine",
    "kappa",
    "look",
    "measure",
    "pearson",
    "pictures",
    "references",
    "selection",
    "skewness",
]
