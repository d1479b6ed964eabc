"""The skew of honest updates: measures, embeddings in the plane, and its effect on a rule (docs/skew.md).

>>> import torch
>>> measure(torch.tensor([[0.0], [3.0], [3.0], [3.0], [3.0]])).above  # four of five rows lie on the median's side
0.8
"""

from .embedding import Picture, embed, pictures
from .examination import Examination, Trial, examine
from .matrices import read_matrix
from .measures import Skew, digits, empirical_kappa, kappa, measure, progress
from .per_round import look, selection
from .references import references
from .statistics import Estimate, pearson, skewness

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
    "progress",
    "read_matrix",
    "references",
    "selection",
    "skewness",
]
